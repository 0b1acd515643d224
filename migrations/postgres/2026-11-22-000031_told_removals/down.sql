CREATE OR REPLACE FUNCTION audit_rows_go_from_the_beginning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' OR OLD.id > coalesce((SELECT removed FROM audit_chain), 0) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END;
$$;
ALTER TABLE audit_chain DROP COLUMN told;
