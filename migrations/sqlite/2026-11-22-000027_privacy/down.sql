DROP TRIGGER audit_log_is_not_changed;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
DROP INDEX audit_people_name;
DROP TABLE audit_people;
DROP INDEX deliveries_recipient;
ALTER TABLE deliveries DROP COLUMN to_guardian;
DROP TABLE disclosures;
DROP TABLE consents;
