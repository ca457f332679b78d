-- What metrics show of the truth. Each query gives rows of `label` and `value`; label is '' where there is one figure.

-- name: turns
-- Turns placed in the graph.
SELECT '' AS label, coalesce(max(turns_built), 0)::float8 AS value FROM lineage_watermark WHERE name = 'graph';

-- name: turns_waiting
-- Turns that wait for the graph.
SELECT '' AS label, count(*)::float8 AS value FROM lineage_queue WHERE failure IS NULL;

-- name: turns_failed
-- Turns that could not be placed.
SELECT '' AS label, count(*)::float8 AS value FROM lineage_queue WHERE failure IS NOT NULL;

-- name: sessions
-- Sessions in the graph.
SELECT '' AS label, count(*)::float8 AS value FROM conversation_sessions;

-- name: nodes
-- Nodes by branch kind.
SELECT branch_kind AS label, count(*)::float8 AS value FROM conversation_branch_nodes GROUP BY branch_kind;

-- name: quarantined
-- Calls in quarantine: those that cannot be read, and those that wait for another.
SELECT state AS label, count(q.event_id)::float8 AS value
FROM (VALUES ('refused'), ('waiting')) AS every (state)
LEFT JOIN quarantine q ON q.resolved_at IS NULL AND (q.waits_for IS NOT NULL) = (every.state = 'waiting')
GROUP BY state;

-- name: replay_jobs
-- Jobs of replay plans by state.
SELECT state AS label, count(*)::float8 AS value FROM replay_job GROUP BY state;

-- name: review_items_open
-- Items of the review queue that need an answer; gold items are asked again and again, and left out.
SELECT '' AS label, count(*)::float8 AS value FROM human_sample_queue WHERE closed_at IS NULL AND share <> 'gold';

-- name: review_oldest_seconds
-- Age of the item that waits longest; 0 when none does.
SELECT '' AS label, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS value
FROM human_sample_queue WHERE closed_at IS NULL AND share <> 'gold';

-- name: labels
-- Judgements by who gave them.
SELECT source AS label, count(*)::float8 AS value
FROM (SELECT 'person' AS source FROM human_eval_labels
      UNION ALL SELECT CASE source WHEN 'human' THEN 'person' ELSE source END FROM preference_labels
      UNION ALL SELECT CASE WHEN imported THEN 'import' ELSE 'feedback' END FROM feedback) AS given
GROUP BY source;

-- name: snapshots
-- Frozen datasets that were not withdrawn, by kind.
SELECT kind AS label, count(*)::float8 AS value FROM dataset_snapshot_registry WHERE withdrawn_at IS NULL GROUP BY kind;

-- name: snapshot_rows
-- Their rows, by kind.
SELECT kind AS label, sum(split.value::bigint)::float8 AS value
FROM dataset_snapshot_registry CROSS JOIN LATERAL jsonb_each_text(row_counts) AS split (name, value)
WHERE withdrawn_at IS NULL GROUP BY kind;

-- name: fracture_suspects
-- Of the sessions that began in the last day, the share that began in the middle of a conversation: their first call
-- came with an answer of a model in its history, and no stored conversation holds it. 0 when none began.
WITH begun AS (
    SELECT s.session_id, EXISTS (
        SELECT FROM conversation_branch_nodes n WHERE n.parent_node_id = s.root_node_id AND n.parent_evidence = 'unmatched'
    ) AS unmatched
    FROM conversation_sessions s WHERE s.started_at > now() - interval '1 day')
SELECT '' AS label, coalesce(avg(unmatched::int), 0)::float8 AS value FROM begun;

-- name: bytes
-- Size of the database.
SELECT 'postgres' AS label, pg_database_size(current_database())::float8 AS value;
