-- What this database remembers of the keys by which its columns are encrypted: `key:` and a key's id, with something that it
-- encrypted; `index`, with what is mixed into digests of contacts.
CREATE TABLE sealing (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
