-- A whole tree in columns, which a picture of it is drawn from.

-- name: settings
-- Joins of a large tree in memory.
SELECT set_config('work_mem', '64MB', true);

-- name: shape
-- The nodes of a session as JSON arrays with an entry per node: a parent before its children, siblings by time. `parent` is a place in
-- the arrays. What repeats is a number of an entry of `names`. `at` is in milliseconds since 1970, `outcome` the verdict that the view
-- turn_outcome gives on a node's first run.
WITH placed AS MATERIALIZED (
    SELECT n.node_id, n.parent_node_id, n.turn_id, n.branch_kind, n.node_status, n.parent_evidence, n.runs,
        r.model, r.tool_calls, r.prompt_tokens, r.completion_tokens, r.duration_ms, r.started_at,
        (row_number() OVER (ORDER BY n.depth, r.started_at, n.node_id))::integer - 1 AS place
    FROM conversation_branch_nodes n
    LEFT JOIN (SELECT * FROM execution_run_records WHERE session_id = %(session)s) AS r ON r.run_id = n.turn_id
    WHERE n.session_id = %(session)s),
branch AS (SELECT turn_id, is_replay, fidelity FROM response_branch_records WHERE session_id = %(session)s),
said AS (
    SELECT p.place, f.value, f.name, f.given_at, f.feedback_id, f.scope FROM placed p JOIN feedback f ON f.turn_id = p.turn_id
    UNION ALL
    SELECT p.place, f.value, f.name, f.given_at, f.feedback_id, f.scope FROM placed p JOIN feedback f ON f.turn_id = p.node_id),
outcome AS (
    SELECT DISTINCT ON (place) place, value FROM said JOIN session s ON s.session_id = %(session)s AND s.scope = said.scope
    WHERE name IN ('reward', 'rating') ORDER BY place, name = 'reward' DESC, given_at DESC, feedback_id DESC),
names AS MATERIALIZED (
    SELECT ARRAY['root', 'continuation', 'retry', 'model_variant', 'sampling_variant', 'prompt_variant', 'tool_variant',
                 'taskify_variant', 'compaction'] AS kinds,
        ARRAY(SELECT DISTINCT node_status FROM placed) AS statuses,
        ARRAY(SELECT DISTINCT parent_evidence FROM placed) AS evidence,
        ARRAY(SELECT DISTINCT model FROM placed WHERE model IS NOT NULL) AS models),
drawn AS (
    SELECT p.*, up.place AS parent, b.is_replay, b.fidelity, o.value AS outcome
    FROM placed p LEFT JOIN placed up ON up.node_id = p.parent_node_id LEFT JOIN branch b ON b.turn_id = p.turn_id
    LEFT JOIN outcome o ON o.place = p.place ORDER BY p.place)
SELECT (SELECT row_to_json(names) FROM names)::text AS names, json_build_object(
        'id', array_agg(node_id),
        'parent', array_agg(parent),
        'kind', array_agg(array_position(names.kinds, branch_kind) - 1),
        'status', array_agg(array_position(names.statuses, node_status) - 1),
        'evidence', array_agg(array_position(names.evidence, parent_evidence) - 1),
        'runs', array_agg(runs),
        'model', array_agg(array_position(names.models, model) - 1),
        'replay', array_agg(coalesce(is_replay, false)::integer),
        'fidelity', array_agg(fidelity),
        'outcome', array_agg(outcome),
        'calls', array_agg(coalesce(tool_calls, 0)),
        'tokens_in', array_agg(prompt_tokens),
        'tokens_out', array_agg(completion_tokens),
        'ms', array_agg(duration_ms::integer),
        'at', array_agg((extract(epoch FROM started_at) * 1000)::bigint))::text AS nodes
FROM drawn CROSS JOIN names;

-- name: words
-- What was asked last before each node, and how its answer starts or which tools it calls, in the order of `shape`.
SELECT json_build_object(
    'result', array_agg(coalesce(role IN ('tool', 'function'), false)::integer),
    'asked', array_agg(asked), 'answer', array_agg(answer), 'called', array_agg(called))::text AS words
FROM (
    SELECT asked.role, asked.words AS asked, answer.words AS answer, answer.called
    FROM conversation_branch_nodes n
    LEFT JOIN (SELECT * FROM execution_run_records WHERE session_id = %(session)s) AS r ON r.run_id = n.turn_id
    -- Look-ups, which OFFSET keeps apart: for a large session the planner would read the messages of all sessions instead.
    LEFT JOIN LATERAL (
        SELECT m.role, left(message_text(m.body), 80) AS words FROM context c JOIN message m USING (message_id)
        WHERE c.context_id = n.context_snapshot_id OFFSET 0) AS asked ON true
    LEFT JOIN LATERAL (
        SELECT left(message_text(m.body), 80) AS words, CASE WHEN r.tool_calls > 0 THEN (
                SELECT left(string_agg(left(c.name, 40), ', ' ORDER BY c.position), 80) FROM message_calls(m.body) AS c)
            END AS called
        FROM message m WHERE m.message_id = r.answer_id OFFSET 0) AS answer ON true
    WHERE n.session_id = %(session)s ORDER BY n.depth, r.started_at, n.node_id) AS placed;

-- name: find
-- Nodes of a session whose answer, or whose last question, holds the words, in the order of `shape`.
WITH hits AS MATERIALIZED (
    SELECT m.message_id FROM message m, websearch_to_tsquery('simple', %(text)s) AS words
    WHERE message_words(m.body) @@ words),
named AS (
    SELECT t.node_id FROM hits h JOIN session_turn t ON t.answer_id = h.message_id
    UNION
    SELECT t.node_id FROM hits h JOIN context c ON c.message_id = h.message_id JOIN session_turn t ON t.context_id = c.context_id)
SELECT n.node_id FROM named JOIN conversation_branch_nodes n USING (node_id) LEFT JOIN session_turn t ON t.turn_id = n.turn_id
WHERE n.session_id = %(session)s ORDER BY n.depth, t.started_at, n.node_id LIMIT %(limit)s;

-- name: captured_call
-- The call of a run as it was captured: the parts of its request, and its answer.
SELECT r.run_id, r.event_id, t.choice_index, r.session_id, e.endpoint, e.upstream, e.http_status, e.streamed, e.cut,
    e.model_requested, e.started_at, e.duration_ms, context_messages(t.context_id)::text AS messages,
    tools.body::text AS tools, sampling.body::text AS sampling, other.body::text AS other, e.identity::text AS identity,
    answer.body::text AS answer, e.answer_rest::text AS answer_rest, e.usage::text AS usage, e.error::text AS error
FROM execution_run_records r JOIN session_turn t ON t.turn_id = r.run_id JOIN session s ON s.session_id = r.session_id
JOIN pipeline_event_inbox e ON e.event_id = r.event_id
LEFT JOIN request_part tools ON tools.part_id = e.tools_id
LEFT JOIN request_part sampling ON sampling.part_id = e.sampling_id
LEFT JOIN request_part other ON other.part_id = e.other_id
LEFT JOIN message answer ON answer.message_id = t.answer_id
WHERE r.run_id = %(run)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s);
