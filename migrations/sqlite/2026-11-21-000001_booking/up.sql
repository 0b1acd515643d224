-- What was sent: content, once.
CREATE TABLE notifications (
    -- AUTOINCREMENT: a number is never used again, even after its row was erased.
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid            BLOB    NOT NULL,
    tenant          TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    topic           TEXT    NOT NULL,
    title           TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    data            TEXT    NOT NULL,
    idempotency_key BLOB,
    request_digest  BLOB,
    created_at      BIGINT  NOT NULL
);
CREATE UNIQUE INDEX notifications_idempotency_key ON notifications (idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- People.
CREATE TABLE recipients (
    id            INTEGER PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    user_id       TEXT    NOT NULL,
    -- Not used here: one writer gives out notification numbers in the order of commits, so an entry's
    -- position is its notification's number. (PostgreSQL counts here.)
    last_position BIGINT  NOT NULL DEFAULT 0,
    -- Nothing up to here is pending.
    pending_after BIGINT  NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX recipients_user ON recipients (tenant, user_id);

-- One notification for one recipient, in the order of commits. One transaction writes both of what it names, so no
-- foreign keys check that again (decision 14).
CREATE TABLE inbox (
    recipient_id    BIGINT NOT NULL,
    position        BIGINT NOT NULL,
    notification_id BIGINT NOT NULL,
    sent_at         BIGINT,
    confirmed_at    BIGINT,
    confirmed_by    TEXT,
    read_at         BIGINT,
    deleted_at      BIGINT,
    PRIMARY KEY (recipient_id, position)
) WITHOUT ROWID;

-- Who is connected where, since when: the seed's facilitator sessions.
CREATE TABLE connections (
    socket_id    TEXT   NOT NULL PRIMARY KEY,
    node         TEXT   NOT NULL,
    tenant       TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    connected_at BIGINT NOT NULL
) WITHOUT ROWID;
