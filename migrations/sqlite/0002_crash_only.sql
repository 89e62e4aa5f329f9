-- What a turn needs to go on after a stop, and what waits for people.

-- `recoveries`: how often a turn was taken up again; `stalled`: how often since it last got further.
ALTER TABLE turns ADD COLUMN recoveries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN stalled INTEGER NOT NULL DEFAULT 0;
-- What clients are told at the end and no event says.
ALTER TABLE turns ADD COLUMN notes TEXT;

CREATE INDEX turns_to_recover ON turns (accepted_at) WHERE ended_at IS NULL;

-- A call that was cut off and may have taken effect, until someone says what became of it.
ALTER TABLE tool_calls ADD COLUMN unknown_since INTEGER;
ALTER TABLE tool_calls ADD COLUMN resolution TEXT;
-- The effect that asks for an approval, and what was answered.
ALTER TABLE tool_calls ADD COLUMN approval INTEGER;
ALTER TABLE tool_calls ADD COLUMN approval_expires_at INTEGER;
ALTER TABLE tool_calls ADD COLUMN approval_answer TEXT;

CREATE INDEX tool_calls_unknown ON tool_calls (unknown_since)
    WHERE unknown_since IS NOT NULL AND resolution IS NULL;
CREATE INDEX tool_calls_to_approve ON tool_calls (approval_expires_at)
    WHERE approval IS NOT NULL AND approval_answer IS NULL AND outcome IS NULL;

-- A request that is sent again under its key gets the turn it got before.
CREATE TABLE idempotency_keys (
    principal  TEXT NOT NULL,
    method     TEXT NOT NULL,
    key        TEXT NOT NULL,
    digest     TEXT NOT NULL,
    turn_id    TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (principal, method, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_turn ON idempotency_keys (turn_id);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

UPDATE meta SET value = 2 WHERE key = 'min_binary';
