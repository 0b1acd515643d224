DROP INDEX deliveries_parcel;
ALTER TABLE deliveries DROP COLUMN parcel_key;
ALTER TABLE deliveries DROP COLUMN unanswered;
ALTER TABLE deliveries DROP COLUMN steps_from;
