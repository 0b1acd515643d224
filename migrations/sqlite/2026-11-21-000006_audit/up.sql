-- Who did what. Rows are added, and never changed or removed.
CREATE TABLE audit_log (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      BIGINT NOT NULL,
    tenant  TEXT NOT NULL,
    -- A user or a service; nothing: nobody that is known.
    actor   TEXT,
    action  TEXT NOT NULL,
    subject TEXT,
    detail  TEXT NOT NULL,
    address TEXT
);
CREATE INDEX audit_log_tenant ON audit_log (tenant, id);

CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
