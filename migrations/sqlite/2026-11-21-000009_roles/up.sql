-- The roles that the token of each connection names, as a JSON list: who is here has those of all their connections.
ALTER TABLE connections ADD COLUMN roles TEXT NOT NULL DEFAULT '[]';
