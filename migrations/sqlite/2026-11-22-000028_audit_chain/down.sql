DROP TABLE traces;
DROP TRIGGER audit_seals_are_not_shortened;
DROP TRIGGER audit_seals_are_not_changed;
DROP TRIGGER audit_log_is_not_shortened;
DROP TRIGGER audit_log_is_not_changed;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
DROP TRIGGER audit_people_went;
DROP TRIGGER audit_people_came;
DROP INDEX IF EXISTS audit_people_name;
DROP TABLE IF EXISTS audit_people;
DROP TABLE audit_chain;
DROP TABLE audit_seals;
