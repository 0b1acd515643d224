-- How many text messages went out lately, without those that were not needed any more.
DROP INDEX deliveries_sms_to_person;
DROP INDEX deliveries_sms_of_tenant;
CREATE INDEX deliveries_texts_to_person ON deliveries (recipient_id, due_at)
    WHERE channel = 3 AND state >= 1 AND state <= 3;
CREATE INDEX deliveries_texts_of_tenant ON deliveries (tenant, due_at)
    WHERE channel = 3 AND state >= 1 AND state <= 3;

-- What is changed again and again finds room beside itself: no index has to learn of it.
ALTER TABLE recipients SET (fillfactor = 80);
ALTER TABLE inbox SET (fillfactor = 90);

-- Deliveries that change together are counted together.
DROP TRIGGER delivery_changes_are_counted ON deliveries;
CREATE OR REPLACE FUNCTION delivery_changes_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics_changes (notification_id, tenant, hour, channel, kind, outcome, millis, many)
    SELECT n.id, n.tenant, floor(extract(epoch FROM n.created_at) / 3600)::bigint, e.channel, n.kind, e.outcome,
        e.millis, sum(e.many)
    FROM (
        SELECT o.notification_id, o.channel, o.state AS outcome, CASE WHEN o.state BETWEEN 2 AND 3 THEN
            greatest(floor(extract(epoch FROM o.finished_at - o.created_at) * 1000)::bigint, 0) END AS millis,
            -1 AS many
        FROM old_rows AS o
        WHERE o.state BETWEEN 2 AND 6 AND o.retraction <> 2
            AND o.notification_id <= (SELECT announced FROM analytics_place)
        UNION ALL
        SELECT w.notification_id, w.channel, w.state, CASE WHEN w.state BETWEEN 2 AND 3 THEN
            greatest(floor(extract(epoch FROM w.finished_at - w.created_at) * 1000)::bigint, 0) END, 1
        FROM new_rows AS w
        WHERE w.state BETWEEN 2 AND 6 AND w.retraction <> 2
            AND w.notification_id <= (SELECT announced FROM analytics_place)
    ) AS e JOIN notifications AS n ON n.id = e.notification_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(e.many) <> 0;
    RETURN NULL;
END;
$$;
CREATE TRIGGER delivery_changes_are_counted AFTER UPDATE ON deliveries
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION delivery_changes_are_counted();
