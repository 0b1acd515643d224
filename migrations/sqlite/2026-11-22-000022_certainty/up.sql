-- From when the steps of an escalation are counted, if that is not when it was made: the end of quiet hours.
ALTER TABLE deliveries ADD COLUMN steps_from BIGINT;
-- How often a text message was handed over, and nobody said whether it was taken.
ALTER TABLE deliveries ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
-- By what a provider's report names a text message.
ALTER TABLE deliveries ADD COLUMN parcel_key BLOB;
CREATE INDEX deliveries_parcel ON deliveries (parcel_key) WHERE parcel_key IS NOT NULL;
