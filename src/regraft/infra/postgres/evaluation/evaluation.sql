-- What the evaluation stations read of the truth, through ADBC: parameters are $n, ids come as text, lists as JSON.

-- name: changed_sessions
-- Sessions that the graph has changed since a build.
SELECT session_id::text AS session_id, build FROM conversation_sessions WHERE build > $1::bigint ORDER BY session_id;

-- name: session_count
-- How many sessions the graph has.
SELECT count(*) AS sessions FROM conversation_sessions;

-- name: session_ids
-- All of them.
SELECT session_id::text AS session_id FROM conversation_sessions ORDER BY session_id;

-- name: label_states
-- A digest of the judgements that count, per session that has any. The number in it goes up with what is made of them.
SELECT session_id::text AS session_id, md5('3,' || string_agg(label_id::text, ',' ORDER BY label_id)) AS state
FROM (SELECT session_id, label_id FROM deciding_human_eval_labels
      UNION ALL
      SELECT t.session_id, p.label_id
      FROM deciding_preference_labels p JOIN session_turn t ON t.turn_id = p.anchor_turn_id) AS labels
GROUP BY session_id ORDER BY session_id;

-- name: outcome_states
-- A digest of the rewards, ratings and imported judgements that were reported, per session that has any. The number in
-- it goes up with what is made of them.
SELECT session_id::text AS session_id,
       md5('3,' || string_agg(feedback_id::text, ',' ORDER BY feedback_id)) AS state
FROM (SELECT coalesce(b.session_id, f.target_session_id) AS session_id, f.feedback_id
      FROM feedback_target f JOIN feedback said USING (feedback_id)
      LEFT JOIN response_branch_records b ON b.turn_id = f.target_turn_id
      WHERE (f.name IN ('reward', 'rating') OR said.imported) AND f.target_session_id IS NOT NULL) AS reported
GROUP BY session_id ORDER BY session_id;

-- name: units
-- Each path from root to leaf of the given sessions, with its steps, its history and its answer.
WITH RECURSIVE wanted AS (
    SELECT one::uuid AS session_id FROM json_array_elements_text($1::json) AS one),
leaf AS (
    SELECT n.* FROM conversation_branch_nodes n JOIN wanted USING (session_id)
    WHERE n.parent_node_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM conversation_branch_nodes child WHERE child.parent_node_id = n.node_id)),
path AS (
    SELECT leaf.node_id AS unit_id, leaf.node_id, leaf.parent_node_id, leaf.turn_id, leaf.depth, leaf.branch_kind,
           leaf.node_status
    FROM leaf
    UNION ALL
    SELECT path.unit_id, n.node_id, n.parent_node_id, n.turn_id, n.depth, n.branch_kind, n.node_status
    FROM path JOIN conversation_branch_nodes n ON n.node_id = path.parent_node_id
    WHERE n.parent_node_id IS NOT NULL),
steps AS (
    SELECT path.unit_id,
           bool_or(b.is_replay) AS replayed,
           json_agg(json_build_object(
               'node_id', path.node_id, 'anchor', b.context_anchor_turn_id, 'kind', path.branch_kind,
               'status', path.node_status, 'model', r.model, 'finish_reason', r.finish_reason,
               'prompt_tokens', r.prompt_tokens, 'completion_tokens', r.completion_tokens,
               'duration_ms', r.duration_ms) ORDER BY path.depth)::text AS steps
    FROM path
    JOIN execution_run_records r ON r.run_id = path.turn_id
    LEFT JOIN response_branch_records b ON b.turn_id = path.turn_id
    GROUP BY path.unit_id),
-- One walk for all histories: a call of context_messages() per row would plan its joins for one.
up AS (
    SELECT DISTINCT c.context_id AS history_id, c.parent_id, c.message_id, c.depth
    FROM leaf JOIN context c ON c.context_id = leaf.context_snapshot_id
    UNION ALL
    SELECT up.history_id, c.parent_id, c.message_id, c.depth FROM up JOIN context c ON c.context_id = up.parent_id),
histories AS (
    SELECT up.history_id, json_agg(m.body ORDER BY up.depth)::text AS history
    FROM up JOIN message m USING (message_id) GROUP BY up.history_id)
