-- Which models answered, and from which builds.

-- name: snapshots
-- Every build of every model that answered, the one seen last first.
SELECT backend, model, model_snapshot_id, pinned_by, first_seen, last_seen, runs
FROM model_snapshots ORDER BY last_seen DESC, backend, model, model_snapshot_id;
