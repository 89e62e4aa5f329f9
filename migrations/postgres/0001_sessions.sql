-- Times are microseconds since the Unix epoch, money is nano-dollars. `json` keeps the text as it was written, which
-- `jsonb` does not. Names that come from outside may hold a NUL, which `text` cannot: it is written as U+001A and `0`,
-- U+001A itself as U+001A and `1`. Keys are ordered by their bytes ("C"): that is the order of lists and of locks, and no
-- change of the operating system's rules breaks their indexes.

CREATE TABLE meta (
    key   TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);

-- `min_binary`: a binary whose newest migration is older refuses this database.
INSERT INTO meta (key, value) VALUES ('min_binary', 1);

CREATE TABLE agents (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    listed     BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX agents_by_name ON agents (name) WHERE listed;

CREATE TABLE agent_versions (
    agent_id    TEXT COLLATE "C" NOT NULL REFERENCES agents (id),
    version     BIGINT NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    definition  JSON NOT NULL,
    digest      TEXT NOT NULL,
    source_path TEXT,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (agent_id, version)
);

CREATE TABLE sessions (
    id                 TEXT COLLATE "C" PRIMARY KEY,
    agent_id           TEXT COLLATE "C" NOT NULL,
    created_at         BIGINT NOT NULL,
    last_active        BIGINT NOT NULL,
    name               TEXT COLLATE "C" NOT NULL,
    backend            TEXT NOT NULL,
    principal          TEXT NOT NULL,
    state              TEXT NOT NULL,
    metadata           JSON NOT NULL,
    turns              BIGINT NOT NULL,
    input_tokens       BIGINT NOT NULL,
    output_tokens      BIGINT NOT NULL,
    cache_read_tokens  BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost               BIGINT NOT NULL,
    context_start      BIGINT NOT NULL,
    next_message       BIGINT NOT NULL,
    epoch              BIGINT NOT NULL
);

CREATE INDEX sessions_by_activity ON sessions (last_active);
CREATE INDEX sessions_by_agent ON sessions (agent_id, state);

CREATE TABLE turns (
    id                 TEXT COLLATE "C" PRIMARY KEY,
    session_id         TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    agent_id           TEXT COLLATE "C" NOT NULL,
    agent_version      BIGINT NOT NULL,
    rules_version      BIGINT NOT NULL,
    config             JSON NOT NULL,
    rom                TEXT NOT NULL,
    patterns           TEXT NOT NULL,
    provider           TEXT NOT NULL,
    model              TEXT NOT NULL,
    trace_id           TEXT COLLATE "C" NOT NULL,
    parent_span        TEXT,
    pattern            JSON,
    accepted_at        BIGINT NOT NULL,
    events             BIGINT NOT NULL,
    input_tokens       BIGINT NOT NULL,
    output_tokens      BIGINT NOT NULL,
    cache_read_tokens  BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost               BIGINT NOT NULL,
    model_calls        BIGINT NOT NULL,
    tool_calls         BIGINT NOT NULL,
    outcome            JSON,
    ended_at           BIGINT
);

CREATE INDEX turns_by_session ON turns (session_id);
CREATE INDEX turns_unfinished ON turns (session_id) WHERE ended_at IS NULL;
CREATE INDEX turns_by_trace ON turns (trace_id);

-- The journal. `append_id` names the append that wrote the event. The effects that follow from an event are not stored:
-- the rules version of the turn and its events give them again.
CREATE TABLE turn_events (
    turn_id   TEXT COLLATE "C" NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    seq       BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    append_id TEXT COLLATE "C" NOT NULL,
    event     JSON NOT NULL,
    PRIMARY KEY (turn_id, seq)
);

-- `number` is the order of storing.
CREATE TABLE messages (
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    session_id TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    turn_id    TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    role       TEXT NOT NULL,
    content    JSON NOT NULL,
    beside     JSON NOT NULL,
    tokens     BIGINT NOT NULL,
    cost       BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    words      TSVECTOR,
    UNIQUE (session_id, seq)
);

-- `words` is filled after the message is stored; where it is null, a search reads the content. `'*'` stands for words that
-- do not fit.
CREATE INDEX messages_by_words ON messages USING gin (words);
CREATE INDEX messages_without_words ON messages (number) WHERE words IS NULL;

CREATE TABLE tool_calls (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    turn_id    TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    call_id    TEXT COLLATE "C" NOT NULL,
    tool_name  TEXT NOT NULL,
    args       JSON NOT NULL,
    class      TEXT NOT NULL,
    effect     BIGINT,
    started_at BIGINT,
    outcome    TEXT,
    result     JSON,
    facts      JSON,
    ended_at   BIGINT
);

-- Of a hash, because a model's name for a call may be longer than an index takes.
CREATE UNIQUE INDEX tool_calls_by_name ON tool_calls (message_id, hashtextextended(call_id, 0));
CREATE INDEX tool_calls_by_turn ON tool_calls (turn_id);

CREATE TABLE observations (
    id             TEXT COLLATE "C" PRIMARY KEY,
    session_id     TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    trace_id       TEXT COLLATE "C" NOT NULL,
    hawk_reference TEXT,
    created_at     BIGINT NOT NULL
);

CREATE INDEX observations_by_session ON observations (session_id);

CREATE TABLE memory_state (
    id         TEXT COLLATE "C" PRIMARY KEY,
    session_id TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    layer      TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    value      TEXT NOT NULL,
    refcount   BIGINT NOT NULL,
    UNIQUE (session_id, layer, key)
);

-- Spans beyond those that the journal tells; bounded, the oldest go first.
CREATE TABLE spans (
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace_id   TEXT COLLATE "C" NOT NULL,
    id         BIGINT NOT NULL,
    parent     BIGINT,
    name       TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    attributes JSON NOT NULL
);

CREATE INDEX spans_by_trace ON spans (trace_id);
