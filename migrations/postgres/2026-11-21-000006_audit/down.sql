DROP TRIGGER audit_log_is_not_shortened ON audit_log;
DROP TRIGGER audit_log_is_not_changed ON audit_log;
DROP FUNCTION audit_log_is_append_only();
DROP INDEX audit_log_tenant;
DROP TABLE audit_log;
