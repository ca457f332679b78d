-- Queries of replays: which nodes, what was asked there, what was grown already, and how far plans are.

-- name: origins
-- For each node the exact history and the request of the run that gave it first, what that took, and what it was for: a
-- replay is for what the original under its anchor was for.
SELECT n.node_id, t.session_id, n.context_snapshot_id AS context_id,
    context_messages(n.context_snapshot_id)::text AS messages,
    coalesce(nullif(e.asked_model, ''), e.model_requested, '') AS model, e.endpoint, e.identity::text,
    tools.body::text AS tools, sampling.body::text AS sampling, other.body::text AS other, r.prompt_tokens,
    r.completion_tokens, CASE WHEN t.purpose = 'replay' THEN coalesce(a.purpose, t.purpose) ELSE t.purpose END AS purpose
FROM unnest(%(nodes)s::uuid[]) WITH ORDINALITY AS wanted (node_id, place)
JOIN conversation_branch_nodes n USING (node_id)
JOIN session_turn t USING (turn_id) JOIN pipeline_event_inbox e USING (event_id)
LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
LEFT JOIN response_branch_records b ON b.turn_id = n.turn_id LEFT JOIN session_turn a ON a.turn_id = b.context_anchor_turn_id
JOIN request_part tools ON tools.part_id = e.tools_id
JOIN request_part sampling ON sampling.part_id = e.sampling_id
JOIN request_part other ON other.part_id = e.other_id
ORDER BY wanted.place;

-- name: finished
-- Of these fingerprints those that have an answer in the log, and the call that gave it first. The graph need not know
-- of it yet. An answer that was cut is none. A rollout is finished by its end, which is in no call. A tenant, `scope`, is
-- told of its own answers only; NULL: of all.
SELECT DISTINCT ON (fingerprint) fingerprint, event_id, usage, started_at
FROM (
    SELECT wanted.fingerprint, e.event_id, e.usage::text AS usage, e.started_at, t.turn_id
    FROM unnest(%(fingerprints)s::text[]) AS wanted (fingerprint)
    JOIN pipeline_event_inbox e ON e.purpose = 'replay' AND replay_fingerprint(e.identity) = wanted.fingerprint
    JOIN session_turn t ON t.turn_id = e.event_id
    WHERE t.node_status NOT IN ('error', 'interrupted')
    UNION ALL
    SELECT r.fingerprint, r.turn_ids[cardinality(r.turn_ids)], NULL, r.created_at, r.turn_ids[cardinality(r.turn_ids)]
    FROM rollout r
    WHERE r.fingerprint = ANY(%(fingerprints)s::text[]) AND r.stop_reason <> 'error') AS answered
WHERE (%(since)s::timestamptz IS NULL OR started_at >= %(since)s)
  AND (%(scope)s::text IS NULL OR EXISTS (
    SELECT FROM session_turn t JOIN session s USING (session_id)
    WHERE t.turn_id = answered.turn_id AND s.scope = %(scope)s))
ORDER BY fingerprint, started_at, event_id;

-- name: arrived
-- Which of these calls are stored.
SELECT event_id FROM pipeline_event_inbox WHERE event_id = ANY(%(events)s::uuid[])
UNION ALL
SELECT event_id FROM quarantine WHERE event_id = ANY(%(events)s::uuid[]);

-- name: choose
-- Nodes with an answer, of a tenant `scope` (NULL: of all), that meet every condition given, oldest first, and side calls among them, which the limit does not
-- count unless they are asked for. A node's outcome is the latest reward of one of
-- its runs, else its session's; a pivot is the first of several answers to one context that differ. `among` are nodes in
-- their own order, which comes first.
WITH turn_reward AS (
    SELECT DISTINCT ON (t.node_id) t.node_id, o.reward
    FROM turn_outcome o JOIN session_turn t USING (turn_id)
    WHERE %(judged)s ORDER BY t.node_id, o.given_at DESC, o.feedback_id DESC),
session_reward AS (
    SELECT session_id, reward FROM session_outcome WHERE %(judged)s),
pivot AS (
    SELECT b.context_anchor_turn_id FROM response_branch_records b
    LEFT JOIN turn_outcome o USING (turn_id)
    WHERE %(pivot)s GROUP BY b.context_anchor_turn_id
    HAVING count(*) >= 2 AND (count(DISTINCT b.node_id) >= 2 OR min(o.reward) < max(o.reward)))
