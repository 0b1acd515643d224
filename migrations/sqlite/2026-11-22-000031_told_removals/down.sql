DROP TRIGGER audit_log_is_not_shortened;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
WHEN OLD.id > coalesce((SELECT removed FROM audit_chain), 0)
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
ALTER TABLE audit_chain DROP COLUMN told;
