-- Addresses of a tenant's own programs that want to be told what becomes of notifications.
CREATE TABLE webhooks (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        TEXT    NOT NULL,
    url           TEXT    NOT NULL,
    description   TEXT    NOT NULL,
    -- Of which events, as a JSON list; nothing: of all.
    events        TEXT,
    is_enabled    INTEGER NOT NULL,
    -- Why it was disabled, if nobody did it.
    disabled_why  TEXT,
    -- What messages are signed by; and by what else, until then.
    secret        TEXT    NOT NULL,
    former_secret TEXT,
    former_until  BIGINT ,
    -- Since when it has taken nothing.
    failing_since BIGINT ,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL
);
CREATE INDEX webhooks_tenant ON webhooks (tenant);

-- One event for one address. Written in the commit in which it became true.
CREATE TABLE webhook_messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid        BLOB    NOT NULL,
    webhook_id  BIGINT  NOT NULL,
    event       TEXT    NOT NULL,
    -- What there is to say of it: a JSON object.
    data        TEXT    NOT NULL,
    happened_at BIGINT  NOT NULL,
    -- 0 waiting, 1 under way, 2 sent, 4 failed
    state       INTEGER NOT NULL DEFAULT 0,
    -- When it is tried; while it is under way, when another may try.
    due_at      BIGINT  NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0,
    -- Attempts before this one do not count: it was called back to life.
    since       INTEGER NOT NULL DEFAULT 0,
    reason      TEXT,
    finished_at BIGINT 
);
CREATE INDEX webhook_messages_due ON webhook_messages (webhook_id, due_at) WHERE state < 2;
CREATE INDEX webhook_messages_webhook ON webhook_messages (webhook_id, id);
CREATE INDEX webhook_messages_uuid ON webhook_messages (uuid);
CREATE INDEX webhook_messages_age ON webhook_messages (happened_at);

-- Each try.
CREATE TABLE webhook_attempts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id BIGINT  NOT NULL,
    attempt    INTEGER NOT NULL,
    at         BIGINT  NOT NULL,
    took_ms    INTEGER NOT NULL,
    -- As the message's state that it led to; 0: it is tried again.
    state      INTEGER NOT NULL,
    reason     TEXT
);
CREATE INDEX webhook_attempts_message ON webhook_attempts (message_id);
