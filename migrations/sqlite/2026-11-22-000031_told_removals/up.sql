-- Old rows of the audit log go only when a row of it tells of that (decision 50).
-- The last row of whose removal one tells.
ALTER TABLE audit_chain ADD COLUMN told BIGINT NOT NULL DEFAULT 0;

DROP TRIGGER audit_log_is_not_shortened;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
WHEN OLD.id > coalesce((SELECT min(removed, told) FROM audit_chain), 0)
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
