-- Human and other judgements. Append-only: a correction supersedes.

-- name: unit_turn
-- The first run of a node: what a reviewer of this unit is shown.
SELECT n.node_id, n.session_id, n.turn_id, context_messages(n.context_snapshot_id)::text AS history,
       m.body::text AS answer
FROM conversation_branch_nodes n
JOIN session_turn t ON t.turn_id = n.turn_id
LEFT JOIN message m ON m.message_id = t.answer_id
WHERE n.node_id = %(unit_id)s;

-- name: current_rating
-- This reviewer's rating of a unit that counts today.
SELECT label_id FROM current_human_eval_labels WHERE unit_id = %(unit_id)s AND reviewer = %(reviewer)s;

-- name: add_rating
-- One rating.
INSERT INTO human_eval_labels (label_id, unit_id, session_id, reviewer, rating, categories, note, seconds, shown_hash,
                               shown, supersedes, created_at)
VALUES (%(label_id)s, %(unit_id)s, %(session_id)s, %(reviewer)s, %(rating)s, %(categories)s, %(note)s, %(seconds)s,
        %(shown_hash)s, %(shown)s, %(supersedes)s, %(created_at)s);

-- name: current_preference
-- The preference of this reviewer on a pair that still counts.
SELECT label_id FROM current_preference_labels
WHERE pair_id = %(pair_id)s AND source = %(source)s AND decided_by = %(decided_by)s;

-- name: add_preference
-- One preference.
INSERT INTO preference_labels (label_id, pair_id, anchor_turn_id, node_a, node_b, source, decided_by, preference,
                               shown_first, note, shown_hash, supersedes, created_at, judge_version)
VALUES (%(label_id)s, %(pair_id)s, %(anchor_turn_id)s, %(node_a)s, %(node_b)s, %(source)s, %(decided_by)s,
        %(preference)s, %(shown_first)s, %(note)s, %(shown_hash)s, %(supersedes)s, %(created_at)s, %(judge_version)s);

-- name: judged_pairs
-- Per pair: how many people judged it, and whether this reviewer did.
SELECT pair_id, count(*) AS people, bool_or(decided_by = %(reviewer)s) AS mine
FROM current_preference_labels WHERE source = 'human' GROUP BY pair_id;

-- name: answers
-- Two turns with the history they share, for showing side by side.
SELECT t.turn_id, t.node_id, context_messages(t.context_id)::text AS history, m.body::text AS answer
FROM session_turn t LEFT JOIN message m ON m.message_id = t.answer_id
WHERE t.turn_id = ANY(%(turn_ids)s);
