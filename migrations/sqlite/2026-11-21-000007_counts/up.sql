-- When its notification expires, if it does: what has expired since the last count is found by it.
ALTER TABLE inbox ADD COLUMN expires_at BIGINT;
UPDATE inbox SET expires_at = (SELECT expires_at FROM notifications WHERE id = notification_id)
    WHERE notification_id IN (SELECT id FROM notifications WHERE expires_at IS NOT NULL);
CREATE INDEX inbox_expiring ON inbox (recipient_id, expires_at) WHERE expires_at IS NOT NULL;

-- How much of an inbox there is up to a place, as far as somebody counted it (decision 24). Marks keep it true.
CREATE TABLE counts (
    recipient_id BIGINT  NOT NULL,
    -- Of which; '' and -1 stand for any.
    kind         TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    priority     INTEGER NOT NULL,
    -- The last place that was counted, and the time at which what had expired was left out.
    upto         BIGINT  NOT NULL,
    counted_at   BIGINT NOT NULL,
    total        BIGINT  NOT NULL,
    unread       BIGINT  NOT NULL,
    -- Nothing up to here is unread.
    read_upto    BIGINT  NOT NULL,
    PRIMARY KEY (recipient_id, kind, topic, priority)
) WITHOUT ROWID;

-- What is for an audience reaches those who are connected first: the last socket whose person has it; none when all
-- have, and the others' turn has come.
ALTER TABLE expansions ADD COLUMN present TEXT DEFAULT '';
