-- Old rows of the audit log go only when a row of it tells of that (decision 50).
-- The last row of whose removal one tells.
ALTER TABLE audit_chain ADD COLUMN told BIGINT NOT NULL DEFAULT 0;

-- A node of an earlier release, which tells less, removes nothing any more.
CREATE OR REPLACE FUNCTION audit_rows_go_from_the_beginning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' OR OLD.id > coalesce((SELECT least(removed, told) FROM audit_chain), 0) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END;
$$;
