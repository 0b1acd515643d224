-- What goes out again and again: each time it is due, a notification is made of it.
CREATE TABLE recurring (
    -- A number is never used again: what has gone out names it.
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant               TEXT    NOT NULL,
    -- The person whose own it is; empty: it belongs to the tenant's services.
    owner                TEXT    NOT NULL,
    idempotency_key      BLOB    NOT NULL,
    request_digest       BLOB    NOT NULL,
    cron                 TEXT    NOT NULL,
    time_zone            TEXT    NOT NULL,
    starts_at            BIGINT,
    ends_at              BIGINT,
    -- Nothing: it is over.
    next_at              BIGINT,
    audience             TEXT    NOT NULL,
    kind                 TEXT    NOT NULL,
    topic                TEXT    NOT NULL,
    title                TEXT    NOT NULL,
    message              TEXT    NOT NULL,
    data                 TEXT    NOT NULL,
    priority             INTEGER NOT NULL,
    action_url           TEXT,
    sender               TEXT,
    created_at           BIGINT NOT NULL,
    last_at              BIGINT,
    last_notification_id BIGINT
);
CREATE UNIQUE INDEX recurring_idempotency_key ON recurring (idempotency_key);
CREATE INDEX recurring_owner ON recurring (tenant, owner, id);
CREATE INDEX recurring_due ON recurring (next_at) WHERE next_at IS NOT NULL;

-- Which notifications were made of it, for when.
CREATE TABLE recurrences (
    notification_id BIGINT NOT NULL PRIMARY KEY,
    recurring_id    BIGINT NOT NULL,
    due_at          BIGINT NOT NULL
) WITHOUT ROWID;
