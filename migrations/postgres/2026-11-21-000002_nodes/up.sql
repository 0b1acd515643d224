-- Processes that share this database: when each was last seen, and how many back ends it serves.
CREATE TABLE nodes (
    name    TEXT        NOT NULL PRIMARY KEY,
    seen_at TIMESTAMPTZ NOT NULL,
    senders BIGINT      NOT NULL
);
CREATE INDEX connections_node ON connections (node);

-- The name of this database, made once: two deployments on one Redis must not hear each other.
CREATE TABLE deployment (
    name TEXT NOT NULL PRIMARY KEY
);
INSERT INTO deployment VALUES (md5(random()::text || clock_timestamp()::text));
