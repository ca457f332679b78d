-- Calls of every dialect, attempts of one operation, feedback, and captured calls that wait for another.

-- Attempts of one operation share its id; only the final one has the answer that the client got, and a turn.
ALTER TABLE pipeline_event_inbox
    ADD COLUMN operation_id uuid,                       -- NULL: one attempt was all
    ADD COLUMN attempt      integer NOT NULL DEFAULT 1,
    ADD COLUMN final        boolean NOT NULL DEFAULT true,
    ADD COLUMN traceparent  text NOT NULL DEFAULT '',
    ADD COLUMN asked_model  text NOT NULL DEFAULT '';   -- the client's name for the model where an alias replaced it
CREATE INDEX pipeline_event_inbox_operation ON pipeline_event_inbox (operation_id) WHERE operation_id IS NOT NULL;

-- The turn that gave a response, by the id that a later call may go on from.
CREATE TABLE response_alias (
    scope        text NOT NULL,
    response_id  text NOT NULL,
    turn_id      uuid NOT NULL REFERENCES session_turn,
    PRIMARY KEY (scope, response_id)
);

-- A call in quarantine may wait for another one, and is then tried again when that one arrives, or when its time comes.
ALTER TABLE quarantine
    ADD COLUMN waits_for    text,                       -- 'turn:ID' or 'response:SCOPE:ID'; NULL: it cannot be read
    ADD COLUMN tries        integer NOT NULL DEFAULT 0,
    ADD COLUMN next_try_at  timestamptz;
CREATE INDEX quarantine_waits_for ON quarantine (waits_for) WHERE resolved_at IS NULL AND waits_for IS NOT NULL;
CREATE INDEX quarantine_next_try ON quarantine (next_try_at) WHERE resolved_at IS NULL AND waits_for IS NOT NULL;

-- What somebody said of a turn or a session. Rows are only ever added; a target may be unknown yet.
CREATE TABLE feedback (
    feedback_id    uuid PRIMARY KEY,
    scope          text NOT NULL,
    turn_id        uuid,                                -- a turn's id, or a node's
    session_id     uuid,                                -- of the session that the client named so
    session_claim  uuid,                                -- where the name is an id of our own
    name           text NOT NULL,                       -- reward, rating, or the client's own word
    value          double precision NOT NULL,
    comment        text,
    source         text NOT NULL,
    given_at       timestamptz NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (turn_id IS NOT NULL OR session_id IS NOT NULL)
);
CREATE INDEX feedback_turn ON feedback (turn_id) WHERE turn_id IS NOT NULL;
CREATE INDEX feedback_session ON feedback (session_id) WHERE session_id IS NOT NULL;

-- Feedback with the turn or the session that it is about, as far as that is known by now. A tenant judges only its own.
CREATE VIEW feedback_target AS
    SELECT f.*, t.turn_id AS target_turn_id, coalesce(t.session_id, s.session_id) AS target_session_id
    FROM feedback f
    LEFT JOIN LATERAL (
        SELECT found.turn_id, found.session_id FROM session_turn found
        JOIN session ON session.session_id = found.session_id AND session.scope = f.scope
        WHERE found.turn_id = f.turn_id OR found.node_id = f.turn_id
        ORDER BY found.turn_id = f.turn_id DESC, found.started_at, found.turn_id LIMIT 1) AS t ON true
    LEFT JOIN LATERAL (
        SELECT found.session_id FROM session found
        WHERE f.turn_id IS NULL AND found.session_id IN (f.session_id, f.session_claim) AND found.scope = f.scope
        ORDER BY found.session_id = f.session_id DESC LIMIT 1) AS s ON true;

-- The latest reward of each turn; a rating counts only where no reward was given.
CREATE VIEW turn_outcome AS
    SELECT DISTINCT ON (target_turn_id) target_turn_id AS turn_id, target_session_id AS session_id, name,
        value AS reward, comment, source, given_at, feedback_id
    FROM feedback_target
    WHERE target_turn_id IS NOT NULL AND name IN ('reward', 'rating')
    ORDER BY target_turn_id, name = 'reward' DESC, given_at DESC, feedback_id DESC;

-- The latest reward of each session as a whole.
CREATE VIEW session_outcome AS
    SELECT DISTINCT ON (target_session_id) target_session_id AS session_id, name, value AS reward, comment, source,
        given_at, feedback_id
    FROM feedback_target
    WHERE turn_id IS NULL AND target_session_id IS NOT NULL AND name IN ('reward', 'rating')
    ORDER BY target_session_id, name = 'reward' DESC, given_at DESC, feedback_id DESC;
