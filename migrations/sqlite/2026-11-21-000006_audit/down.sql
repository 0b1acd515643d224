DROP TRIGGER audit_log_is_not_shortened;
DROP TRIGGER audit_log_is_not_changed;
DROP INDEX audit_log_tenant;
DROP TABLE audit_log;
