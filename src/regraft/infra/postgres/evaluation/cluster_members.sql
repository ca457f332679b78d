-- What a fit of trajectory clusters said of units, read as Arrow tables.

-- name: members
-- All units of a fit. Of two units that have one id since the graph was derived again, the first counts.
SELECT DISTINCT ON (unit_id) unit_id::text AS unit_id, cluster_ids::text[] AS cluster_ids, strengths, x, y
FROM trajectory_cluster_members WHERE cluster_run_id = $1::uuid ORDER BY unit_id, position;

-- name: members_of
-- The same of given units, a JSON array of their ids.
SELECT DISTINCT ON (unit_id) unit_id::text AS unit_id, cluster_ids::text[] AS cluster_ids, strengths, x, y
FROM trajectory_cluster_members
WHERE cluster_run_id = $1::uuid
  AND unit_id = ANY(ARRAY(SELECT one::uuid FROM json_array_elements_text($2::json) AS one))
ORDER BY unit_id, position;
