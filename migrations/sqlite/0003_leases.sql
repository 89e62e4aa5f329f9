-- Here the lock on the data directory makes one process the owner of everything: it needs no row, and this stays empty.
CREATE TABLE instances (
    id         TEXT PRIMARY KEY,
    address    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- Names the run of Loom that has taken an unfinished session up.
ALTER TABLE sessions ADD COLUMN owner TEXT;

CREATE INDEX sessions_by_owner ON sessions (owner) WHERE owner IS NOT NULL;
