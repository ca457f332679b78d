-- Labels from files: which answers they name, and their storing.

-- name: named_turns
-- The turns of a tenant that these ids are of, or of their nodes: the first of a node.
SELECT DISTINCT ON (w.id) w.id AS named, t.turn_id, t.node_id
FROM unnest(%(ids)s::uuid[]) AS w (id)
JOIN session_turn t ON t.turn_id = w.id OR t.node_id = w.id
JOIN session s ON s.session_id = t.session_id AND s.scope = %(scope)s
ORDER BY w.id, t.turn_id = w.id DESC, t.started_at, t.turn_id;

-- name: answered_with
-- The turns that gave a response with one of these ids.
SELECT response_id AS named, turn_id FROM response_alias
WHERE scope = %(scope)s AND response_id = ANY(%(keys)s);

-- name: imported_messages
-- The turns of imported messages with one of these ids.
SELECT i.named, t.turn_id, t.node_id
FROM (SELECT event_id, stored_text(answer_rest::json, 'import', 'message') AS named FROM pipeline_event_inbox
      WHERE scope = %(scope)s AND left(upstream, 7) = 'import:') AS i
JOIN session_turn t USING (event_id)
WHERE i.named = ANY(%(keys)s);

-- name: imported_conversations
-- The turns of imported conversations with one of these ids, and how long the history of each is.
SELECT i.named, t.turn_id, t.node_id, t.context_depth
FROM (SELECT event_id, stored_text(answer_rest::json, 'import', 'conversation') AS named FROM pipeline_event_inbox
      WHERE scope = %(scope)s AND left(upstream, 7) = 'import:') AS i
JOIN session_turn t USING (event_id)
WHERE i.named = ANY(%(keys)s);

-- name: add_label
-- One judgement; the same one again changes nothing.
INSERT INTO feedback (feedback_id, scope, turn_id, name, value, comment, source, given_at, imported, annotator, given_by,
                      comparison, scale_low, scale_high)
VALUES (%(feedback_id)s, %(scope)s, %(turn_id)s, %(name)s, %(value)s, %(comment)s, %(source)s, %(given_at)s, true,
        %(annotator)s, %(given_by)s, %(comparison)s, %(scale_low)s, %(scale_high)s)
ON CONFLICT DO NOTHING;

-- name: judgements_of_node
-- What was judged of a node, the latest first.
SELECT name, value, source, annotator, given_by, comparison, scale_low, scale_high, imported, given_at
FROM judgements_of_node(%(node)s) ORDER BY given_at DESC, source, name, annotator;

-- name: judgement_counts
-- How many judgements there are by who gave them.
SELECT source, annotator, given_by, name, imported, count(*) AS judgements, count(DISTINCT comparison) AS comparisons
FROM feedback WHERE turn_id IS NOT NULL
GROUP BY source, annotator, given_by, name, imported ORDER BY source, annotator, name;

-- name: labels
-- Every label that counts today: ratings and preferences of reviews, and what clients and imports said of answers.
SELECT l.* FROM (
    SELECT label_id, 'rating' AS kind, session_id, unit_id AS node_id, NULL::uuid AS other_node_id, 'rating' AS name,
        rating::double precision AS value, 1.0::double precision AS scale_low, 5.0::double precision AS scale_high,
        NULL AS preference, 'human' AS source, reviewer AS decided_by, 'person' AS given_by, NULL AS comparison, categories,
        note, false AS imported, created_at AS given_at
    FROM current_human_eval_labels
    UNION ALL
    SELECT p.label_id, 'preference', t.session_id, p.node_a, p.node_b, 'preference', NULL, NULL, NULL, p.preference, p.source,
        p.decided_by, CASE p.source WHEN 'human' THEN 'person' WHEN 'model' THEN 'model' END, NULL, '{}', p.note,
        p.source = 'imported', p.created_at
    FROM current_preference_labels p JOIN session_turn t ON t.turn_id = p.anchor_turn_id
    UNION ALL
    SELECT feedback_id, 'judgement', session_id, node_id, NULL, name, value, scale_low, scale_high, NULL, source, annotator,
        given_by, comparison, '{}', comment, imported, given_at
    FROM judgements WHERE NOT superseded) AS l
LEFT JOIN conversation_sessions s USING (session_id) LEFT JOIN seed_themes t USING (theme_id)
WHERE (%(session)s::uuid IS NULL OR l.session_id = %(session)s) AND (%(theme)s::text IS NULL OR t.name = %(theme)s)
ORDER BY l.given_at, l.label_id;
