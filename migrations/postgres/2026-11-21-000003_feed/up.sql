-- What a feed shows of a notification besides its text.
ALTER TABLE notifications ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE notifications ADD COLUMN action_url TEXT;
ALTER TABLE notifications ADD COLUMN sender TEXT;
ALTER TABLE notifications ADD COLUMN expires_at TIMESTAMPTZ;
CREATE UNIQUE INDEX notifications_uuid ON notifications (uuid);

-- Who wants to hear of which topic, connected or not.
CREATE TABLE subscriptions (
    tenant       TEXT   NOT NULL,
    topic        TEXT   NOT NULL,
    recipient_id BIGINT NOT NULL REFERENCES recipients (id),
    PRIMARY KEY (tenant, topic, recipient_id)
);
CREATE INDEX subscriptions_recipient ON subscriptions (recipient_id);

-- The roles somebody had when they were last here.
CREATE TABLE roles (
    tenant       TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    recipient_id BIGINT NOT NULL REFERENCES recipients (id),
    PRIMARY KEY (tenant, role, recipient_id)
);
CREATE INDEX roles_recipient ON roles (recipient_id);

-- Notifications for an audience, or for later, and how far they have got into inboxes.
CREATE TABLE expansions (
    notification_id BIGINT NOT NULL PRIMARY KEY REFERENCES notifications (id),
    tenant          TEXT   NOT NULL,
    audience        TEXT   NOT NULL,
    due_at          TIMESTAMPTZ NOT NULL,
    -- The last recipient that has it.
    reached         BIGINT NOT NULL DEFAULT 0,
    recipients      BIGINT NOT NULL DEFAULT 0,
    chunks          BIGINT NOT NULL DEFAULT 0,
    finished_at     TIMESTAMPTZ
);
CREATE INDEX expansions_unfinished ON expansions (due_at, notification_id) WHERE finished_at IS NULL;

-- `unfinished`: a file is being moved here. `moved`: all of this is somewhere else now.
ALTER TABLE deployment ADD COLUMN transfer TEXT;