SELECT leaf.node_id::text AS unit_id, leaf.session_id::text AS session_id, leaf.turn_id::text AS turn_id,
       b.context_anchor_turn_id::text AS anchor, coalesce(rt.name, st.name, '') AS theme, r.task_key, r.purpose,
       r.model, leaf.node_status, steps.steps, coalesce(histories.history, '[]') AS history,
       m.body::text AS answer, r.started_at AT TIME ZONE 'UTC' AS started_at,
       -- A rollout's end counts the results of its last answer too; its last call told only of those before.
       coalesce((SELECT x.fidelity FROM rollout x WHERE x.turn_ids[cardinality(x.turn_ids)] = leaf.turn_id LIMIT 1),
                b.fidelity) AS fidelity,
       (SELECT json_agg(length(message_text(om.body)) ORDER BY o.branch_index)::text
        FROM response_branch_records o JOIN session_turn ot ON ot.turn_id = o.turn_id
        JOIN message om ON om.message_id = ot.answer_id
        WHERE o.context_anchor_turn_id = b.context_anchor_turn_id AND o.node_id <> leaf.node_id) AS sibling_lengths,
       coalesce(
           (SELECT json_agg(json_build_array(v.name, v.value, v.source)
                            ORDER BY v.name = 'reward' DESC, v.given_at DESC, v.feedback_id DESC)::text
            FROM judgements_of_node(leaf.node_id) AS v WHERE v.name IN ('reward', 'rating') AND NOT v.imported),
           -- What was said of a session as a whole was said of what its clients saw, not of replays that came later.
           CASE WHEN NOT coalesce(steps.replayed, false) THEN
               (SELECT json_agg(json_build_array(v.name, v.value, v.source)
                                ORDER BY v.name = 'reward' DESC, v.given_at DESC, v.feedback_id DESC)::text
                FROM verdicts_of_session(leaf.session_id) AS v) END, '[]') AS verdicts,
       coalesce((SELECT json_agg(json_build_array(v.name, v.value, v.source, v.annotator, v.given_by, v.comparison,
                                                    v.scale_low, v.scale_high) ORDER BY v.feedback_id)::text
                 FROM judgements_of_node(leaf.node_id) AS v WHERE v.imported), '[]') AS judgements
FROM leaf
JOIN steps ON steps.unit_id = leaf.node_id
LEFT JOIN histories ON histories.history_id = leaf.context_snapshot_id
JOIN conversation_sessions s ON s.session_id = leaf.session_id
JOIN execution_run_records r ON r.run_id = leaf.turn_id
LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
LEFT JOIN seed_themes st ON st.theme_id = s.theme_id
LEFT JOIN response_branch_records b ON b.turn_id = leaf.turn_id
LEFT JOIN message m ON m.message_id = r.answer_id
WHERE r.purpose <> 'judge'  -- what judges say of conversations is no conversation
ORDER BY leaf.node_id;

-- name: anchors
-- The anchors of the given sessions.
SELECT DISTINCT b.context_anchor_turn_id::text AS anchor FROM response_branch_records b
WHERE b.session_id IN (SELECT one::uuid FROM json_array_elements_text($1::json) AS one);

-- name: siblings
-- Every answer under those anchors of the given sessions that have several.
WITH wanted AS (
    SELECT one::uuid AS session_id FROM json_array_elements_text($1::json) AS one),
anchors AS (
    SELECT b.context_anchor_turn_id FROM response_branch_records b
    WHERE b.context_anchor_turn_id IN (
        SELECT own.context_anchor_turn_id FROM response_branch_records own JOIN wanted USING (session_id))
    GROUP BY b.context_anchor_turn_id HAVING count(*) > 1),
ratings AS (
    SELECT unit_id, json_agg(rating ORDER BY label_id)::text AS ratings FROM deciding_human_eval_labels GROUP BY unit_id)
SELECT b.context_anchor_turn_id::text AS anchor, b.node_id::text AS node_id, b.turn_id::text AS turn_id,
       b.session_id::text AS session_id, b.branch_kind, t.context_id, i.tools_id, t.answer_projection, t.node_status,
       t.finish_reason, r.model, r.purpose, coalesce(rt.name, st.name, '') AS theme, m.body::text AS answer,
       r.started_at AT TIME ZONE 'UTC' AS started_at, ratings.ratings,
       coalesce((SELECT json_agg(json_build_array(v.name, v.value, v.source)
                                 ORDER BY v.name = 'reward' DESC, v.given_at DESC, v.feedback_id DESC)::text
                 FROM judgements_of_node(b.node_id) AS v
                 WHERE v.name IN ('reward', 'rating') AND NOT v.imported), '[]') AS verdicts,
       coalesce((SELECT json_agg(json_build_array(v.name, v.value, v.source, v.annotator, v.given_by, v.comparison,
                                                    v.scale_low, v.scale_high) ORDER BY v.feedback_id)::text
                 FROM judgements_of_node(b.node_id) AS v WHERE v.imported), '[]') AS judgements
