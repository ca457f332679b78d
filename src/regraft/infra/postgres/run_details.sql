-- What Dagster's runs logged, by its age. Events of assets, of their checks and of runs themselves stay: what Dagster
-- shows of assets, partitions and past runs is read from them.

-- name: there
-- Whether Dagster ever ran here.
SELECT to_regclass('event_logs') IS NOT NULL AS there;

-- name: count
-- Rows and bytes that would go.
SELECT count(*) AS rows, coalesce(sum(octet_length(event)), 0)::bigint AS bytes FROM event_logs
WHERE "timestamp" < %(before)s AND asset_key IS NULL
  AND (dagster_event_type IS NULL OR dagster_event_type !~ '^(PIPELINE|ASSET)_');

-- name: drop
-- A batch of them.
DELETE FROM event_logs WHERE id IN (
    SELECT id FROM event_logs WHERE "timestamp" < %(before)s AND asset_key IS NULL
      AND (dagster_event_type IS NULL OR dagster_event_type !~ '^(PIPELINE|ASSET)_')
    ORDER BY id LIMIT %(limit)s);
