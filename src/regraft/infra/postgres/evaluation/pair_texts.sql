-- name: beginnings
-- How the last question of turns and their answers begin; an answer without words is its calls. What was erased is left out.
SELECT t.turn_id, coalesce(left(message_text(asked.body), %(characters)s), '') AS question,
    coalesce(nullif(left(message_text(answer.body), %(characters)s), ''), called.calls, '') AS answer
FROM session_turn t
JOIN pipeline_event_inbox e ON e.event_id = t.event_id AND e.erased_at IS NULL
LEFT JOIN context c ON c.context_id = t.context_id
LEFT JOIN message asked ON asked.message_id = c.message_id
LEFT JOIN message answer ON answer.message_id = t.answer_id
LEFT JOIN LATERAL (
    SELECT left(string_agg(m.name || '(' || coalesce(m.arguments, '') || ')', ', ' ORDER BY m.position), %(characters)s) AS calls
    FROM message_calls(answer.body) AS m) AS called ON true
WHERE t.turn_id = ANY(%(turns)s);
