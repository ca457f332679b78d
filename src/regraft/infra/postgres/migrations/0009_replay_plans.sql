-- Replays as plans: what was asked for, and how far each of its jobs is. A plan whose driver died is finished later.

-- The fingerprint of the replay job that a captured call finishes; NULL where it names none.
CREATE FUNCTION replay_fingerprint(identity json) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN left((identity ->> 'variant')::json ->> 'fingerprint', 64);
EXCEPTION WHEN data_exception OR invalid_parameter_value THEN
    RETURN NULL;
END $$;

CREATE INDEX pipeline_event_inbox_replay ON pipeline_event_inbox (replay_fingerprint(identity))
    WHERE purpose = 'replay';

-- What was asked for. `definition` is canonical JSON: the nodes or the query that finds them, variants, samples.
CREATE TABLE replay_plan (
    plan_id            uuid PRIMARY KEY,
    name               text NOT NULL,            -- the experiment's; empty: it was given on the command line
    definition         json NOT NULL,
    definition_digest  bytea NOT NULL,           -- the same command has the same digest
    experiment         text,                     -- the experiment file, whole
    experiment_digest  bytea,
    theme              text,                     -- that its calls name
    again              boolean NOT NULL,         -- what earlier replays finished is run again
    concurrency        integer NOT NULL CHECK (concurrency >= 1),
    budget_tokens      bigint,
    budget_money       double precision,
    created_at         timestamptz NOT NULL,
    started_at         timestamptz,              -- of its latest run
    beat_at            timestamptz,              -- while a driver lives it writes this each second
    ended_at           timestamptz,              -- NULL while it runs, and when its driver died
    stopped            text NOT NULL DEFAULT '' CHECK (stopped IN ('', 'budget'))
);
CREATE INDEX replay_plan_definition ON replay_plan (definition_digest, created_at);

-- One answer to grow. `number` is its place in the plan.
CREATE TABLE replay_job (
    plan_id            uuid NOT NULL REFERENCES replay_plan ON DELETE CASCADE,
    number             integer NOT NULL,
    fingerprint        text NOT NULL,
    node_id            uuid NOT NULL,
    variant_index      integer NOT NULL,
    sample             integer NOT NULL,
    model              text NOT NULL,
    state              text NOT NULL CHECK (state IN ('planned', 'running', 'done', 'failed', 'skipped')),
    turn_id            uuid,                     -- the run that gave the answer, or that failed
    failure            text,
    prompt_tokens      bigint NOT NULL DEFAULT 0,    -- of all its calls
    completion_tokens  bigint NOT NULL DEFAULT 0,
    cached_tokens      bigint NOT NULL DEFAULT 0,
    started_at         timestamptz,
    ended_at           timestamptz,
    PRIMARY KEY (plan_id, number)
);
CREATE INDEX replay_job_fingerprint ON replay_job (fingerprint);
CREATE INDEX replay_job_turn ON replay_job (turn_id) WHERE turn_id IS NOT NULL;

-- How each plan stands. It is `running` while its driver gives a sign of life, `interrupted` when it does no more.
CREATE VIEW replay_progress AS
    SELECT p.plan_id, p.name, p.theme, p.concurrency, p.budget_tokens, p.budget_money, p.created_at, p.started_at,
           p.ended_at, p.stopped,
           CASE WHEN p.started_at IS NULL THEN 'planned'
                WHEN p.ended_at IS NULL AND p.beat_at > now() - interval '15 seconds' THEN 'running'
                WHEN p.ended_at IS NULL THEN 'interrupted'
                WHEN p.stopped <> '' THEN 'stopped'
                WHEN j.failed > 0 THEN 'failed'
                ELSE 'done' END AS state,
           j.*
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
