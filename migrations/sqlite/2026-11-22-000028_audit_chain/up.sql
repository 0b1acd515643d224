-- The audit log is chained (decision 44): each row is sealed by a hash over its content and the hash before it.
CREATE TABLE audit_seals (
    -- The row of audit_log.
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL
);

-- How far it is sealed, and where the chain begins if older rows were removed.
CREATE TABLE audit_chain (
    id       INTEGER PRIMARY KEY,
    -- The last row that is sealed, its hash, how many ever were, and when that one was.
    sealed   BIGINT NOT NULL,
    head     BLOB NOT NULL,
    many     BIGINT NOT NULL,
    sealed_at BIGINT NOT NULL,
    -- The last row that was removed, its hash, and how many ever were.
    removed  BIGINT NOT NULL,
    anchor   BLOB NOT NULL,
    gone     BIGINT NOT NULL,
    -- How often somebody came into audit_people, or was forgotten.
    erasures BIGINT NOT NULL
);

-- What pseudonyms of people are made of, until they are forgotten.
CREATE TABLE IF NOT EXISTS audit_people (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    secret BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS audit_people_name ON audit_people (tenant, name);
-- Whoever seals meanwhile begins anew: the secrets it has read are others by now.
CREATE TRIGGER audit_people_came AFTER INSERT ON audit_people
BEGIN
    UPDATE audit_chain SET erasures = erasures + 1;
END;
CREATE TRIGGER audit_people_went AFTER DELETE ON audit_people
BEGIN
    UPDATE audit_chain SET erasures = erasures + 1;
END;

-- Names and addresses may become pseudonyms, and rows whose hash is the chain's beginning may go: nothing else.
DROP TRIGGER audit_log_is_not_changed;
DROP TRIGGER audit_log_is_not_shortened;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
WHEN NOT (NEW.id = OLD.id AND NEW.at = OLD.at AND NEW.tenant = OLD.tenant AND NEW.action = OLD.action
    AND NEW.detail = OLD.detail
    AND (NEW.actor IS OLD.actor OR coalesce(OLD.actor IS NOT NULL AND NEW.actor GLOB 'erased:*', 0))
    AND (NEW.subject IS OLD.subject OR coalesce(OLD.subject IS NOT NULL AND NEW.subject GLOB 'erased:*', 0))
    AND (NEW.address IS OLD.address OR coalesce(OLD.address IS NOT NULL AND NEW.address GLOB 'erased:*', 0)))
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
WHEN OLD.id > coalesce((SELECT removed FROM audit_chain), 0)
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
CREATE TRIGGER audit_seals_are_not_changed BEFORE UPDATE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'audit_seals is append-only');
END;
CREATE TRIGGER audit_seals_are_not_shortened BEFORE DELETE ON audit_seals
WHEN OLD.id > coalesce((SELECT removed FROM audit_chain), 0)
BEGIN
    SELECT RAISE(ABORT, 'audit_seals is append-only');
END;

-- In whose trace a notification was sent: `traceparent`, where there was one (decision 45).
CREATE TABLE traces (
    notification_id INTEGER PRIMARY KEY,
    parent          TEXT NOT NULL
);
