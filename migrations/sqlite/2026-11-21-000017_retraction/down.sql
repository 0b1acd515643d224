DROP INDEX deliveries_failed;
CREATE INDEX deliveries_failed ON deliveries (id) WHERE state = 4;
DROP INDEX deliveries_pushed;
ALTER TABLE deliveries DROP COLUMN retraction;
