-- Times are microseconds since the Unix epoch, money is nano-dollars, JSON is text as it was written.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `min_binary`: a binary whose newest migration is older refuses this database.
-- `fts_cursor`: messages up to this number are in the full-text index.
INSERT INTO meta (key, value) VALUES ('min_binary', 1), ('fts_cursor', 0);

CREATE TABLE agents (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    listed     INTEGER NOT NULL CHECK (listed IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX agents_by_name ON agents (name) WHERE listed = 1;

CREATE TABLE agent_versions (
    agent_id    TEXT NOT NULL REFERENCES agents (id),
    version     INTEGER NOT NULL,
    name        TEXT NOT NULL,
    definition  TEXT NOT NULL,
    digest      TEXT NOT NULL,
    source_path TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (agent_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id                 TEXT PRIMARY KEY,
    agent_id           TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    last_active        INTEGER NOT NULL,
    name               TEXT NOT NULL,
    backend            TEXT NOT NULL,
    principal          TEXT NOT NULL,
    state              TEXT NOT NULL,
    metadata           TEXT NOT NULL,
    turns              INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cost               INTEGER NOT NULL,
    context_start      INTEGER NOT NULL,
    next_message       INTEGER NOT NULL,
    epoch              INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_activity ON sessions (last_active);
CREATE INDEX sessions_by_agent ON sessions (agent_id, state);

CREATE TABLE turns (
    id                 TEXT PRIMARY KEY,
    session_id         TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    agent_id           TEXT NOT NULL,
    agent_version      INTEGER NOT NULL,
    rules_version      INTEGER NOT NULL,
    config             TEXT NOT NULL,
    rom                TEXT NOT NULL,
    patterns           TEXT NOT NULL,
    provider           TEXT NOT NULL,
    model              TEXT NOT NULL,
    trace_id           TEXT NOT NULL,
    parent_span        TEXT,
    pattern            TEXT,
    accepted_at        INTEGER NOT NULL,
    events             INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cost               INTEGER NOT NULL,
    model_calls        INTEGER NOT NULL,
    tool_calls         INTEGER NOT NULL,
    outcome            TEXT,
    ended_at           INTEGER
) STRICT;

CREATE INDEX turns_by_session ON turns (session_id);
CREATE INDEX turns_unfinished ON turns (session_id) WHERE ended_at IS NULL;
CREATE INDEX turns_by_trace ON turns (trace_id);

-- The journal. `append_id` names the append that wrote the event. The effects that follow from an event are not stored:
-- the rules version of the turn and its events give them again.
CREATE TABLE turn_events (
    turn_id   TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    append_id TEXT NOT NULL,
    event     TEXT NOT NULL,
    PRIMARY KEY (turn_id, seq)
) STRICT, WITHOUT ROWID;

-- `number` is the order of storing. It is never used again (AUTOINCREMENT), so that the full-text cursor can trust it.
CREATE TABLE messages (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    turn_id    TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    role       TEXT NOT NULL,
    content    TEXT NOT NULL,
    beside     TEXT NOT NULL,
    tokens     INTEGER NOT NULL,
    cost       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (session_id, seq)
) STRICT;

-- Words only; the messages are not stored twice. Text arrives folded, so the tokenizer has nothing to decide.
CREATE VIRTUAL TABLE messages_fts USING fts5 (
    words,
    content = '',
    contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 0"
);

CREATE TABLE tool_calls (
    id         INTEGER PRIMARY KEY,
    turn_id    TEXT NOT NULL,
    message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    call_id    TEXT NOT NULL,
    tool_name  TEXT NOT NULL,
    args       TEXT NOT NULL,
    class      TEXT NOT NULL,
    effect     INTEGER,
    started_at INTEGER,
    outcome    TEXT,
    result     TEXT,
    facts      TEXT,
    ended_at   INTEGER,
    UNIQUE (message_id, call_id)
) STRICT;

CREATE INDEX tool_calls_by_turn ON tool_calls (turn_id);

CREATE TABLE observations (
    id             TEXT PRIMARY KEY,
    session_id     TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    trace_id       TEXT NOT NULL,
    hawk_reference TEXT,
    created_at     INTEGER NOT NULL
) STRICT;

CREATE INDEX observations_by_session ON observations (session_id);

CREATE TABLE memory_state (
    id         TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    layer      TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    refcount   INTEGER NOT NULL,
    UNIQUE (session_id, layer, key)
) STRICT;
