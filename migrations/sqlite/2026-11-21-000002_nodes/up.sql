-- Processes that share this database. Not used here: an SQLite file has one.
CREATE TABLE nodes (
    name    TEXT   NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    senders BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX connections_node ON connections (node);

-- The name of this database, made once: two deployments on one Redis must not hear each other.
CREATE TABLE deployment (
    name TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
INSERT INTO deployment VALUES (lower(hex(randomblob(16))));
