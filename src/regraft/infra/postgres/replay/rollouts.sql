-- Queries of rollouts: what was recorded from a node on, what other branches recorded of tools, and how rollouts ended.

-- name: below
-- A node and all below it, each with the facts of its first run.
WITH RECURSIVE down AS (
    SELECT node_id, parent_node_id, turn_id, parent_evidence FROM conversation_branch_nodes WHERE node_id = %(node)s
    UNION ALL
    SELECT n.node_id, n.parent_node_id, n.turn_id, n.parent_evidence
    FROM down JOIN conversation_branch_nodes n ON n.parent_node_id = down.node_id)
SELECT down.node_id, down.parent_node_id, down.parent_evidence, t.session_id, t.context_id, t.context_depth,
    t.context_projection, t.answer_projection, t.finish_reason, t.purpose = 'replay' AS is_replay, t.started_at,
    t.answer_id IS NOT NULL AS answered
FROM down JOIN session_turn t USING (turn_id) ORDER BY t.started_at, down.node_id;

-- name: history
-- Every step of a history, first to last, and the answer that was given to it.
WITH RECURSIVE up AS (
    SELECT context_id, parent_id, message_id, depth, projection_id FROM context WHERE context_id = %(context)s
    UNION ALL
    SELECT c.context_id, c.parent_id, c.message_id, c.depth, c.projection_id
    FROM up JOIN context c ON c.context_id = up.parent_id)
SELECT up.projection_id, up.depth,
    (SELECT m.body::text FROM message m WHERE m.message_id = up.message_id) AS body
FROM up ORDER BY up.depth;

-- name: answer
-- The answer of a node's first run.
SELECT m.body::text AS body FROM conversation_branch_nodes n JOIN session_turn t USING (turn_id)
JOIN message m ON m.message_id = t.answer_id WHERE n.node_id = %(node)s;

-- name: forest
-- Every history of a session, each step once; bodies only of messages that call tools or answer them. They are told
-- by their text: PostgreSQL cannot look into JSON that holds NUL.
WITH RECURSIVE up AS (
    SELECT c.context_id, c.parent_id, c.message_id, c.depth, c.projection_id
    FROM (SELECT DISTINCT context_id FROM session_turn WHERE session_id = %(session)s) t JOIN context c USING (context_id)
    UNION
    SELECT c.context_id, c.parent_id, c.message_id, c.depth, c.projection_id
    FROM up JOIN context c ON c.context_id = up.parent_id)
SELECT up.context_id, up.parent_id, up.projection_id,
    CASE WHEN m.role IN ('tool', 'function') OR m.body::text LIKE '%%"tool_calls"%%'
        OR m.body::text LIKE '%%"function_call"%%' THEN m.body::text END AS body
FROM up JOIN message m USING (message_id) ORDER BY up.depth, up.context_id;

-- name: replay_histories
-- The calls of a session that rollouts made: the history of each, and its labels.
SELECT t.context_id, r.variant::text AS variant FROM session_turn t JOIN execution_run_records r ON r.run_id = t.turn_id
WHERE t.session_id = %(session)s AND t.purpose = 'replay' AND r.variant IS NOT NULL;

-- name: save
-- A rollout that has ended.
INSERT INTO rollout (rollout_id, fingerprint, session_id, node_id, turn_ids, policy, simulated_user, stop_reason,
    stop_detail, steps, tool_sources, drift, fidelity, first_divergence, created_at)
VALUES (%(rollout_id)s, %(fingerprint)s, %(session_id)s, %(node_id)s, %(turn_ids)s, %(policy)s, %(simulated_user)s,
    %(stop_reason)s, %(stop_detail)s, %(steps)s, %(tool_sources)s::jsonb, %(drift)s::jsonb, %(fidelity)s,
    %(first_divergence)s::jsonb, %(created_at)s);

-- name: of_node
-- The rollouts that began at a node or at an answer under its anchor, or that a run of the node belongs to; newest last.
SELECT r.rollout_id, r.fingerprint, r.node_id, r.turn_ids, r.policy, r.simulated_user, r.stop_reason, r.stop_detail,
    r.steps, r.tool_sources::text, r.drift::text, r.fidelity, r.first_divergence::text, r.created_at
FROM rollout r
WHERE r.node_id = %(node)s OR r.turn_ids && ARRAY(SELECT run_id FROM execution_run_records WHERE node_id = %(node)s)
ORDER BY r.created_at, r.rollout_id;

-- name: of_turns
-- The rollouts that these calls belong to.
SELECT DISTINCT r.rollout_id, r.fingerprint, r.node_id, r.turn_ids, r.policy, r.simulated_user, r.stop_reason,
    r.stop_detail, r.steps, r.tool_sources::text, r.drift::text, r.fidelity, r.first_divergence::text, r.created_at
FROM rollout r WHERE r.turn_ids && %(turns)s::uuid[]
ORDER BY r.created_at, r.rollout_id;
