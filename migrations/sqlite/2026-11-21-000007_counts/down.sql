ALTER TABLE expansions DROP COLUMN present;
DROP TABLE counts;
DROP INDEX inbox_expiring;
ALTER TABLE inbox DROP COLUMN expires_at;
