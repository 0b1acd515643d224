DROP TABLE push_subscriptions;
ALTER TABLE recipients DROP COLUMN contacts;
