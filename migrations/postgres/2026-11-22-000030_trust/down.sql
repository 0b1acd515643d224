DROP INDEX disclosures_notification;
ALTER TABLE nodes DROP COLUMN keys;
DROP TABLE declined;
DROP TABLE spent;
