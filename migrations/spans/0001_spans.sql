-- Spans beyond those that the journal tells, in a file of their own: they may be lost, the rest may not.
CREATE TABLE spans (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id   TEXT NOT NULL,
    id         INTEGER NOT NULL,
    parent     INTEGER,
    name       TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    attributes TEXT NOT NULL
) STRICT;

CREATE INDEX spans_by_trace ON spans (trace_id);
