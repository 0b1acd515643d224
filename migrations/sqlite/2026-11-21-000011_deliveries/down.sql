DROP TABLE delivery_attempts;
DROP TABLE deliveries;
ALTER TABLE recurring DROP COLUMN wish;
ALTER TABLE notifications DROP COLUMN wish;
