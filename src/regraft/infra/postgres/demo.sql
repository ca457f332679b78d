-- Queries of the demo.

-- name: stored_answer
-- The answer that was given first, and whole, to a history, if it was asked before.
SELECT m.body::text AS body FROM session_turn t JOIN message m ON m.message_id = t.answer_id
WHERE t.session_id = %(session)s AND t.context_projection = %(projection)s AND t.purpose = 'chat' AND t.node_status = 'ok'
ORDER BY t.started_at, t.turn_id LIMIT 1;

-- name: replayable
-- Of each session the node of its first answer: what the demo replays.
SELECT DISTINCT ON (t.session_id) t.node_id, t.session_id FROM session_turn t
WHERE t.session_id = ANY(%(sessions)s::uuid[]) AND t.purpose = 'chat' AND t.node_status = 'ok'
ORDER BY t.session_id, t.context_depth, t.started_at;