SELECT node_id FROM (
SELECT n.node_id, r.started_at, among.rank, count(*) FILTER (WHERE %(side_calls)s OR left(coalesce(a.purpose, r.purpose), 5) <> 'side:')
    OVER (ORDER BY among.rank, r.started_at, n.node_id) AS place
FROM conversation_branch_nodes n
JOIN execution_run_records r ON r.run_id = n.turn_id
JOIN conversation_sessions s ON s.session_id = n.session_id
LEFT JOIN response_branch_records b ON b.turn_id = n.turn_id
LEFT JOIN session_turn a ON a.turn_id = b.context_anchor_turn_id
LEFT JOIN seed_themes th ON th.theme_id = s.theme_id
LEFT JOIN turn_reward tr ON tr.node_id = n.node_id
LEFT JOIN session_reward sr ON sr.session_id = n.session_id
LEFT JOIN unnest(%(among)s::uuid[]) WITH ORDINALITY AS among (node_id, rank) ON among.node_id = n.node_id
WHERE (%(sessions)s::uuid[] IS NULL OR n.session_id = ANY(%(sessions)s::uuid[]))
  AND (%(themes)s::text[] IS NULL OR th.name = ANY(%(themes)s::text[]))
  AND (%(tasks)s::text[] IS NULL OR r.task_key = ANY(%(tasks)s::text[]))
  AND (%(kinds)s::text[] IS NULL OR n.branch_kind = ANY(%(kinds)s::text[]))
  AND (%(statuses)s::text[] IS NULL OR n.node_status = ANY(%(statuses)s::text[]))
  AND (%(models)s::text[] IS NULL OR r.model = ANY(%(models)s::text[]))
  AND (%(replays)s OR r.purpose <> 'replay') AND r.purpose <> 'judge'
  AND (%(below)s::float8 IS NULL OR coalesce(tr.reward, sr.reward) < %(below)s)
  AND (%(above)s::float8 IS NULL OR coalesce(tr.reward, sr.reward) > %(above)s)
  AND (%(among)s::uuid[] IS NULL OR among.rank IS NOT NULL)
  AND (NOT %(pivot)s OR n.turn_id IN (SELECT context_anchor_turn_id FROM pivot))
  AND (%(scope)s::text IS NULL OR EXISTS (
    SELECT FROM session own WHERE own.session_id = n.session_id AND own.scope = %(scope)s))
) AS found WHERE %(limit)s::int IS NULL OR place <= %(limit)s ORDER BY rank, started_at, node_id;

-- name: lock
-- Whether this connection is now the one that drives the plan; it stays so until it is closed, however that happens.
SELECT pg_try_advisory_lock(hashtextextended(%(plan)s::text, 7267426615)) AS mine;

-- name: plan_of_definition
-- The latest plan with this definition.
SELECT plan_id FROM replay_plan WHERE definition_digest = %(digest)s ORDER BY created_at DESC, plan_id LIMIT 1;

-- name: plans_like
-- Plans whose ids lie between two bounds. A tenant, `scope`, sees those of which every node is its own; NULL: all.
SELECT plan_id AS id FROM replay_plan p WHERE plan_id BETWEEN %(low)s AND %(high)s
    AND (%(scope)s::text IS NULL OR (
        EXISTS (SELECT FROM replay_job j WHERE j.plan_id = p.plan_id)
        AND NOT EXISTS (SELECT FROM replay_job j LEFT JOIN conversation_branch_nodes n USING (node_id)
                        LEFT JOIN session s ON s.session_id = n.session_id
                        WHERE j.plan_id = p.plan_id AND s.scope IS DISTINCT FROM %(scope)s)))
ORDER BY plan_id LIMIT 2;

-- name: save_plan
-- A new plan.
INSERT INTO replay_plan (plan_id, name, definition, definition_digest, experiment, experiment_digest, theme, again,
    concurrency, budget_tokens, budget_money, refused, created_at, rollout)
VALUES (%(plan_id)s, %(name)s, %(definition)s, %(definition_digest)s, %(experiment)s, %(experiment_digest)s, %(theme)s,
    %(again)s, %(concurrency)s, %(budget_tokens)s, %(budget_money)s, %(refused)s, %(created_at)s, %(rollout)s);

-- name: plan
-- A plan as it was asked for.
SELECT plan_id, name, definition::text, theme, again, concurrency, budget_tokens, budget_money, experiment, refused,
    created_at, rollout::text
FROM replay_plan WHERE plan_id = %(plan)s;

-- name: jobs
-- A plan's jobs in order, with the answers that the tenant `scope` may see (NULL: all). A page starts after a number.
SELECT number, fingerprint, node_id, variant_index, sample, model, state,
    CASE WHEN %(scope)s::text IS NULL OR EXISTS (
        SELECT FROM session_turn t JOIN session s USING (session_id)
        WHERE t.turn_id = j.turn_id AND s.scope = %(scope)s) THEN turn_id END AS turn_id,
    failure, prompt_tokens, completion_tokens, cached_tokens, started_at, ended_at
FROM replay_job j WHERE plan_id = %(plan)s AND (%(after)s::int IS NULL OR number > %(after)s)
ORDER BY number LIMIT %(limit)s;

-- name: update_jobs
-- The new states of jobs.
UPDATE replay_job j SET state = n.state, turn_id = coalesce(n.turn_id, j.turn_id), failure = n.failure,
    prompt_tokens = j.prompt_tokens + n.prompt_tokens, completion_tokens = j.completion_tokens + n.completion_tokens,
    cached_tokens = j.cached_tokens + n.cached_tokens, started_at = coalesce(n.started_at, j.started_at),
    ended_at = n.ended_at