FROM anchors
JOIN response_branch_records b USING (context_anchor_turn_id)
JOIN session_turn t ON t.turn_id = b.turn_id
JOIN pipeline_event_inbox i ON i.event_id = t.event_id
JOIN execution_run_records r ON r.run_id = b.turn_id
JOIN conversation_sessions s ON s.session_id = b.session_id
LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
LEFT JOIN seed_themes st ON st.theme_id = s.theme_id
LEFT JOIN message m ON m.message_id = t.answer_id
LEFT JOIN ratings ON ratings.unit_id = b.node_id
WHERE r.purpose <> 'judge'
ORDER BY b.context_anchor_turn_id, b.branch_index;

-- name: votes
-- The preferences that count under the anchors of the given sessions.
WITH wanted AS (
    SELECT one::uuid AS session_id FROM json_array_elements_text($1::json) AS one),
anchors AS (
    SELECT DISTINCT b.context_anchor_turn_id FROM response_branch_records b JOIN wanted USING (session_id))
SELECT p.pair_id::text AS pair_id, p.source, p.preference, p.decided_by, coalesce(p.judge_version, '') AS judge_version
FROM anchors JOIN deciding_preference_labels p ON p.anchor_turn_id = anchors.context_anchor_turn_id
ORDER BY p.label_id;

-- name: ratings
-- What counts of each unit that was judged here: ratings by people and the categories that they named, ratings by judges
-- (judge, version, rating), and the categories that judges give it (judge, version, category).
WITH deciding AS MATERIALIZED (SELECT label_id, unit_id, rating, categories FROM deciding_human_eval_labels),
people AS (
    SELECT unit_id, r.ratings, c.categories
    FROM (SELECT unit_id, json_agg(rating ORDER BY label_id) AS ratings FROM deciding GROUP BY unit_id) AS r
    LEFT JOIN (SELECT unit_id, json_agg(DISTINCT category) AS categories
               FROM deciding, unnest(categories) AS category GROUP BY unit_id) AS c USING (unit_id)),
rated AS (
    SELECT unit_id, json_agg(json_build_array(judge, judge_version, rating) ORDER BY judge) AS judge_ratings
    FROM current_judge_ratings WHERE rating IS NOT NULL GROUP BY unit_id),
named AS (
    SELECT unit_id, json_agg(json_build_array(judge, judge_version, category) ORDER BY category, judge) AS judge_categories
    FROM current_judge_labels WHERE value > 0.5 GROUP BY unit_id)
SELECT unit_id::text AS unit_id, coalesce(ratings, '[]')::text AS ratings, coalesce(categories, '[]')::text AS categories,
       coalesce(judge_ratings, '[]')::text AS judge_ratings, coalesce(judge_categories, '[]')::text AS judge_categories
FROM people FULL JOIN rated USING (unit_id) FULL JOIN named USING (unit_id) ORDER BY unit_id;

-- name: tool_calls
-- How many tool calls the answers of nodes make.
WITH wanted AS (
    SELECT one::uuid AS node_id FROM json_array_elements_text($1::json) AS one)
SELECT n.node_id::text AS node_id, t.tool_calls
FROM wanted JOIN conversation_branch_nodes n USING (node_id) JOIN session_turn t ON t.turn_id = n.turn_id;

-- name: anchor_nodes
-- Of anchors: the node that a replay of their context starts from, its tenant, and its theme.
WITH wanted AS (
    SELECT one::uuid AS turn_id FROM json_array_elements_text($1::json) AS one)
SELECT t.turn_id::text AS anchor, t.node_id::text AS node_id, s.scope, coalesce(rt.name, st.name, '') AS theme
FROM wanted JOIN session_turn t USING (turn_id)
JOIN conversation_sessions s ON s.session_id = t.session_id
JOIN execution_run_records r ON r.run_id = t.turn_id
LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
LEFT JOIN seed_themes st ON st.theme_id = s.theme_id;
