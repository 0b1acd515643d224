ALTER TABLE nodes DROP COLUMN keys;
DROP INDEX disclosures_actor;
DROP INDEX disclosures_recipient;
DROP TABLE declined;
DROP TABLE spent;
