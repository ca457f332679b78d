-- What rows of datasets are made of, read through ADBC: parameters are $n, ids come as text, digests as hexadecimal text.

-- name: turns
-- The calls of the given turns: their history and answer as ids of messages, their tools as the id of a part. What an
-- importer noted is looked for as text: ``->`` fails on a key with half a surrogate pair, which files of others have.
WITH RECURSIVE wanted AS (
    SELECT DISTINCT one::uuid AS turn_id FROM json_array_elements_text($1::json) AS one),
turns AS (
    SELECT t.* FROM wanted JOIN session_turn t USING (turn_id)),
up AS (
    SELECT DISTINCT c.context_id AS history_id, c.parent_id, c.message_id, c.depth FROM turns JOIN context c USING (context_id)
    UNION ALL
    SELECT up.history_id, c.parent_id, c.message_id, c.depth FROM up JOIN context c ON c.context_id = up.parent_id),
histories AS (
    SELECT history_id, array_agg(encode(message_id, 'hex') ORDER BY depth) AS history FROM up GROUP BY history_id)
SELECT t.turn_id::text AS turn_id, t.node_id::text AS node_id, t.session_id::text AS session_id, t.node_status,
       t.finish_reason, histories.history, encode(t.answer_id, 'hex') AS answer,
       encode(i.tools_id, 'hex') AS tools_id,
       left(i.upstream, 7) = 'import:' AND i.answer_rest::text LIKE '%"missing_parent":%' AS parent_missing
FROM turns t
JOIN histories ON histories.history_id = t.context_id
JOIN pipeline_event_inbox i ON i.event_id = t.event_id
ORDER BY t.turn_id;

-- name: messages
-- Messages as they crossed the wire.
SELECT encode(m.message_id, 'hex') AS message_id, m.body::text AS body
FROM message m
WHERE m.message_id IN (SELECT decode(one, 'hex') FROM json_array_elements_text($1::json) AS one);

-- name: tool_lists
-- Tool settings as they crossed the wire.
SELECT encode(p.part_id, 'hex') AS part_id, p.body::text AS body
FROM request_part p
WHERE p.part_id IN (SELECT decode(one, 'hex') FROM json_array_elements_text($1::json) AS one);

-- name: answer_models
-- Which model gave each answer in the histories of the given turns: the place of the answer, from 1; at place 0 the
-- answer of the turn itself. An answer that the client wrote itself, or whose call was not captured, has none.
WITH RECURSIVE wanted AS (
    SELECT DISTINCT one::uuid AS turn_id FROM json_array_elements_text($1::json) AS one),
up AS (
    SELECT t.turn_id, t.session_id, c.parent_id, c.message_id, c.depth
    FROM wanted JOIN session_turn t USING (turn_id) JOIN context c USING (context_id)
    UNION ALL
    SELECT up.turn_id, up.session_id, c.parent_id, c.message_id, c.depth
    FROM up JOIN context c ON c.context_id = up.parent_id)
SELECT up.turn_id::text AS turn_id, up.depth, min(r.model) AS model
FROM up
JOIN session_turn said ON said.session_id = up.session_id AND said.context_id = up.parent_id AND said.answer_id = up.message_id
JOIN execution_run_records r ON r.run_id = said.turn_id
GROUP BY up.turn_id, up.depth
UNION ALL
SELECT r.run_id::text, 0, r.model FROM execution_run_records r WHERE r.run_id IN (SELECT turn_id FROM wanted);

-- name: former_ids
-- Which of the given ids nodes or sessions had under another version of the projection.
SELECT f.id::text AS id
FROM (SELECT node_id AS id FROM former_node UNION ALL SELECT session_id FROM former_session) AS f
WHERE f.id IN (SELECT one::uuid FROM json_array_elements_text($1::json) AS one);

-- name: sessions_of
-- The sessions of a tenant.
SELECT session_id::text AS session_id FROM session WHERE scope = $1;

-- name: nodes_of_turns
-- Where the given turns are in the graph.
SELECT t.turn_id::text AS turn_id, t.node_id::text AS node_id, t.session_id::text AS session_id
FROM session_turn t
WHERE t.turn_id IN (SELECT one::uuid FROM json_array_elements_text($1::json) AS one);
