-- Queries of taskification: calls that asked for plans, and the plans.

-- name: calls
-- Captured calls that asked for a plan and are in no result yet, oldest first.
SELECT t.turn_id, t.session_id, t.started_at, t.node_status, e.scope, e.identity::text AS identity, m.body::text AS answer,
    coalesce(e.model_answered, e.model_requested, '') AS model, coalesce(e.system_fingerprint, '') AS fingerprint,
    e.upstream_pin, e.error::text AS error, e.http_status, context_messages(t.context_id)::text AS messages
FROM session_turn t JOIN pipeline_event_inbox e USING (event_id)
LEFT JOIN message m ON m.message_id = t.answer_id
WHERE t.purpose = 'taskify' AND t.choice_index = 0
    AND NOT EXISTS (SELECT 1 FROM taskification_results r WHERE r.turn_ids @> ARRAY[t.turn_id])
ORDER BY t.started_at, t.turn_id;

-- name: nodes_of_turns
-- The nodes that these turns gave.
SELECT turn_id, node_id FROM session_turn WHERE turn_id = ANY(%(turns)s::uuid[]);

-- name: known
-- Which of these taskifications are stored.
SELECT taskification_id FROM taskification_results WHERE taskification_id = ANY(%(ids)s::uuid[]);

-- name: add
-- A result; the same one is stored once.
INSERT INTO taskification_results (taskification_id, subject, scope, session_id, node_id, prompt, prompt_digest,
    taskify_rule_version, model, model_snapshot_id, status, plan, problems, turn_ids, generation, supersedes, created_at)
VALUES (%(taskification_id)s, %(subject)s, %(scope)s, %(session_id)s, %(node_id)s, %(prompt)s, %(prompt_digest)s,
    %(taskify_rule_version)s, %(model)s, %(model_snapshot_id)s, %(status)s, %(plan)s::json, %(problems)s, %(turn_ids)s,
    %(generation)s, (SELECT r.taskification_id FROM taskification_results r WHERE r.taskification_id = %(supersedes)s),
    %(created_at)s)
ON CONFLICT (taskification_id) DO NOTHING;

-- name: latest
-- The newest generation for a subject.
SELECT taskification_id, taskify_rule_version, generation FROM taskification_results
WHERE subject = %(subject)s ORDER BY generation DESC, created_at DESC LIMIT 1;

-- name: one
-- A result with everything.
SELECT taskification_id, subject, scope, session_id, node_id, prompt, taskify_rule_version, model, model_snapshot_id,
    status, plan::text AS plan, problems, turn_ids, generation, supersedes, created_at
FROM taskification_results WHERE taskification_id = %(id)s;

-- name: like
-- Results whose id lies between two bounds.
SELECT taskification_id AS id FROM taskification_results
WHERE taskification_id BETWEEN %(low)s AND %(high)s ORDER BY 1 LIMIT 2;

-- name: list
-- Results, the newest first; of one node where it is given.
SELECT taskification_id, node_id, left(prompt, 120) AS prompt, taskify_rule_version, model, status, generation,
    json_array_length(plan -> 'subtasks') AS subtasks, supersedes, created_at
FROM taskification_results WHERE %(node)s::uuid IS NULL OR node_id = %(node)s
ORDER BY created_at DESC, taskification_id LIMIT %(limit)s;

-- name: steps
-- The runs of a plan, by time.
SELECT run_id, node_id, taskify_step AS step, purpose, backend, model, run_status, prompt_tokens, completion_tokens, duration_ms,
    started_at
FROM execution_run_records WHERE taskification_id = %(id)s ORDER BY started_at, run_id;

-- name: counts
-- Results by how they ended.
SELECT count(*) AS rows, count(*) FILTER (WHERE status = 'planned') AS planned,
    count(*) FILTER (WHERE status = 'repaired') AS repaired, count(*) FILTER (WHERE status = 'failed') AS failed
FROM taskification_results;
