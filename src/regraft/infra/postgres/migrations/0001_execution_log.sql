-- The execution log: what was captured, as it was captured. Rows are only ever added here.

-- One chat message, stored once. `body` is its canonical JSON text, so that a replay sends the same bytes;
-- type json (not jsonb) keeps key text, number literals, NUL and lone surrogates unharmed.
CREATE TABLE message (
    message_id  bytea PRIMARY KEY,              -- exact digest, BLAKE2b-256 of `body`
    role        text NOT NULL,
    body        json NOT NULL
);

-- One step of a history: a parent context and one more message. A history of n messages is n rows, shared by every
-- call that starts with it. `projection_id` is the same chain over projected messages: the identity used for joining.
CREATE TABLE context (
    context_id     bytea PRIMARY KEY,
    parent_id      bytea REFERENCES context,
    message_id     bytea NOT NULL REFERENCES message,
    depth          integer NOT NULL CHECK (depth >= 1),   -- messages in this history
    projection_id  bytea NOT NULL
);
CREATE INDEX context_projection ON context (projection_id);

-- The parts of a request that are not its messages, stored once each: model settings and the tool list.
CREATE TABLE request_part (
    part_id  bytea PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('tools', 'sampling', 'other')),
    body     json NOT NULL
);

-- One captured call: everything but the messages.
CREATE TABLE pipeline_event_inbox (
    event_id         uuid PRIMARY KEY,
    seq              bigint GENERATED ALWAYS AS IDENTITY,
    received_at      timestamptz NOT NULL DEFAULT now(),
    scope            text NOT NULL,
    endpoint         text NOT NULL,
    upstream         text NOT NULL,
    upstream_pin     text NOT NULL,
    purpose          text NOT NULL,
    started_at       timestamptz NOT NULL,
    duration_ms      double precision NOT NULL,
    first_byte_ms    double precision,
    http_status      integer NOT NULL,
    streamed         boolean NOT NULL,
    cut              text NOT NULL,              -- '', 'client' or 'upstream'
    error            json,
    model_requested  text,
    model_answered   text,
    context_id       bytea REFERENCES context,   -- NULL: the request held no messages
    tools_id         bytea REFERENCES request_part,
    sampling_id      bytea REFERENCES request_part,
    other_id         bytea REFERENCES request_part,
    usage            json,
    system_fingerprint text,
    answer_rest      json NOT NULL,              -- the answer without its messages: ids, timings, logprobs
    identity         json NOT NULL,
    projection_version integer NOT NULL,
    gateway_version  text NOT NULL
);
CREATE UNIQUE INDEX pipeline_event_inbox_seq ON pipeline_event_inbox (seq);

-- A captured call that could not be read, kept whole.
CREATE TABLE quarantine (
    event_id     uuid PRIMARY KEY,
    reason       text NOT NULL,
    event        bytea NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    resolved_at  timestamptz
);

-- One conversation, found by its opening or named by its client.
CREATE TABLE session (
    session_id   uuid PRIMARY KEY,
    scope        text NOT NULL,
    external_id  text,                            -- what the client called it
    evidence     text NOT NULL CHECK (evidence IN ('explicit_header', 'explicit_node', 'opening')),
    first_seen   timestamptz NOT NULL DEFAULT now()
);

-- One model call's answer: a context in, one assistant message out. n > 1 gives a turn per choice.
CREATE TABLE session_turn (
    turn_id              uuid PRIMARY KEY,
    event_id             uuid NOT NULL REFERENCES pipeline_event_inbox,
    choice_index         integer NOT NULL,
    session_id           uuid NOT NULL REFERENCES session,
    context_id           bytea NOT NULL REFERENCES context,
    context_projection   bytea NOT NULL,
    context_depth        integer NOT NULL,
    answer_id            bytea REFERENCES message,   -- NULL: there was no answer
    answer_projection    bytea NOT NULL,             -- the chain after the answer: what a child's history starts with
    node_id              uuid NOT NULL,
    node_status          text NOT NULL CHECK (node_status IN ('ok', 'error', 'interrupted', 'filtered', 'refused')),
    finish_reason        text,
    tool_calls           integer NOT NULL,           -- in the answer
    started_at           timestamptz NOT NULL,
    purpose              text NOT NULL,
    system_digest        bytea NOT NULL,
    user_digest          bytea NOT NULL
);
CREATE INDEX session_turn_session ON session_turn (session_id, context_projection);
CREATE INDEX session_turn_answer ON session_turn (session_id, answer_projection);
CREATE INDEX session_turn_node ON session_turn (node_id);
CREATE INDEX session_turn_event ON session_turn (event_id);

-- What is claimed of a turn's place, and what its history waits for.
CREATE TABLE session_lineage (
    turn_id              uuid PRIMARY KEY REFERENCES session_turn,
    session_id           uuid NOT NULL,
    awaited_projection   bytea,                  -- history up to its last assistant message; NULL: there is none
    parent_claim         uuid,                   -- X-Regraft-Parent-Node
    replay_claim         uuid                    -- X-Regraft-Replay-Node
);
CREATE INDEX session_lineage_awaited ON session_lineage (session_id, awaited_projection);
CREATE INDEX session_lineage_parent_claim ON session_lineage (parent_claim) WHERE parent_claim IS NOT NULL;
CREATE INDEX session_lineage_replay_claim ON session_lineage (replay_claim) WHERE replay_claim IS NOT NULL;

-- Turns that the graph has not placed yet. Written with the turn, taken away by the build in the same transaction as
-- its rows: no counter that a late commit could slip behind.
CREATE TABLE lineage_queue (
    turn_id     uuid PRIMARY KEY REFERENCES session_turn,
    session_id  uuid NOT NULL,
    failure     text                             -- why it could not be placed; NULL: it was not tried yet
);
CREATE INDEX lineage_queue_session ON lineage_queue (session_id);
