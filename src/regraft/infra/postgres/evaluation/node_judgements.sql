-- What people and judges say of one node.

-- name: ratings
-- Ratings of the path that ends at a node, by people and by the versions of judges that count today; the latest first.
SELECT 'human' AS source, reviewer AS by, rating::double precision, categories, note, adjudicates, created_at AS at, NULL::bigint AS votes
FROM current_human_eval_labels WHERE unit_id = %(node)s
UNION ALL
SELECT 'judge', judge, rating, '{}', '', false, judged_at, votes FROM current_judge_ratings WHERE unit_id = %(node)s
ORDER BY at DESC;

-- name: preferences
-- Comparisons of a node's answer with another, seen from the node: `better`, `worse`, `equal` or `both_bad`.
SELECT source, decided_by AS by, CASE WHEN node_a = %(node)s THEN node_b ELSE node_a END AS other_node_id,
    CASE WHEN preference IN ('equal', 'both_bad') THEN preference
         WHEN (preference = 'a') = (node_a = %(node)s) THEN 'better' ELSE 'worse' END AS outcome,
    note, created_at AS at
FROM current_preference_labels WHERE node_a = %(node)s OR node_b = %(node)s ORDER BY created_at DESC LIMIT %(limit)s;

-- name: feedback
-- Outcomes that were reported for the runs of a node, the latest first.
SELECT f.name, f.value, f.comment, f.source, f.given_at AS at
FROM feedback f JOIN session s ON s.scope = f.scope JOIN conversation_branch_nodes n ON n.session_id = s.session_id
WHERE n.node_id = %(node)s AND f.turn_id IN (
    SELECT run_id FROM execution_run_records WHERE node_id = %(node)s UNION SELECT %(node)s::uuid)
ORDER BY f.given_at DESC LIMIT %(limit)s;
