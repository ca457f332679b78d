-- name: sessions
-- The latest conversations, with what their calls took.
WITH latest AS (
    SELECT session_id, theme_id, turns, nodes, replays, errors, models, started_at, last_turn_at FROM conversation_sessions
    WHERE NOT is_side AND $__timeFilter(last_turn_at) ORDER BY last_turn_at DESC LIMIT 50)
SELECT s.session_id::text AS conversation, h.name AS theme, s.turns, s.nodes, s.replays, s.errors,
    array_to_string(s.models, ', ') AS models, used.tokens, used.seconds, s.started_at AS started, s.last_turn_at AS last
FROM latest s LEFT JOIN seed_themes h USING (theme_id)
CROSS JOIN LATERAL (
    SELECT sum(coalesce(r.prompt_tokens, 0) + coalesce(r.completion_tokens, 0)) AS tokens, sum(r.duration_ms) / 1000 AS seconds
    FROM execution_run_records r WHERE r.session_id = s.session_id) AS used
ORDER BY s.last_turn_at DESC;
