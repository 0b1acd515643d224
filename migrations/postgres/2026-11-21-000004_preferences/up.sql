-- What somebody wants to be told, as JSON; nothing, if they never said.
ALTER TABLE recipients ADD COLUMN preferences TEXT;

-- Why an entry is not told by itself: 1 muted, 2 it waits for the end of quiet hours, 3 it went into a summary.
ALTER TABLE inbox ADD COLUMN hush INTEGER;
ALTER TABLE inbox ADD COLUMN hush_reason TEXT;
CREATE INDEX inbox_quiet ON inbox (recipient_id, position) WHERE hush = 2;

-- Whose quiet hours end when, of those for whom something waits.
CREATE TABLE deferrals (
    recipient_id BIGINT NOT NULL PRIMARY KEY REFERENCES recipients (id),
    due_at       TIMESTAMPTZ NOT NULL
);
CREATE INDEX deferrals_due ON deferrals (due_at);

-- Numbers that were places only, of what waited for the end of quiet hours.
ALTER TABLE deployment ADD COLUMN burned BIGINT NOT NULL DEFAULT 0;
