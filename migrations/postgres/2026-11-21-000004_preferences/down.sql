ALTER TABLE deployment DROP COLUMN burned;
DROP TABLE deferrals;
DROP INDEX inbox_quiet;
ALTER TABLE inbox DROP COLUMN hush_reason;
ALTER TABLE inbox DROP COLUMN hush;
ALTER TABLE recipients DROP COLUMN preferences;
