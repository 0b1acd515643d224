ALTER TABLE connections DROP COLUMN roles;
