-- The roles that the token of each connection names, as a JSON list: who is here has those of all their connections.
ALTER TABLE connections ADD COLUMN roles TEXT NOT NULL DEFAULT '[]';

-- Whether something was done before, by a commit that was not answered, is looked up here.
CREATE INDEX audit_log_at ON audit_log (tenant, at);
