-- What budgets count: what turns have used, what they hold back, and how much of it nobody has measured.

-- Of tokens and cost, the part that no provider counted; microseconds of work. Turns of before are not told apart.
ALTER TABLE turns ADD COLUMN estimated_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN estimated_cost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN worked BIGINT NOT NULL DEFAULT 0;
-- What is held back for what is in flight.
ALTER TABLE turns ADD COLUMN reserved JSON;

ALTER TABLE sessions ADD COLUMN tool_calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN estimated_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN estimated_cost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN worked BIGINT NOT NULL DEFAULT 0;

UPDATE sessions AS s
SET tool_calls = t.tool_calls
FROM (SELECT session_id, sum(tool_calls)::bigint AS tool_calls FROM turns GROUP BY session_id) AS t
WHERE t.session_id = s.id;

-- What the turns that have ended used, by the day they were accepted: it outlives its sessions. `writer` is the server
-- process of the connection that writes, so that no instance waits for another's row.
CREATE TABLE spending (
    agent_id         TEXT COLLATE "C" NOT NULL,
    day              BIGINT NOT NULL,
    writer           BIGINT NOT NULL,
    cost             BIGINT NOT NULL,
    tokens           BIGINT NOT NULL,
    tool_calls       BIGINT NOT NULL,
    worked           BIGINT NOT NULL,
    estimated_tokens BIGINT NOT NULL,
    estimated_cost   BIGINT NOT NULL,
    PRIMARY KEY (agent_id, day, writer)
);

CREATE INDEX spending_by_day ON spending (day);

INSERT INTO spending
SELECT agent_id, accepted_at / 86400000000, 0, sum(cost)::bigint,
       sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens)::bigint, sum(tool_calls)::bigint, 0, 0,
       0
FROM turns
WHERE ended_at IS NOT NULL
GROUP BY 1, 2;

-- Locked by who borrows of a budget; the empty agent is all of them. A loan is room that an instance may begin to use, and
-- goes with it.
CREATE TABLE budgets (
    agent_id TEXT COLLATE "C" NOT NULL,
    from_day BIGINT NOT NULL,
    PRIMARY KEY (agent_id, from_day)
);

CREATE TABLE loans (
    agent_id   TEXT COLLATE "C" NOT NULL,
    from_day   BIGINT NOT NULL,
    instance   TEXT COLLATE "C" NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    cost       BIGINT NOT NULL,
    tokens     BIGINT NOT NULL,
    tool_calls BIGINT NOT NULL,
    worked     BIGINT NOT NULL,
    PRIMARY KEY (agent_id, from_day, instance)
);

CREATE INDEX loans_by_instance ON loans (instance);

UPDATE meta SET value = 4 WHERE key = 'min_binary';
