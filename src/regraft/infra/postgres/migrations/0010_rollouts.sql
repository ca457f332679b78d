-- Branches that a replay grew further than one answer: how true they are to the record, and why they ended.

-- Of the turns that a rollout made. Both are of the history that the turn was asked with, and derived from the log.
ALTER TABLE response_branch_records
    ADD COLUMN fidelity double precision CHECK (fidelity BETWEEN 0 AND 1),  -- NULL: no tool result in the branch
    ADD COLUMN first_divergence jsonb;                                      -- NULL: none so far

-- How each rollout ended. Truth: why a branch ended is said by none of its calls.
CREATE TABLE rollout (
    rollout_id        uuid PRIMARY KEY,
    fingerprint       text NOT NULL,               -- of the job that it carried out
    session_id        uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    node_id           uuid NOT NULL,               -- the node that was grown again
    turn_ids          uuid[] NOT NULL,             -- its captured calls, in order
    policy            text NOT NULL CHECK (policy IN ('strict', 'recorded', 'live', 'simulated')),
    simulated_user    boolean NOT NULL,            -- a model spoke for the user where the record no longer applied
    stop_reason       text NOT NULL CHECK (stop_reason IN ('end_of_record', 'unrecorded_tool_call',
                          'user_turn_no_longer_applies', 'user_ended', 'max_turns', 'max_tokens', 'error', 'refused')),
    stop_detail       text NOT NULL,
    steps             integer NOT NULL,            -- answers
    tool_sources      jsonb NOT NULL,              -- how many results came from 'path', 'sibling', 'drift', 'live', 'simulated'
    drift             jsonb NOT NULL,              -- which calls were given the result of another, in words
    fidelity          double precision CHECK (fidelity BETWEEN 0 AND 1),  -- share of 'path' and 'sibling'; NULL: no tools
    first_divergence  jsonb,                       -- where it first parted from the recorded path, its last answer included
    created_at        timestamptz NOT NULL
);
CREATE INDEX rollout_fingerprint ON rollout (fingerprint);
CREATE INDEX rollout_session ON rollout (session_id);
CREATE INDEX rollout_node ON rollout (node_id);
CREATE INDEX rollout_last_turn ON rollout ((turn_ids[cardinality(turn_ids)]));
