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
