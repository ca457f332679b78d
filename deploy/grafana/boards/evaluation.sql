-- name: votes
-- Answers of judges in the time range.
SELECT count(*) AS judgements FROM judge_votes WHERE $__timeFilter(created_at);

-- name: human_labels
-- Ratings, and preferences of people, in the time range.
SELECT (SELECT count(*) FROM human_eval_labels WHERE $__timeFilter(created_at))
    + (SELECT count(*) FROM preference_labels WHERE source = 'human' AND $__timeFilter(created_at)) AS labels;

-- name: fidelity
-- Mean fidelity of rollouts that used tools.
SELECT avg(fidelity) AS fidelity FROM rollout WHERE $__timeFilter(created_at);

-- name: rollout_ends
-- Why rollouts ended.
SELECT replace(stop_reason, '_', ' ') AS reason, count(*) AS rollouts FROM rollout WHERE $__timeFilter(created_at)
GROUP BY stop_reason ORDER BY count(*) DESC;

-- name: labels_by_day
-- Labels by day and source.
SELECT date_trunc('day', created_at) AS time, source AS metric, count(*) AS labels FROM (
    SELECT created_at, source FROM preference_labels WHERE $__timeFilter(created_at)
    UNION ALL SELECT created_at, 'rating' FROM human_eval_labels WHERE $__timeFilter(created_at)) AS label
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: queue
-- Open items of the review queue.
SELECT concat_ws(' · ', kind, nullif(theme, '')) AS item, count(*) AS items FROM human_sample_queue WHERE closed_at IS NULL
GROUP BY kind, theme ORDER BY count(*) DESC LIMIT 20;

-- name: ratings
-- Ratings from 1 to 5.
SELECT rating::text AS rating, count(*) AS ratings FROM human_eval_labels WHERE $__timeFilter(created_at) GROUP BY rating ORDER BY rating;

-- name: judges
-- Versions of judges and how often each was asked.
SELECT v.judge, v.task, v.model, v.judge_version AS version, asked.votes, v.first_used AS "first used", v.last_used AS "last used"
FROM judge_versions v CROSS JOIN LATERAL (
    SELECT count(*) AS votes FROM judge_votes j WHERE j.judge_version = v.judge_version) AS asked
ORDER BY v.last_used DESC LIMIT 100;

-- name: agreement
-- How far people agree.
SELECT theme, measure, alpha, low, high, subjects, labels, reviewers, disputed, contested FROM theme_agreement
ORDER BY contested DESC, alpha NULLS LAST LIMIT 200;

-- name: plans
-- The latest replay plans, with the states of their jobs.
SELECT p.created_at AS time, made.jobs, made.done, made.failed, made.tokens, p.ended_at AS ended, p.stopped AS "stopped by",
    p.plan_id::text AS plan
FROM replay_plan p CROSS JOIN LATERAL (
    SELECT count(*) AS jobs, count(*) FILTER (WHERE j.state = 'done') AS done, count(*) FILTER (WHERE j.state = 'failed') AS failed,
        sum(coalesce(j.prompt_tokens, 0) + coalesce(j.completion_tokens, 0)) AS tokens
    FROM replay_job j WHERE j.plan_id = p.plan_id) AS made
WHERE $__timeFilter(p.created_at) ORDER BY p.created_at DESC LIMIT 100;
