-- Who wants a digest, and how far their last one reached.
CREATE TABLE digest_subscriptions (
    recipient_id BIGINT NOT NULL PRIMARY KEY,
    -- What they want of it: JSON.
    terms        TEXT   NOT NULL,
    -- Nothing: it is switched off.
    next_at      BIGINT,
    -- The last place in their inbox that a digest has told of, or did not have to.
    reached      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX digest_subscriptions_due ON digest_subscriptions (next_at) WHERE next_at IS NOT NULL;

-- Digests that were sent. They stay when what they told of is gone.
CREATE TABLE digests (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient_id    BIGINT NOT NULL,
    notification_id BIGINT NOT NULL,
    -- daily or weekly
    frequency       TEXT   NOT NULL,
    -- The day that it is of, where its recipient lives.
    date            TEXT   NOT NULL,
    -- It tells of what stands behind the one place, up to the other.
    after_position  BIGINT NOT NULL,
    upto_position   BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    content         TEXT   NOT NULL
);
CREATE INDEX digests_recipient ON digests (recipient_id, id);
CREATE INDEX digests_created ON digests (created_at);
