-- Human and other judgements. Append-only: a correction supersedes, and what was taken back stays.

-- name: unit_turn
-- The first run of a node: what a reviewer of this unit is shown.
SELECT n.node_id, n.session_id, n.turn_id, context_messages(n.context_snapshot_id)::text AS history,
       m.body::text AS answer
FROM conversation_branch_nodes n
JOIN session_turn t ON t.turn_id = n.turn_id
LEFT JOIN message m ON m.message_id = t.answer_id
WHERE n.node_id = %(unit_id)s;

-- name: latest_rating
-- The latest rating of a unit by this reviewer, taken back or not.
SELECT label_id, created_at FROM human_eval_labels
WHERE unit_id = %(unit_id)s AND reviewer = %(reviewer)s AND adjudicates = %(adjudicates)s
ORDER BY created_at DESC, label_id DESC LIMIT 1;

-- name: add_rating
-- One rating.
INSERT INTO human_eval_labels (label_id, unit_id, session_id, reviewer, rating, categories, note, seconds, shown_hash,
                               shown, supersedes, created_at, item_id, adjudicates)
VALUES (%(label_id)s, %(unit_id)s, %(session_id)s, %(reviewer)s, %(rating)s, %(categories)s, %(note)s, %(seconds)s,
        %(shown_hash)s, %(shown)s, %(supersedes)s, %(created_at)s, %(item_id)s, %(adjudicates)s);

-- name: latest_preference
-- The latest preference on a pair by the same one, taken back or not.
SELECT label_id, created_at FROM preference_labels
WHERE pair_id = %(pair_id)s AND source = %(source)s AND decided_by = %(decided_by)s AND adjudicates = %(adjudicates)s
ORDER BY created_at DESC, label_id DESC LIMIT 1;

-- name: add_preference
-- One preference.
INSERT INTO preference_labels (label_id, pair_id, anchor_turn_id, node_a, node_b, source, decided_by, preference,
                               shown_first, note, seconds, shown_hash, supersedes, created_at, item_id, adjudicates,
                               judge_version)
VALUES (%(label_id)s, %(pair_id)s, %(anchor_turn_id)s, %(node_a)s, %(node_b)s, %(source)s, %(decided_by)s,
        %(preference)s, %(shown_first)s, %(note)s, %(seconds)s, %(shown_hash)s, %(supersedes)s, %(created_at)s,
        %(item_id)s, %(adjudicates)s, %(judge_version)s);

-- name: rating
-- What a rating said.
SELECT label_id, rating, categories, note, seconds FROM human_eval_labels WHERE label_id = %(label_id)s;

-- name: preference
-- What a preference said.
SELECT label_id, preference, shown_first, note, seconds FROM preference_labels WHERE label_id = %(label_id)s;

-- name: current_label
-- The label of a reviewer on a unit or a pair that counts.
SELECT label_id FROM current_human_eval_labels
WHERE %(kind)s = 'unit' AND unit_id = %(subject_id)s AND reviewer = %(reviewer)s AND NOT adjudicates
UNION ALL
SELECT label_id FROM current_preference_labels
WHERE %(kind)s = 'pair' AND pair_id = %(subject_id)s AND source = 'human' AND decided_by = %(reviewer)s
  AND NOT adjudicates;

-- name: retract
-- A label is taken back.
INSERT INTO label_retractions (label_id, retracted_by, retracted_at)
VALUES (%(label_id)s, %(retracted_by)s, %(now)s) ON CONFLICT DO NOTHING;

-- name: answers
-- Two turns with the history they share, for showing side by side.
SELECT t.turn_id, t.node_id, context_messages(t.context_id)::text AS history, m.body::text AS answer
FROM session_turn t LEFT JOIN message m ON m.message_id = t.answer_id
WHERE t.turn_id = ANY(%(turn_ids)s);

-- name: revealed
-- Whose answers they were.
SELECT n.node_id, n.turn_id, r.model, r.purpose, n.branch_kind
FROM conversation_branch_nodes n JOIN execution_run_records r ON r.run_id = n.turn_id
WHERE n.node_id = ANY(%(nodes)s);
