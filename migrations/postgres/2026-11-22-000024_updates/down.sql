DROP INDEX deliveries_texts_to_person;
DROP INDEX deliveries_texts_of_tenant;
CREATE INDEX deliveries_sms_to_person ON deliveries (recipient_id, due_at) WHERE channel = 3;
CREATE INDEX deliveries_sms_of_tenant ON deliveries (tenant, due_at) WHERE channel = 3;

ALTER TABLE recipients RESET (fillfactor);
ALTER TABLE inbox RESET (fillfactor);

DROP TRIGGER delivery_changes_are_counted ON deliveries;
CREATE OR REPLACE FUNCTION delivery_changes_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics_changes (notification_id, tenant, hour, channel, kind, outcome, millis, many)
    SELECT n.id, n.tenant, floor(extract(epoch FROM n.created_at) / 3600)::bigint, NEW.channel, n.kind, e.outcome,
        e.millis, sum(e.many)
    FROM (
        SELECT OLD.state AS outcome, CASE WHEN OLD.state BETWEEN 2 AND 3 THEN
            greatest(floor(extract(epoch FROM OLD.finished_at - OLD.created_at) * 1000)::bigint, 0) END AS millis,
            -1 AS many
        WHERE OLD.state BETWEEN 2 AND 6
        UNION ALL
        SELECT NEW.state, CASE WHEN NEW.state BETWEEN 2 AND 3 THEN
            greatest(floor(extract(epoch FROM NEW.finished_at - NEW.created_at) * 1000)::bigint, 0) END, 1
        WHERE NEW.state BETWEEN 2 AND 6
    ) AS e JOIN notifications AS n ON n.id = NEW.notification_id
    WHERE NEW.notification_id <= (SELECT announced FROM analytics_place)
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(e.many) <> 0;
    RETURN NULL;
END;
$$;
CREATE TRIGGER delivery_changes_are_counted AFTER UPDATE OF state, finished_at ON deliveries
    FOR EACH ROW WHEN ((OLD.state BETWEEN 2 AND 6 OR NEW.state BETWEEN 2 AND 6) AND NEW.retraction <> 2)
    EXECUTE FUNCTION delivery_changes_are_counted();
