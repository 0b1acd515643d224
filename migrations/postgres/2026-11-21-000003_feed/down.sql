ALTER TABLE deployment DROP COLUMN transfer;
DROP TABLE expansions;
DROP TABLE roles;
DROP TABLE subscriptions;
DROP INDEX notifications_uuid;
ALTER TABLE notifications DROP COLUMN expires_at;
ALTER TABLE notifications DROP COLUMN sender;
ALTER TABLE notifications DROP COLUMN action_url;
ALTER TABLE notifications DROP COLUMN priority;
