-- What the calibration of judges reads of the truth, through ADBC: ids come as text.

-- name: feedback
-- Judgements of answers with the node that each is about, by the turn that it names, else by the node.
WITH said AS (
    SELECT f.feedback_id, f.scope, f.turn_id, f.name, f.value, f.source, coalesce(f.annotator, '') AS annotator,
           coalesce(f.given_by, '') AS given_by, coalesce(f.comparison, '') AS comparison, f.scale_low, f.scale_high,
           f.imported, f.given_at
    FROM feedback f WHERE f.turn_id IS NOT NULL AND f.source <> '[erased]'),
by_turn AS (
    SELECT said.*, t.node_id, t.session_id FROM said JOIN session_turn t ON t.turn_id = said.turn_id),
by_node AS (
    SELECT DISTINCT ON (said.feedback_id) said.*, t.node_id, t.session_id
    FROM said JOIN session_turn t ON t.node_id = said.turn_id
    WHERE NOT EXISTS (SELECT FROM session_turn o WHERE o.turn_id = said.turn_id)
    ORDER BY said.feedback_id, t.started_at, t.turn_id)
SELECT found.feedback_id::text AS feedback_id, found.turn_id::text AS turn_id, found.node_id::text AS node_id, found.name,
       found.value, found.source, found.annotator, found.given_by, found.comparison, found.scale_low, found.scale_high,
       found.imported, found.given_at AT TIME ZONE 'UTC' AS given_at
FROM (SELECT * FROM by_turn UNION ALL SELECT * FROM by_node) AS found
JOIN session s ON s.session_id = found.session_id AND s.scope = found.scope;

-- name: preferences
-- Preferences that decide, and of each version of a judge its latest on a pair.
SELECT node_a::text AS node_a, node_b::text AS node_b, source, decided_by, judge_version, preference,
       created_at AT TIME ZONE 'UTC' AS created_at
FROM deciding_preference_labels WHERE judge_version IS NULL
UNION ALL
SELECT node_a::text, node_b::text, source, decided_by, judge_version, preference, created_at AT TIME ZONE 'UTC'
FROM (SELECT DISTINCT ON (pair_id, judge_version) * FROM preference_labels
      WHERE judge_version IS NOT NULL ORDER BY pair_id, judge_version, created_at DESC, label_id DESC) AS latest;

-- name: human_ratings
-- Ratings by people that decide, with the categories that each named.
SELECT unit_id::text AS unit_id, reviewer, rating, to_json(categories)::text AS categories,
       created_at AT TIME ZONE 'UTC' AS created_at
FROM deciding_human_eval_labels;

-- name: judge_labels
-- What judges said of paths, by category.
SELECT unit_id::text AS unit_id, judge_version, category, value, model_snapshot, judged_at AT TIME ZONE 'UTC' AS judged_at
FROM judge_labels WHERE value IS NOT NULL;

-- name: judge_ratings
-- How judges rated paths.
SELECT unit_id::text AS unit_id, judge_version, rating, model_snapshot, judged_at AT TIME ZONE 'UTC' AS judged_at
FROM judge_ratings WHERE rating IS NOT NULL;

-- name: pair_votes
-- Each vote of a judge on a pair that has a value.
SELECT judge_version, pair_id::text AS pair_id, node_a::text AS node_a, node_b::text AS node_b, shown_first,
       value ->> 'preference' AS preference, snapshot AS model_snapshot, created_at AT TIME ZONE 'UTC' AS created_at
FROM judge_votes_with_snapshots WHERE pair_id IS NOT NULL AND value IS NOT NULL;

-- name: versions
-- Every version of every judge; the latest snapshot of its model.
SELECT d.judge_version, d.judge, d.task, d.model, d.judge_version = c.judge_version AS current,
       coalesce((SELECT v.snapshot FROM judge_votes_with_snapshots v WHERE v.judge_version = d.judge_version
                 ORDER BY v.created_at DESC, v.vote_id DESC LIMIT 1), '') AS latest_snapshot
FROM judge_versions d JOIN current_judge_versions c USING (judge);

-- name: answers
-- What is compared beside the labels: of each node that was judged its context, session, theme, model and length.
WITH judged AS (
    SELECT t.node_id FROM feedback f JOIN session_turn t ON t.turn_id = f.turn_id
    UNION SELECT f.turn_id FROM feedback f WHERE f.turn_id IS NOT NULL
    UNION SELECT unit_id FROM human_eval_labels
    UNION SELECT unnest(ARRAY[node_a, node_b]) FROM preference_labels
    UNION SELECT coalesce(unit_id, node_a) FROM judge_votes)
SELECT n.node_id::text AS node_id, b.context_anchor_turn_id::text AS anchor, n.session_id::text AS session_id,
       coalesce(rt.name, st.name, '') AS theme, s.scope, r.model, length(message_text(m.body)) AS characters
FROM judged JOIN conversation_branch_nodes n USING (node_id)
JOIN conversation_sessions s ON s.session_id = n.session_id
JOIN execution_run_records r ON r.run_id = n.turn_id
LEFT JOIN response_branch_records b ON b.turn_id = n.turn_id
LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
LEFT JOIN seed_themes st ON st.theme_id = s.theme_id
LEFT JOIN message m ON m.message_id = r.answer_id;
