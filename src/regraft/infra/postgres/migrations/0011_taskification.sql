-- Plans of subtasks. Truth, and rows are only ever added: another plan for the same subject is a new generation.
-- It names nodes, sessions and turns without foreign keys, because the graph is derived and may be derived again.
CREATE TABLE taskification_results (
    taskification_id      uuid PRIMARY KEY,             -- from subject, rule version and generation
    subject               text NOT NULL,                -- 'node:ID', 'turn:ID' (a call to an orchestrator) or 'prompt:DIGEST'
    scope                 text NOT NULL,
    session_id            uuid,                         -- where the calls that made it are
    node_id               uuid,                         -- the node whose request was cut; NULL: a bare prompt
    prompt                text NOT NULL,
    prompt_digest         bytea NOT NULL,               -- of the exact text, where `prompt` cannot hold all of it
    taskify_rule_version  text NOT NULL,
    model                 text NOT NULL,
    model_snapshot_id     text NOT NULL,
    status                text NOT NULL CHECK (status IN ('planned', 'repaired', 'failed')),
    plan                  json,                         -- NULL: no valid plan was made
    problems              text[] NOT NULL,              -- why it was repaired or failed: 'STEP: PROBLEM: words'
    turn_ids              uuid[] NOT NULL,              -- the captured calls that made it, in their order
    generation            integer NOT NULL DEFAULT 1 CHECK (generation >= 1),
    supersedes            uuid REFERENCES taskification_results,
    created_at            timestamptz NOT NULL,
    CHECK ((plan IS NULL) = (status = 'failed'))
);
CREATE INDEX taskification_results_subject ON taskification_results (subject, generation DESC);
CREATE INDEX taskification_results_node ON taskification_results (node_id) WHERE node_id IS NOT NULL;
CREATE INDEX taskification_results_turns ON taskification_results USING gin (turn_ids);
CREATE INDEX taskification_results_recent ON taskification_results (created_at DESC);

-- The calls that ask for plans are few among all.
CREATE INDEX session_turn_taskify ON session_turn (started_at) WHERE purpose = 'taskify';

-- Which step of the plan a run carried out: plan, repair, a subtask's id, synthesis or answer.
ALTER TABLE execution_run_records ADD COLUMN taskify_step text;
CREATE INDEX execution_run_records_taskification ON execution_run_records (taskification_id)
    WHERE taskification_id IS NOT NULL;
