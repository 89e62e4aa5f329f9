-- The Looms that share this database. One whose time is over is gone as soon as another finds it so.
CREATE TABLE instances (
    id         TEXT COLLATE "C" PRIMARY KEY,
    address    TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Names an instance, which may be gone: its sessions are free then. `epoch` rises when another takes one.
ALTER TABLE sessions ADD COLUMN owner TEXT COLLATE "C";

CREATE INDEX sessions_by_owner ON sessions (owner) WHERE owner IS NOT NULL;