FROM unnest(%(numbers)s::int[], %(states)s::text[], %(turns)s::uuid[], %(failures)s::text[], %(prompts)s::bigint[],
    %(completions)s::bigint[], %(cached)s::bigint[], %(started)s::timestamptz[], %(ended)s::timestamptz[])
    AS n (number, state, turn_id, failure, prompt_tokens, completion_tokens, cached_tokens, started_at, ended_at)
WHERE j.plan_id = %(plan)s AND j.number = n.number;

-- name: start
-- A driver begins, or goes on with, a plan; what an earlier one left running waits again.
WITH waiting AS (
    UPDATE replay_job SET state = 'planned' WHERE plan_id = %(plan)s AND state = 'running')
UPDATE replay_plan SET started_at = %(now)s, beat_at = now(), ended_at = NULL, stopped = '', error = '',
    cancel_requested_at = NULL,
    budget_tokens = %(budget_tokens)s, budget_money = %(budget_money)s, concurrency = %(concurrency)s
WHERE plan_id = %(plan)s;

-- name: beat
-- Note that the driver lives, and return whether the plan was cancelled meanwhile.
UPDATE replay_plan SET beat_at = now() WHERE plan_id = %(plan)s RETURNING cancel_requested_at IS NOT NULL AS cancelled;

-- name: end
-- The driver has done what it could.
UPDATE replay_plan SET ended_at = %(now)s, stopped = %(stopped)s, error = %(error)s WHERE plan_id = %(plan)s;

-- name: cancel
-- Ask the driver to start no more jobs. A plan without a driver ends at once, unless it has ended before.
WITH driverless AS (
    SELECT plan_id FROM replay_progress WHERE plan_id = %(plan)s AND state IN ('planned', 'interrupted'))
UPDATE replay_plan p SET cancel_requested_at = coalesce(p.cancel_requested_at, %(now)s),
    ended_at = CASE WHEN p.plan_id IN (SELECT plan_id FROM driverless) THEN %(now)s ELSE p.ended_at END,
    stopped = CASE WHEN p.plan_id IN (SELECT plan_id FROM driverless) THEN 'cancelled' ELSE p.stopped END
WHERE p.plan_id = %(plan)s AND p.ended_at IS NULL;

-- name: progress
-- State and figures of a plan.
SELECT * FROM replay_progress WHERE plan_id = %(plan)s;

-- name: plans
-- Plans with what defines them, the latest first. A page starts after a (time, id). A tenant, `scope`, sees those of which every node is its own.
SELECT p.*, latest.definition FROM (
    SELECT plan_id, definition::text FROM replay_plan p
    WHERE (%(before)s::timestamptz IS NULL OR (created_at, plan_id) < (%(before)s, %(before_id)s::uuid))
      AND (%(scope)s::text IS NULL OR (
        EXISTS (SELECT FROM replay_job j WHERE j.plan_id = p.plan_id)
        AND NOT EXISTS (SELECT FROM replay_job j LEFT JOIN conversation_branch_nodes n USING (node_id)
                        LEFT JOIN session s ON s.session_id = n.session_id
                        WHERE j.plan_id = p.plan_id AND s.scope IS DISTINCT FROM %(scope)s)))
    ORDER BY created_at DESC, plan_id DESC LIMIT %(limit)s) AS latest
JOIN replay_progress p USING (plan_id) ORDER BY p.created_at DESC, p.plan_id DESC;

-- name: spent
-- Tokens that a plan's jobs took, by model.
SELECT model, sum(prompt_tokens)::bigint AS prompt, sum(completion_tokens)::bigint AS completion,
    sum(cached_tokens)::bigint AS cached
FROM replay_job WHERE plan_id = %(plan)s GROUP BY model;

-- name: failures
-- Why jobs of a plan failed, and how many.
SELECT failure, count(*) AS jobs FROM replay_job WHERE plan_id = %(plan)s AND state = 'failed'
GROUP BY failure ORDER BY jobs DESC, failure;

-- name: variants_of_plan
-- How far the variants of a plan are, by their place in it: counts by state, tokens, and the mean seconds of a job.
SELECT variant_index, count(*) AS jobs, count(*) FILTER (WHERE state IN ('done', 'skipped')) AS done,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens,
    (avg(extract(epoch FROM ended_at - started_at)) FILTER (WHERE state = 'done'))::float8 AS seconds
FROM replay_job WHERE plan_id = %(plan)s GROUP BY variant_index ORDER BY variant_index;

-- name: nodes_of_plan
-- How far the first nodes of a plan are, in its order.
SELECT node_id, count(*) AS jobs, count(*) FILTER (WHERE state IN ('done', 'skipped')) AS done,
    count(*) FILTER (WHERE state = 'failed') AS failed
FROM replay_job WHERE plan_id = %(plan)s GROUP BY node_id ORDER BY min(number) LIMIT %(limit)s;

-- name: batch_plans
-- Stored plans that were never started, oldest first.
SELECT plan_id FROM replay_plan WHERE started_at IS NULL AND stopped = '' ORDER BY created_at, plan_id LIMIT %(limit)s;
