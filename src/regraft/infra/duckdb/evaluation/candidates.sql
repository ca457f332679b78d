-- What people may be asked to judge, with how uncertain it is and how much of the tree hangs on it.

-- name: optional_tables
-- Which of the tables that make the queue better were ever made.
SELECT table_name AS name FROM information_schema.tables
WHERE table_name IN ('trajectory_clusters', 'unit_category_labels', 'pivot_nodes');

-- name: trajectory_clusters
-- The cluster of each path, at the layer that is shown.
CREATE TEMPORARY VIEW cluster_of AS
SELECT c.unit_id, c.cluster_id::VARCHAR AS cluster_id
FROM trajectory_clusters c JOIN trajectory_cluster_run r ON c.layer = r.default_layer WHERE c.cluster_id IS NOT NULL;

-- name: no_trajectory_clusters
-- Nothing was clustered.
CREATE TEMPORARY VIEW cluster_of AS SELECT NULL::UUID AS unit_id, NULL::VARCHAR AS cluster_id WHERE false;

-- name: unit_category_labels
-- The surest category of each path, what people said left out; and how uncertain its categories are: values near the
-- middle, and layers that contradict one another.
CREATE TEMPORARY VIEW category_of AS
WITH by_layer AS (
    SELECT unit_id, category, layer, avg(value) AS value, bool_or(decided) AS decided
    FROM unit_category_labels WHERE layer <> 'human' GROUP BY unit_id, category, layer),
by_category AS (
    SELECT unit_id, category, max(value) AS value, bool_or(decided) AS decided, max(value) - min(value) AS apart,
           max(1 - abs(2 * value - 1)) FILTER (WHERE layer <> 'rules') AS unsure
    FROM by_layer GROUP BY unit_id, category)
SELECT unit_id, arg_max(category, value) FILTER (WHERE decided) AS category,
       max(greatest(apart, coalesce(unsure, 0))) AS uncertainty
FROM by_category GROUP BY unit_id;

-- name: no_unit_category_labels
-- Nothing was labelled.
CREATE TEMPORARY VIEW category_of AS
SELECT NULL::UUID AS unit_id, NULL::VARCHAR AS category, NULL::DOUBLE AS uncertainty WHERE false;

-- name: pivot_nodes
-- The weight of each pivot, by the anchor of its answers.
CREATE TEMPORARY VIEW pivot_of AS
SELECT anchor_turn_id, max(weight) AS weight FROM pivot_nodes GROUP BY anchor_turn_id;

-- name: no_pivot_nodes
-- Nothing was valued.
CREATE TEMPORARY VIEW pivot_of AS SELECT NULL::UUID AS anchor_turn_id, NULL::DOUBLE AS weight WHERE false;

-- name: unit_candidates
-- Paths. Uncertain are those whose known parts are near the middle, or apart, and those whose categories are; all paths
-- of a session hang on each. A path is at the heaviest pivot that it passes.
WITH passed AS (
    SELECT u.unit_id, max(p.weight) AS weight
    FROM (SELECT unit_id, unnest(path_anchors) AS anchor FROM trajectory_units) AS u
    JOIN pivot_of p ON p.anchor_turn_id = u.anchor GROUP BY u.unit_id)
SELECT u.unit_id, u.session_id, u.theme, k.cluster_id, c.category, coalesce(p.weight, 0) AS pivot,
       greatest(1 - abs(2 * coalesce(outcome, judge_outcome, imported_judge, quality) - 1),
                greatest(quality, outcome, judge_outcome, imported_judge, imported_outcome)
                - least(quality, outcome, judge_outcome, imported_judge, imported_outcome),
                coalesce(c.uncertainty, 0)) AS uncertainty,
       count(*) OVER (PARTITION BY u.session_id) AS leaves
FROM trajectory_units u
LEFT JOIN cluster_of k USING (unit_id) LEFT JOIN category_of c USING (unit_id) LEFT JOIN passed p USING (unit_id)
ORDER BY u.unit_id;

-- name: pair_candidates
-- Pairs that are legal, or lack nothing but a decision. Certain are those that their source tells apart clearly; what
-- people or imports decided counts half, and sources that contradict one another are uncertain. Cluster and category are
-- those of a side that ends a path.
WITH below AS (
    SELECT node, count(*) AS leaves FROM (SELECT unnest(path_nodes) AS node FROM trajectory_units) GROUP BY node)
SELECT p.pair_id, p.session_id, p.theme, p.anchor_turn_id, p.node_a, p.node_b, p.turn_a, p.turn_b,
       coalesce(ka.cluster_id, kb.cluster_id) AS cluster_id, coalesce(ca.category, cb.category) AS category,
       coalesce(v.weight, 0) AS pivot,
       CASE WHEN p.source IN ('human', 'imported', 'ratings') THEN (1 - p.margin) / 2
            WHEN sign(p.judge_a - p.judge_b) * sign(p.signals_a - p.signals_b) < 0 THEN 1.0
            WHEN p.source IN ('outcome', 'model') THEN 1 - p.margin
            ELSE 1 - abs(coalesce(p.signals_a - p.signals_b, 0)) END AS uncertainty,
       coalesce(a.leaves, 1) + coalesce(b.leaves, 1) AS leaves
FROM candidate_preference_pairs p
LEFT JOIN below a ON a.node = p.node_a LEFT JOIN below b ON b.node = p.node_b
LEFT JOIN cluster_of ka ON ka.unit_id = p.node_a LEFT JOIN cluster_of kb ON kb.unit_id = p.node_b
LEFT JOIN category_of ca ON ca.unit_id = p.node_a LEFT JOIN category_of cb ON cb.unit_id = p.node_b
LEFT JOIN pivot_of v ON v.anchor_turn_id = p.anchor_turn_id
WHERE p.verdict = 'legal' OR p.reason IN ('no_preference', 'judged_equal')
ORDER BY p.pair_id;
