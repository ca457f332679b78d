-- A replay plan can be stopped from any process, tells why its driver stopped, and knows how its answers go on.

ALTER TABLE replay_plan
    ADD COLUMN rollout             json,                     -- how answers that take several calls go on; NULL: one call
    ADD COLUMN cancel_requested_at timestamptz,              -- the driver starts no more jobs; NULL: nobody asked
    ADD COLUMN error               text NOT NULL DEFAULT '', -- what ended the latest run, where that was an error
    DROP CONSTRAINT replay_plan_stopped_check,
    ADD CONSTRAINT replay_plan_stopped_check CHECK (stopped IN ('', 'budget', 'cancelled', 'shutdown', 'error'));

-- How each plan stands. It is `running` while its driver gives a sign of life, `interrupted` when it does no more, and
-- `stopped` when it was told to leave the rest: `stopped` says by what.
CREATE OR REPLACE VIEW replay_progress AS
    SELECT p.plan_id, p.name, p.theme, p.concurrency, p.budget_tokens, p.budget_money, p.created_at, p.started_at,
           p.ended_at, p.stopped,
           CASE WHEN p.started_at IS NULL AND p.stopped = '' THEN 'planned'
                WHEN p.ended_at IS NULL AND p.beat_at > now() - interval '15 seconds' THEN 'running'
                WHEN p.ended_at IS NULL THEN 'interrupted'
                WHEN p.stopped <> '' THEN 'stopped'
                WHEN j.failed > 0 THEN 'failed'
                ELSE 'done' END AS state,
           j.*, p.cancel_requested_at, p.error
    FROM replay_plan p CROSS JOIN LATERAL (
        SELECT count(*) AS jobs, count(DISTINCT node_id) AS nodes,
               count(*) FILTER (WHERE state = 'planned') AS planned, count(*) FILTER (WHERE state = 'running') AS running,
               count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'failed') AS failed,
               count(*) FILTER (WHERE state = 'skipped') AS skipped,
               coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
               coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens,
               coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
               count(*) FILTER (WHERE replay_job.ended_at >= p.started_at) AS ended_now,
               coalesce(sum(completion_tokens) FILTER (WHERE replay_job.ended_at >= p.started_at), 0)::bigint
                   AS completion_tokens_now,
               max(replay_job.ended_at) AS last_ended_at
        FROM replay_job WHERE replay_job.plan_id = p.plan_id) AS j;
