-- What became of notifications, counted up to a place (decision 35): by tenant, by the hour of acceptance (hours since
-- 1970), channel, type and outcome.
CREATE TABLE analytics (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT    NOT NULL,
    hour    BIGINT  NOT NULL,
    -- 0 sockets, 1 e-mail, 2 push, 3 text message, 9 the notification itself
    channel INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    -- As states of deliveries; 8 accepted, 9 read
    outcome INTEGER NOT NULL,
    many    BIGINT  NOT NULL,
    -- What they took together, of those that arrived.
    millis  BIGINT  NOT NULL
);
CREATE UNIQUE INDEX analytics_part ON analytics (tenant, hour, channel, kind, outcome);

-- How many of them took how long: numbers of the classes of `domain/latency.rs`.
CREATE TABLE analytics_latencies (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT    NOT NULL,
    hour    BIGINT  NOT NULL,
    channel INTEGER NOT NULL,
    class   INTEGER NOT NULL,
    many    BIGINT  NOT NULL
);
CREATE UNIQUE INDEX analytics_latencies_part ON analytics_latencies (tenant, hour, channel, class);

-- Up to which notification all is counted, and up to which one changes are noted below.
CREATE TABLE analytics_place (
    id           INTEGER PRIMARY KEY,
    counted      BIGINT NOT NULL,
    announced    BIGINT NOT NULL,
    -- The next to be announced, once it is old enough.
    candidate    BIGINT NOT NULL,
    candidate_at BIGINT NOT NULL
);

-- What changed of notifications up to the announced place, until somebody adds it up: so many more, or fewer.
CREATE TABLE analytics_changes (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    notification_id BIGINT  NOT NULL,
    tenant          TEXT    NOT NULL,
    hour            BIGINT  NOT NULL,
    channel         INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    outcome         INTEGER NOT NULL,
    millis          BIGINT,
    many            BIGINT  NOT NULL
);

CREATE TRIGGER inbox_changes_are_counted AFTER UPDATE OF sent_at, confirmed_at, read_at, hush ON inbox
WHEN NEW.notification_id <= (SELECT announced FROM analytics_place)
BEGIN
    INSERT INTO analytics_changes (notification_id, tenant, hour, channel, kind, outcome, millis, many)
    SELECT n.id, n.tenant, n.created_at / 3600000000, 0, n.kind, e.outcome,
        CASE WHEN e.arrived_at IS NOT NULL THEN max((e.arrived_at - n.created_at) / 1000, 0) END, sum(e.many)
    FROM (
        SELECT CASE WHEN OLD.hush = 1 THEN 5 WHEN OLD.confirmed_at IS NULL THEN 0 ELSE 3 END AS outcome,
            CASE WHEN OLD.hush = 1 OR OLD.confirmed_at IS NULL THEN NULL ELSE coalesce(OLD.sent_at, OLD.confirmed_at) END
                AS arrived_at, -1 AS many
        UNION ALL
        SELECT CASE WHEN NEW.hush = 1 THEN 5 WHEN NEW.confirmed_at IS NULL THEN 0 ELSE 3 END,
            CASE WHEN NEW.hush = 1 OR NEW.confirmed_at IS NULL THEN NULL ELSE coalesce(NEW.sent_at, NEW.confirmed_at) END,
            1
        UNION ALL
        SELECT 9, NULL, -1 WHERE OLD.read_at IS NOT NULL AND OLD.hush IS NOT 1
        UNION ALL
        SELECT 9, NULL, 1 WHERE NEW.read_at IS NOT NULL AND NEW.hush IS NOT 1
    ) AS e JOIN notifications AS n ON n.id = NEW.notification_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(e.many) <> 0;
END;

-- What takes a push back is no delivery.
CREATE TRIGGER delivery_changes_are_counted AFTER UPDATE OF state, finished_at ON deliveries
WHEN (OLD.state BETWEEN 2 AND 6 OR NEW.state BETWEEN 2 AND 6) AND NEW.retraction <> 2
    AND NEW.notification_id <= (SELECT announced FROM analytics_place)
BEGIN
    INSERT INTO analytics_changes (notification_id, tenant, hour, channel, kind, outcome, millis, many)
    SELECT n.id, n.tenant, n.created_at / 3600000000, NEW.channel, n.kind, e.outcome, e.millis, sum(e.many)
    FROM (
        SELECT OLD.state AS outcome, CASE WHEN OLD.state BETWEEN 2 AND 3 THEN
            max((OLD.finished_at - OLD.created_at) / 1000, 0) END AS millis, -1 AS many
        WHERE OLD.state BETWEEN 2 AND 6
        UNION ALL
        SELECT NEW.state, CASE WHEN NEW.state BETWEEN 2 AND 3 THEN
            max((NEW.finished_at - NEW.created_at) / 1000, 0) END, 1
        WHERE NEW.state BETWEEN 2 AND 6
    ) AS e JOIN notifications AS n ON n.id = NEW.notification_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(e.many) <> 0;
END;

-- What was for later is as old as its going out.
CREATE TRIGGER times_of_acceptance_are_counted AFTER UPDATE OF created_at ON notifications
WHEN OLD.created_at <> NEW.created_at AND NEW.id <= (SELECT announced FROM analytics_place)
BEGIN
    INSERT INTO analytics_changes (notification_id, tenant, hour, channel, kind, outcome, millis, many)
    VALUES (OLD.id, OLD.tenant, OLD.created_at / 3600000000, 9, OLD.kind, 8, NULL, -1),
        (NEW.id, NEW.tenant, NEW.created_at / 3600000000, 9, NEW.kind, 8, NULL, 1);
END;
