-- What the runtime tables of the workbench read of the log, through ADBC: parameters are $n, two numbers of the inbox:
-- after the first, up to the second. Times are UTC without a zone; stored JSON comes as text.

-- name: calls
-- Captured calls, each with the session of its first choice.
SELECT e.event_id::text AS event_id, e.seq, t.session_id::text AS session_id, e.scope, e.endpoint, e.upstream, e.purpose,
    e.identity::text AS identity, coalesce(e.model_answered, e.model_requested, '') AS model,
    e.started_at AT TIME ZONE 'UTC' AS started_at, e.duration_ms, e.http_status, e.cut, e.error IS NOT NULL AS told_error,
    e.usage::text AS usage, e.attempt, e.final
FROM pipeline_event_inbox e
LEFT JOIN LATERAL (
    SELECT session_id FROM session_turn WHERE event_id = e.event_id ORDER BY choice_index LIMIT 1) AS t ON true
WHERE e.seq > $1::bigint AND e.seq <= $2::bigint ORDER BY e.seq;

-- name: turns
-- Their answers, each with what was asked last.
SELECT t.turn_id::text AS turn_id, t.event_id::text AS event_id, e.seq, t.choice_index, t.session_id::text AS session_id,
    t.node_id::text AS node_id, e.scope, e.upstream, e.purpose, e.identity::text AS identity,
    coalesce(e.model_answered, e.model_requested, '') AS model, t.node_status, t.finish_reason, t.context_depth,
    t.tool_calls, e.started_at AT TIME ZONE 'UTC' AS started_at, e.duration_ms, e.first_byte_ms,
    asked.role AS asked_role, asked.body::text AS asked, answer.body::text AS answer
FROM pipeline_event_inbox e JOIN session_turn t USING (event_id)
JOIN context c ON c.context_id = t.context_id JOIN message asked ON asked.message_id = c.message_id
LEFT JOIN message answer ON answer.message_id = t.answer_id
WHERE e.seq > $1::bigint AND e.seq <= $2::bigint ORDER BY e.seq, t.choice_index;

-- name: tool_calls
-- Answers with tool calls among them, and those that they bring the results of. Results are the messages between such
-- an answer and the next one, in the history of the first call that goes on from it.
WITH RECURSIVE fresh AS (
    SELECT t.turn_id, t.session_id, t.tool_calls
    FROM pipeline_event_inbox e JOIN session_turn t USING (event_id)
    WHERE e.seq > $1::bigint AND e.seq <= $2::bigint),
wanted AS (
    SELECT turn_id FROM fresh WHERE tool_calls > 0
    UNION
    SELECT t.turn_id FROM fresh f JOIN session_lineage l USING (turn_id)
    JOIN session_turn t ON t.session_id = f.session_id AND t.answer_projection = l.awaited_projection
    WHERE t.tool_calls > 0),
next AS (
    SELECT w.turn_id AS asking, n.turn_id, n.context_id, n.started_at
    FROM wanted w JOIN session_turn a USING (turn_id)
    CROSS JOIN LATERAL (
        SELECT t.turn_id, t.context_id, t.started_at
        FROM session_lineage l JOIN session_turn t USING (turn_id)
        WHERE l.session_id = a.session_id AND l.awaited_projection = a.answer_projection
        ORDER BY t.started_at, t.turn_id LIMIT 1) AS n),
tail AS (
    SELECT next.asking, c.parent_id, c.depth, m.role, m.body
    FROM next JOIN context c USING (context_id) JOIN message m USING (message_id) WHERE m.role <> 'assistant'
    UNION ALL
    SELECT tail.asking, c.parent_id, c.depth, m.role, m.body
    FROM tail JOIN context c ON c.context_id = tail.parent_id JOIN message m USING (message_id)
    WHERE m.role <> 'assistant'),
told AS (
    SELECT asking, json_agg(body ORDER BY depth)::text AS following FROM tail GROUP BY asking)
SELECT w.turn_id::text AS turn_id, t.session_id::text AS session_id, m.body::text AS answer, told.following,
    next.turn_id::text AS result_turn_id, e.started_at AT TIME ZONE 'UTC' AS started_at, e.duration_ms,
    extract(epoch FROM next.started_at - e.started_at)::float8 AS until_next,
    coalesce(e.model_answered, e.model_requested, '') AS model
FROM wanted w JOIN session_turn t USING (turn_id) JOIN pipeline_event_inbox e USING (event_id)
JOIN message m ON m.message_id = t.answer_id
LEFT JOIN next ON next.asking = w.turn_id LEFT JOIN told ON told.asking = w.turn_id
ORDER BY t.started_at, t.turn_id;
