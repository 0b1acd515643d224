-- What went out within the last day to numbers and addresses of people who were forgotten since: the caps go on counting it
-- (decision 49). No row names anybody; each goes when its day is over.
CREATE TABLE spent (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        TEXT    NOT NULL,
    -- 1 e-mail, 3 text message
    channel       INTEGER NOT NULL,
    number_digest TEXT,
    -- Of tenant and name.
    person_digest TEXT    NOT NULL,
    at            BIGINT  NOT NULL
);
CREATE INDEX spent_number ON spent (number_digest, at);
CREATE INDEX spent_person ON spent (person_digest, at);
CREATE INDEX spent_tenant ON spent (tenant, at);
CREATE INDEX spent_at ON spent (at);

-- Who was forgotten and ended e-mails afterwards, by the link of an older one: a digest of tenant, name and type.
CREATE TABLE declined (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    person_digest TEXT   NOT NULL,
    at            BIGINT NOT NULL
);
CREATE UNIQUE INDEX declined_person ON declined (person_digest);

-- Who is forgotten is found as whoever saw it, too. (Some databases have these from when migration 27 was tried.)
CREATE INDEX IF NOT EXISTS disclosures_recipient ON disclosures (tenant, recipient);
CREATE INDEX IF NOT EXISTS disclosures_actor ON disclosures (tenant, actor);

-- Ids of the keys that a node has, between commas; nothing: it does not tell.
ALTER TABLE nodes ADD COLUMN keys TEXT;
