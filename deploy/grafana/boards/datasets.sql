-- name: snapshots
-- Datasets that may be trained on.
SELECT count(*) AS snapshots FROM dataset_snapshot_registry WHERE withdrawn_at IS NULL;

-- name: rows
-- Their rows.
SELECT coalesce(sum(split.rows::bigint), 0) AS rows
FROM dataset_snapshot_registry s CROSS JOIN LATERAL jsonb_each_text(s.row_counts) AS split (name, rows) WHERE s.withdrawn_at IS NULL;

-- name: withdrawn
-- Datasets that were withdrawn.
SELECT count(*) AS withdrawn FROM dataset_snapshot_registry WHERE withdrawn_at IS NOT NULL;

-- name: list
-- Snapshots with their rows and what was refused.
SELECT s.created_at AS time, s.dataset, s.kind, kept.rows, left_out.refused, s.lineage_build AS "graph build", s.code_version AS version,
    CASE WHEN s.withdrawn_at IS NULL THEN '' WHEN s.successor IS NULL THEN 'withdrawn' ELSE 'withdrawn, replaced' END AS state,
    s.snapshot_id AS snapshot
FROM dataset_snapshot_registry s
CROSS JOIN LATERAL (SELECT sum(value::bigint) AS rows FROM jsonb_each_text(s.row_counts)) AS kept
CROSS JOIN LATERAL (SELECT sum(value::bigint) AS refused FROM jsonb_each_text(s.refused)) AS left_out
WHERE $__timeFilter(s.created_at) ORDER BY s.created_at DESC LIMIT 200;

-- name: splits
-- Rows by kind and split.
SELECT concat_ws(' · ', s.kind, split.name) AS split, sum(split.rows::bigint)::bigint AS rows
FROM dataset_snapshot_registry s CROSS JOIN LATERAL jsonb_each_text(s.row_counts) AS split (name, rows)
WHERE s.withdrawn_at IS NULL GROUP BY s.kind, split.name ORDER BY 2 DESC;

-- name: refused
-- Why paths gave no row.
SELECT replace(reason.name, '_', ' ') AS reason, sum(reason.paths::bigint)::bigint AS paths
FROM dataset_snapshot_registry s CROSS JOIN LATERAL jsonb_each_text(s.refused) AS reason (name, paths)
WHERE $__timeFilter(s.created_at) GROUP BY reason.name ORDER BY 2 DESC LIMIT 20;

-- name: by_day
-- Rows frozen by day and dataset.
SELECT date_trunc('day', s.created_at) AS time, s.dataset AS metric, sum(split.rows::bigint)::bigint AS rows
FROM dataset_snapshot_registry s CROSS JOIN LATERAL jsonb_each_text(s.row_counts) AS split (name, rows)
WHERE $__timeFilter(s.created_at) GROUP BY 1, 2 ORDER BY 1, 2;
