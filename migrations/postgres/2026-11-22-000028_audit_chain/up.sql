-- The audit log is chained (decision 44): each row is sealed by a hash over its content and the hash before it.
CREATE TABLE audit_seals (
    -- The row of audit_log.
    id   BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL
);

-- How far it is sealed, and where the chain begins if older rows were removed.
CREATE TABLE audit_chain (
    id       BIGINT PRIMARY KEY,
    -- The last row that is sealed, its hash, how many ever were, and when that one was.
    sealed   BIGINT NOT NULL,
    head     BYTEA NOT NULL,
    many     BIGINT NOT NULL,
    sealed_at TIMESTAMPTZ NOT NULL,
    -- The last row that was removed, its hash, and how many ever were.
    removed  BIGINT NOT NULL,
    anchor   BYTEA NOT NULL,
    gone     BIGINT NOT NULL,
    -- How often somebody came into audit_people, or was forgotten.
    erasures BIGINT NOT NULL
);

-- Whoever seals meanwhile begins anew: the secrets it has read are others by now.
CREATE OR REPLACE FUNCTION audit_people_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE audit_chain SET erasures = erasures + 1;
    RETURN NULL;
END;
$$;
CREATE TRIGGER audit_people_came AFTER INSERT ON audit_people
    FOR EACH STATEMENT EXECUTE FUNCTION audit_people_changed();
CREATE TRIGGER audit_people_went AFTER DELETE ON audit_people
    FOR EACH STATEMENT EXECUTE FUNCTION audit_people_changed();

-- Rows whose hash is the chain's beginning may go: nothing else.
DROP TRIGGER audit_log_is_not_shortened ON audit_log;
CREATE OR REPLACE FUNCTION audit_rows_go_from_the_beginning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' OR OLD.id > coalesce((SELECT removed FROM audit_chain), 0) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END;
$$;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_rows_go_from_the_beginning();
CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
CREATE TRIGGER audit_seals_are_not_changed BEFORE UPDATE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION audit_rows_go_from_the_beginning();
CREATE TRIGGER audit_seals_are_not_shortened BEFORE DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION audit_rows_go_from_the_beginning();
CREATE TRIGGER audit_seals_are_not_emptied BEFORE TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

-- In whose trace a notification was sent: `traceparent`, where there was one (decision 45).
CREATE TABLE traces (
    notification_id BIGINT PRIMARY KEY,
    parent          TEXT NOT NULL
);
