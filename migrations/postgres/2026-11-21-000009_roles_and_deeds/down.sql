DROP INDEX audit_log_at;
ALTER TABLE connections DROP COLUMN roles;
