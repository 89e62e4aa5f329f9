-- What budgets count: what turns have used, what they hold back, and how much of it nobody has measured.

-- Of tokens and cost, the part that no provider counted; microseconds of work. Turns of before are not told apart.
ALTER TABLE turns ADD COLUMN estimated_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN estimated_cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN worked INTEGER NOT NULL DEFAULT 0;
-- What is held back for what is in flight.
ALTER TABLE turns ADD COLUMN reserved TEXT;

ALTER TABLE sessions ADD COLUMN tool_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN estimated_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN estimated_cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN worked INTEGER NOT NULL DEFAULT 0;

UPDATE sessions
SET tool_calls = t.tool_calls
FROM (SELECT session_id, sum(tool_calls) AS tool_calls FROM turns GROUP BY session_id) AS t
WHERE t.session_id = sessions.id;

-- What the turns that have ended used, by the day they were accepted: it outlives its sessions. `writer` keeps several
-- servers from waiting for each other's rows; there is one here.
CREATE TABLE spending (
    agent_id         TEXT NOT NULL,
    day              INTEGER NOT NULL,
    writer           INTEGER NOT NULL,
    cost             INTEGER NOT NULL,
    tokens           INTEGER NOT NULL,
    tool_calls       INTEGER NOT NULL,
    worked           INTEGER NOT NULL,
    estimated_tokens INTEGER NOT NULL,
    estimated_cost   INTEGER NOT NULL,
    PRIMARY KEY (agent_id, day, writer)
) STRICT, WITHOUT ROWID;

CREATE INDEX spending_by_day ON spending (day);

INSERT INTO spending
SELECT agent_id, accepted_at / 86400000000, 0, sum(cost),
       sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens), sum(tool_calls), 0, 0, 0
FROM turns
WHERE ended_at IS NOT NULL
GROUP BY 1, 2;

-- Here one process has all there is: these stay empty.
CREATE TABLE budgets (
    agent_id TEXT NOT NULL,
    from_day INTEGER NOT NULL,
    PRIMARY KEY (agent_id, from_day)
) STRICT, WITHOUT ROWID;

CREATE TABLE loans (
    agent_id   TEXT NOT NULL,
    from_day   INTEGER NOT NULL,
    instance   TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    cost       INTEGER NOT NULL,
    tokens     INTEGER NOT NULL,
    tool_calls INTEGER NOT NULL,
    worked     INTEGER NOT NULL,
    PRIMARY KEY (agent_id, from_day, instance)
) STRICT, WITHOUT ROWID;

CREATE INDEX loans_by_instance ON loans (instance);

UPDATE meta SET value = 4 WHERE key = 'min_binary';
