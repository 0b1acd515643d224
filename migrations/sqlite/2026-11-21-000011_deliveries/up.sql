-- What its sender wants of a notification beyond sockets: JSON, or nothing.
ALTER TABLE notifications ADD COLUMN wish TEXT;
ALTER TABLE recurring ADD COLUMN wish TEXT;

-- One notification for one person over one channel that is not a socket; a push to one device has a row of its own.
CREATE TABLE deliveries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    notification_id BIGINT  NOT NULL,
    recipient_id    BIGINT  NOT NULL,
    position        BIGINT  NOT NULL,
    tenant          TEXT    NOT NULL,
    -- 1 e-mail, 2 push, 3 text message
    channel         INTEGER NOT NULL,
    -- 0: in any case. n: the nth, while nothing before it was confirmed.
    step            INTEGER NOT NULL,
    device_id       BIGINT,
    -- 0 waiting, 1 under way, 2 sent, 3 delivered, 4 failed, 5 skipped, 6 cancelled, 7 one row for each device
    state           INTEGER NOT NULL DEFAULT 0,
    -- When it is tried; while it is under way, when another may try.
    due_at          BIGINT  NOT NULL,
    attempt         INTEGER NOT NULL DEFAULT 0,
    -- Attempts before this one do not count: it was called back to life.
    since           INTEGER NOT NULL DEFAULT 0,
    reason          TEXT,
    provider        TEXT,
    provider_id     TEXT,
    -- A digest of the number that a text message goes to.
    number_digest   TEXT,
    created_at      BIGINT  NOT NULL,
    finished_at     BIGINT
);
CREATE INDEX deliveries_due ON deliveries (channel, due_at) WHERE state < 2;
CREATE INDEX deliveries_entry ON deliveries (notification_id, recipient_id);
CREATE INDEX deliveries_failed ON deliveries (id) WHERE state = 4;
CREATE INDEX deliveries_provider ON deliveries (provider_id) WHERE provider_id IS NOT NULL;
-- How many text messages went out lately: to a number, to a person, of a tenant.
CREATE INDEX deliveries_to_number ON deliveries (number_digest, due_at) WHERE number_digest IS NOT NULL;
CREATE INDEX deliveries_sms_to_person ON deliveries (recipient_id, due_at) WHERE channel = 3;
CREATE INDEX deliveries_sms_of_tenant ON deliveries (tenant, due_at) WHERE channel = 3;

-- Each try.
CREATE TABLE delivery_attempts (
    delivery_id BIGINT  NOT NULL,
    attempt     INTEGER NOT NULL,
    at          BIGINT  NOT NULL,
    took_ms     INTEGER NOT NULL,
    provider    TEXT    NOT NULL,
    -- As the state it led to; 0: it is tried again.
    state       INTEGER NOT NULL,
    reason      TEXT,
    PRIMARY KEY (delivery_id, attempt)
) WITHOUT ROWID;
