DROP TRIGGER audit_log_is_not_changed ON audit_log;
DROP FUNCTION audit_log_changes_are_erasures();
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
DROP INDEX audit_people_name;
DROP TABLE audit_people;
DROP INDEX deliveries_recipient;
ALTER TABLE deliveries DROP COLUMN to_guardian;
DROP TABLE disclosures;
DROP TABLE consents;
