-- Where somebody can be reached who is not connected, as a JSON object: e-mail address, telephone number, language.
ALTER TABLE recipients ADD COLUMN contacts TEXT;

-- Browsers that take pushes (RFC 8030).
CREATE TABLE push_subscriptions (
    -- A number is never used again: what was sent to a device names it.
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT    NOT NULL,
    recipient_id BIGINT  NOT NULL,
    endpoint     TEXT    NOT NULL,
    p256dh       BLOB    NOT NULL,
    auth         BLOB    NOT NULL,
    user_agent   TEXT,
    -- What the page says of the device: a JSON object.
    device_info  TEXT,
    -- The types of notification that this device is to get, as a JSON list; nothing: all.
    kinds        TEXT,
    -- When it is to be left alone, as a JSON object.
    quiet_hours  TEXT,
    created_at   BIGINT  NOT NULL,
    last_ok_at   BIGINT,
    -- How often in a row it could not be reached.
    failures     INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX push_subscriptions_endpoint ON push_subscriptions (tenant, endpoint);
CREATE INDEX push_subscriptions_recipient ON push_subscriptions (recipient_id);
