-- Queries of imports: what is stored already, and what somebody else said of it.

-- name: known_events
-- Those of the given calls that are stored.
SELECT event_id FROM pipeline_event_inbox WHERE event_id = ANY(%(events)s::uuid[]);

-- name: stage
-- A temporary twin of the judgements' table.
CREATE TEMP TABLE IF NOT EXISTS stage_judgement (feedback_id uuid, scope text, turn_id uuid, session_id uuid, name text,
    value float8, comment text, source text, given_at timestamptz) ON COMMIT DELETE ROWS;

-- name: store_judgements
-- A judgement that was imported before is the same judgement.
WITH stored AS (
    INSERT INTO feedback (feedback_id, scope, turn_id, session_id, name, value, comment, source, given_at)
    SELECT feedback_id, scope, turn_id, session_id, name, value, comment, source, given_at
    FROM stage_judgement ORDER BY feedback_id
    ON CONFLICT DO NOTHING
    RETURNING 1)
SELECT count(*) AS judgements FROM stored;
