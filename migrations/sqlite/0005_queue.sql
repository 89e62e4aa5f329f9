-- Messages that wait until their session is free: turns that are accepted and not begun, with no event in their journal.

-- What was asked, until the turn begins or is given up.
ALTER TABLE turns ADD COLUMN queued TEXT;

-- What becomes of a message that finds the session at work, unless it says so itself.
ALTER TABLE sessions ADD COLUMN when_busy TEXT;

UPDATE meta SET value = 5 WHERE key = 'min_binary';
