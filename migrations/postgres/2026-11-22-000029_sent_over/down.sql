ALTER TABLE inbox DROP COLUMN sent_over;
