-- What people may be asked to judge, with how uncertain it is and how much of the tree hangs on it.

-- name: optional_tables
-- Which of the tables that make the queue better were ever filled.
SELECT table_name AS name FROM information_schema.tables
WHERE table_name IN ('trajectory_clusters', 'unit_category_labels', 'pivot_nodes');

-- name: unit_candidates
-- Paths. Uncertain are those whose known parts are near the middle, or apart; all paths of a session hang on each.
SELECT unit_id, session_id, theme, turn_id, path_nodes,
       greatest(1 - abs(2 * coalesce(outcome, judge_outcome, imported_judge, quality) - 1),
                greatest(quality, outcome, judge_outcome, imported_judge, imported_outcome)
                - least(quality, outcome, judge_outcome, imported_judge, imported_outcome)) AS uncertainty,
       count(*) OVER (PARTITION BY session_id) AS leaves
FROM trajectory_units ORDER BY unit_id;

-- name: pair_candidates
-- Pairs that are legal, or lack nothing but a decision. Certain are those that their source tells apart clearly; what
-- people or imports decided counts half, and sources that contradict one another are uncertain.
WITH below AS (
    SELECT node, count(*) AS leaves FROM (SELECT unnest(path_nodes) AS node FROM trajectory_units) GROUP BY node)
SELECT p.pair_id, p.session_id, p.theme, p.anchor_turn_id, p.node_a, p.node_b, p.turn_a, p.turn_b,
       CASE WHEN p.source IN ('human', 'imported', 'ratings') THEN (1 - p.margin) / 2
            WHEN sign(p.judge_a - p.judge_b) * sign(p.signals_a - p.signals_b) < 0 THEN 1.0
            WHEN p.source IN ('outcome', 'model') THEN 1 - p.margin
            ELSE 1 - abs(coalesce(p.signals_a - p.signals_b, 0)) END AS uncertainty,
       coalesce(a.leaves, 1) + coalesce(b.leaves, 1) AS leaves
FROM candidate_preference_pairs p
LEFT JOIN below a ON a.node = p.node_a
LEFT JOIN below b ON b.node = p.node_b
WHERE p.verdict = 'legal' OR p.reason IN ('no_preference', 'judged_equal')
ORDER BY p.pair_id;
