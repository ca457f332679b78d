-- The registry of frozen datasets. `scope` is a tenant: it sees the snapshots of which every row is its own; NULL: all.

-- name: lock
-- One freeze of a dataset at a time; held to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('dataset ' || %(dataset)s::text, 0));

-- name: try_lock
-- The same, unless one freezes it now.
SELECT pg_try_advisory_xact_lock(hashtextextended('dataset ' || %(dataset)s::text, 0)) AS mine;

-- name: has_tables
-- Whether anything was ever frozen here.
SELECT to_regclass('iceberg_tables') IS NOT NULL AS there;

-- name: table_locations
-- The Iceberg tables, and where the metadata of each was written.
SELECT table_name, metadata_location FROM iceberg_tables WHERE metadata_location IS NOT NULL ORDER BY table_name;

-- name: begin_freeze
-- An erasure waits for running freezes, and they for it: none freezes what is being erased. Held by the connection.
SELECT pg_advisory_lock_shared(7267426622);

-- name: snapshot
-- One snapshot.
SELECT * FROM dataset_snapshot_registry WHERE snapshot_id = %(snapshot_id)s;

-- name: snapshots_like
-- Snapshots whose id is this or starts like this, two at most: the exact one, then the newest of the dataset of this name.
SELECT * FROM dataset_snapshot_registry d
WHERE (snapshot_id = %(snapshot_id)s OR starts_with(snapshot_id, %(snapshot_id)s))
  AND (%(scope)s::text IS NULL OR (
        EXISTS (SELECT FROM dataset_snapshot_nodes h WHERE h.snapshot_id = d.snapshot_id)
        AND NOT EXISTS (SELECT FROM dataset_snapshot_nodes h JOIN session s USING (session_id)
                        WHERE h.snapshot_id = d.snapshot_id AND s.scope <> %(scope)s)))
ORDER BY snapshot_id <> %(snapshot_id)s, dataset <> %(snapshot_id)s,
    CASE WHEN dataset = %(snapshot_id)s THEN withdrawn_at IS NOT NULL END,
    CASE WHEN dataset = %(snapshot_id)s THEN created_at END DESC, snapshot_id LIMIT 2;

-- name: snapshots
-- Snapshots, oldest first. A page starts after one of them.
SELECT * FROM dataset_snapshot_registry d
WHERE (%(after)s::text IS NULL OR (d.created_at, d.snapshot_id) > (
        SELECT a.created_at, a.snapshot_id FROM dataset_snapshot_registry a WHERE a.snapshot_id = %(after)s))
  AND (%(scope)s::text IS NULL OR (
        EXISTS (SELECT FROM dataset_snapshot_nodes h WHERE h.snapshot_id = d.snapshot_id)
        AND NOT EXISTS (SELECT FROM dataset_snapshot_nodes h JOIN session s USING (session_id)
                        WHERE h.snapshot_id = d.snapshot_id AND s.scope <> %(scope)s)))
ORDER BY d.created_at, d.snapshot_id LIMIT %(limit)s;

-- name: add_snapshot
-- A snapshot becomes visible.
INSERT INTO dataset_snapshot_registry (snapshot_id, dataset, kind, recipe, recipe_hash, code_version, lineage_build,
    iceberg_table, iceberg_snapshot_id, iceberg_tag, row_counts, refused, passed_over, leakage,
    report, content_hash, hash_version, created_at)
VALUES (%(snapshot_id)s, %(dataset)s, %(kind)s, %(recipe)s, %(recipe_hash)s, %(code_version)s, %(lineage_build)s,
    %(iceberg_table)s, %(iceberg_snapshot_id)s, %(iceberg_tag)s, %(row_counts)s, %(refused)s, %(passed_over)s,
    %(leakage)s, %(report)s, %(content_hash)s, %(hash_version)s, %(created_at)s);

-- name: stage_nodes
-- Where the rows' own nodes arrive.
CREATE TEMPORARY TABLE staged_row_nodes (row_id text, node_id uuid, part text) ON COMMIT DROP;

-- name: walk_nodes
-- The rows' own nodes, and as 'history' every node whose answer a row's history holds.
CREATE TEMPORARY TABLE walked_row_nodes ON COMMIT DROP AS
WITH RECURSIVE up AS (
    SELECT s.row_id, n.node_id, n.parent_node_id, n.session_id, s.part
    FROM staged_row_nodes s JOIN conversation_branch_nodes n USING (node_id)
    UNION
    SELECT up.row_id, n.node_id, n.parent_node_id, n.session_id, 'history'
    FROM up JOIN conversation_branch_nodes n ON n.node_id = up.parent_node_id
    WHERE n.parent_node_id IS NOT NULL)
SELECT DISTINCT ON (row_id, node_id) row_id, node_id, session_id, part
FROM up ORDER BY row_id, node_id, part = 'history';

-- name: add_nodes
-- They become visible with their snapshot.
INSERT INTO dataset_snapshot_nodes (snapshot_id, row_id, node_id, session_id, part)
SELECT %(snapshot_id)s, row_id, node_id, session_id, part FROM walked_row_nodes;

-- name: snapshots_of_node
-- Every snapshot that holds a node, and as what.
SELECT d.snapshot_id, d.row_id, d.part FROM dataset_snapshot_nodes d
WHERE d.node_id = %(node_id)s AND (%(scope)s::text IS NULL OR NOT EXISTS (
        SELECT FROM dataset_snapshot_nodes h JOIN session s USING (session_id)
        WHERE h.snapshot_id = d.snapshot_id AND s.scope <> %(scope)s))
ORDER BY d.snapshot_id, d.row_id;

-- name: nodes_of_row
-- The nodes of one row.
SELECT node_id, session_id, part FROM dataset_snapshot_nodes
WHERE snapshot_id = %(snapshot_id)s AND row_id = %(row_id)s ORDER BY part, node_id;
