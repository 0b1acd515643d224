DROP TABLE traces;
DROP TRIGGER audit_seals_are_not_emptied ON audit_seals;
DROP TRIGGER audit_seals_are_not_shortened ON audit_seals;
DROP TRIGGER audit_seals_are_not_changed ON audit_seals;
DROP TRIGGER audit_log_is_not_emptied ON audit_log;
DROP TRIGGER audit_log_is_not_shortened ON audit_log;
DROP TRIGGER audit_log_is_not_changed ON audit_log;
DROP FUNCTION audit_rows_go_from_the_beginning();
DROP FUNCTION audit_log_changes_are_erasures();
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
DROP TRIGGER audit_people_went ON audit_people;
DROP TRIGGER audit_people_came ON audit_people;
DROP FUNCTION audit_people_changed();
DROP INDEX IF EXISTS audit_people_name;
DROP TABLE IF EXISTS audit_people;
DROP TABLE audit_chain;
DROP TABLE audit_seals;
