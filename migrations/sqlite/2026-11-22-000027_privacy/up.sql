-- What somebody agreed to be sent over a channel, and what they no longer agree to: rows are added (decision 43).
CREATE TABLE consents (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT    NOT NULL,
    recipient_id BIGINT  NOT NULL,
    -- 1 e-mail, 2 push, 3 text message
    channel      INTEGER NOT NULL,
    -- Of which type of notifications; empty: of all.
    kind         TEXT    NOT NULL,
    is_given     INTEGER NOT NULL,
    at           BIGINT NOT NULL,
    -- By which way it was said: api, preferences, one_click, stop.
    how          TEXT    NOT NULL,
    -- Who said so for them; nothing: they themselves.
    actor        TEXT,
    note         TEXT
);
CREATE INDEX consents_recipient ON consents (recipient_id, id);
CREATE INDEX consents_tenant ON consents (tenant, at);

-- Who saw, or was sent, what about whom. Rows are added.
CREATE TABLE disclosures (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant          TEXT NOT NULL,
    at              BIGINT NOT NULL,
    -- About whom: a user, or a student that a notification names.
    about           TEXT NOT NULL,
    -- To whom: a user, or an audience such as role:teacher.
    recipient       TEXT NOT NULL,
    -- Who disclosed it, if not whoever saw it.
    actor           TEXT,
    -- send, or what was read, as the audit log calls it.
    action          TEXT NOT NULL,
    notification_id BIGINT,
    -- The type of that notification.
    kind            TEXT NOT NULL
);
CREATE INDEX disclosures_about ON disclosures (tenant, about, id);
CREATE INDEX disclosures_tenant ON disclosures (tenant, at);

-- 1: it goes to the guardian of a minor.
ALTER TABLE deliveries ADD COLUMN to_guardian INTEGER NOT NULL DEFAULT 0;
-- All that went to somebody beyond sockets.
CREATE INDEX deliveries_recipient ON deliveries (recipient_id);

-- What pseudonyms of people are made of, until they are forgotten.
CREATE TABLE audit_people (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    secret BLOB NOT NULL
);
CREATE UNIQUE INDEX audit_people_name ON audit_people (tenant, name);

-- Names and addresses may become pseudonyms: nothing else changes.
DROP TRIGGER audit_log_is_not_changed;
-- What people chose for themselves, or asked for, stands in no detail any more.
UPDATE audit_log SET detail = json_remove(detail, '$.types', '$.topics') WHERE action = 'preferences.change';
UPDATE audit_log SET detail = json_remove(detail, '$.actor', '$.subject') WHERE action = 'audit.read';
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
WHEN NOT (NEW.id = OLD.id AND NEW.at = OLD.at AND NEW.tenant = OLD.tenant AND NEW.action = OLD.action
    AND NEW.detail = OLD.detail
    AND (NEW.actor IS OLD.actor OR coalesce(OLD.actor IS NOT NULL AND NEW.actor GLOB 'erased:*', 0))
    AND (NEW.subject IS OLD.subject OR coalesce(OLD.subject IS NOT NULL AND NEW.subject GLOB 'erased:*', 0))
    AND (NEW.address IS OLD.address OR coalesce(OLD.address IS NOT NULL AND NEW.address GLOB 'erased:*', 0)))
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
