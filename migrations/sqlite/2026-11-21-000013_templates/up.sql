-- Templates of a tenant, by name. One that was deleted stays: what was sent by it names its versions.
CREATE TABLE templates (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    -- The highest version that there ever was.
    latest     BIGINT NOT NULL,
    -- The one that is used; nothing: it was deleted.
    current    BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX templates_name ON templates (tenant, name);

-- Rows are added, and never changed.
CREATE TABLE template_versions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    -- All that its author wrote: a JSON object.
    sources    TEXT   NOT NULL,
    author     TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX template_versions_version ON template_versions (tenant, name, version);
