-- 0 as it is; 1 a push that was taken back, since its notification was read elsewhere; 2 what takes one back.
ALTER TABLE deliveries ADD COLUMN retraction INTEGER NOT NULL DEFAULT 0;
-- Pushes that may have to be taken back.
CREATE INDEX deliveries_pushed ON deliveries (recipient_id) WHERE channel = 2 AND state = 2 AND retraction = 0;
-- What of a tenant's has failed.
DROP INDEX deliveries_failed;
CREATE INDEX deliveries_failed ON deliveries (tenant, id) WHERE state = 4;
