-- name: graph_nodes
-- Who asked, and who was asked. The inner calls of an orchestrated request are asked by its orchestrator.
WITH run AS MATERIALIZED (
    SELECT taskification_id, purpose, model, backend, run_status, duration_ms, prompt_tokens, completion_tokens, started_at
    FROM execution_run_records
    WHERE $__timeFilter(started_at)  -- and by day, which there is an index of
        AND (started_at AT TIME ZONE 'UTC')::date BETWEEN
            ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date),
answer AS (
    SELECT DISTINCT ON (taskification_id) taskification_id, model FROM run
    WHERE backend = 'orchestrator' AND taskification_id IS NOT NULL ORDER BY taskification_id, started_at),
call AS (
    SELECT coalesce('model ' || a.model, 'purpose ' || r.purpose) AS caller, 'model ' || r.model AS callee, r.run_status, r.duration_ms
    FROM run r LEFT JOIN answer a ON a.taskification_id = r.taskification_id AND r.backend <> 'orchestrator'),
party AS (
    SELECT caller AS id, run_status, duration_ms FROM call WHERE caller NOT IN (SELECT callee FROM call)
    UNION ALL SELECT callee, run_status, duration_ms FROM call)
SELECT id, substr(id, strpos(id, ' ') + 1) AS title, split_part(id, ' ', 1) AS subtitle, count(*) AS mainstat,
    round((avg(duration_ms) / 1000)::numeric, 2)::double precision AS secondarystat,
    avg((run_status IN ('ok', 'refused'))::integer)::double precision AS arc__done,
    avg((run_status NOT IN ('ok', 'refused'))::integer)::double precision AS arc__failed,
    count(*) FILTER (WHERE run_status NOT IN ('ok', 'refused')) AS detail__failed
FROM party GROUP BY id ORDER BY count(*) DESC LIMIT 100;

-- name: graph_edges
-- Calls of each who to each whom.
WITH run AS MATERIALIZED (
    SELECT taskification_id, purpose, model, backend, run_status, duration_ms, prompt_tokens, completion_tokens, started_at
    FROM execution_run_records
    WHERE $__timeFilter(started_at)  -- and by day, which there is an index of
        AND (started_at AT TIME ZONE 'UTC')::date BETWEEN
            ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date),
answer AS (
    SELECT DISTINCT ON (taskification_id) taskification_id, model FROM run
    WHERE backend = 'orchestrator' AND taskification_id IS NOT NULL ORDER BY taskification_id, started_at),
call AS (
    SELECT coalesce('model ' || a.model, 'purpose ' || r.purpose) AS caller, 'model ' || r.model AS callee, r.prompt_tokens, r.completion_tokens, r.duration_ms
    FROM run r LEFT JOIN answer a ON a.taskification_id = r.taskification_id AND r.backend <> 'orchestrator')
SELECT caller || ' > ' || callee AS id, caller AS source, callee AS target, count(*) || ' calls' AS mainstat,
    coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0) || ' tok' AS secondarystat,
    least(1 + ln(count(*)), 8)::double precision AS thickness
FROM call GROUP BY caller, callee ORDER BY count(*) DESC LIMIT 200;

-- name: requests
-- Orchestrated requests in the time range.
SELECT count(*) AS requests FROM execution_run_records WHERE backend = 'orchestrator' AND $__timeFilter(started_at);

-- name: plans
-- The latest orchestrated requests, with the calls that carried each of them out.
SELECT a.started_at AS time, a.model AS orchestrator, a.run_status AS status, made.workers AS "worker calls", made.calls, made.failed,
    a.duration_ms / 1000 AS seconds, made.seconds AS "model seconds", made.tokens, a.session_id::text AS conversation
FROM execution_run_records a CROSS JOIN LATERAL (
    SELECT count(*) AS calls, count(*) FILTER (WHERE r.purpose = 'worker') AS workers,
        count(*) FILTER (WHERE r.run_status NOT IN ('ok', 'refused')) AS failed, sum(r.duration_ms) / 1000 AS seconds,
        sum(coalesce(r.prompt_tokens, 0) + coalesce(r.completion_tokens, 0)) AS tokens
    FROM execution_run_records r WHERE r.taskification_id = a.taskification_id AND r.backend <> 'orchestrator') AS made
WHERE a.backend = 'orchestrator' AND $__timeFilter(a.started_at) ORDER BY a.started_at DESC LIMIT 100;
