-- name: graph_nodes
-- Who asked, and who was asked. The inner calls of an orchestrated request are asked by its orchestrator.
WITH run AS NOT MATERIALIZED (
    SELECT taskification_id, purpose, model, backend, run_status IN ('ok', 'refused') AS is_done, duration_ms
    FROM execution_run_records
    WHERE $__timeFilter(started_at)  -- and by day, which there is an index of
        AND (started_at AT TIME ZONE 'UTC')::date BETWEEN
            ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date),
request AS (
    SELECT taskification_id, min(model) AS orchestrator FROM run
    WHERE backend = 'orchestrator' AND taskification_id IS NOT NULL GROUP BY taskification_id),
call AS MATERIALIZED (
    SELECT coalesce('model ' || q.orchestrator, 'purpose ' || r.purpose) AS caller, 'model ' || r.model AS callee, r.is_done,
        count(*) AS calls, sum(r.duration_ms) AS ms
    FROM run r LEFT JOIN request q ON q.taskification_id = r.taskification_id AND r.backend <> 'orchestrator'
    GROUP BY q.orchestrator, r.purpose, r.model, r.is_done),
party AS (
    SELECT caller AS id, is_done, calls, ms FROM call WHERE NOT EXISTS (SELECT FROM call c WHERE c.callee = call.caller)
    UNION ALL SELECT callee, is_done, calls, ms FROM call),
total AS (
    SELECT id, sum(calls) AS calls, coalesce(sum(calls) FILTER (WHERE NOT is_done), 0) AS failed, sum(ms) AS ms FROM party GROUP BY id)
SELECT id, substr(id, strpos(id, ' ') + 1) AS title, split_part(id, ' ', 1) AS subtitle, calls::bigint AS mainstat,
    round((ms / calls::double precision / 1000)::numeric, 2)::double precision AS secondarystat,
    (1 - failed / calls)::double precision AS arc__done, (failed / calls)::double precision AS arc__failed, failed::bigint AS detail__failed
FROM total ORDER BY calls DESC LIMIT 100;

-- name: graph_edges
-- Calls of each who to each whom.
WITH run AS NOT MATERIALIZED (
    SELECT taskification_id, purpose, model, backend, coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0) AS tokens
    FROM execution_run_records
    WHERE $__timeFilter(started_at)
        AND (started_at AT TIME ZONE 'UTC')::date BETWEEN
            ($__timeFrom()::timestamptz AT TIME ZONE 'UTC')::date AND ($__timeTo()::timestamptz AT TIME ZONE 'UTC')::date),
request AS (
    SELECT taskification_id, min(model) AS orchestrator FROM run
    WHERE backend = 'orchestrator' AND taskification_id IS NOT NULL GROUP BY taskification_id),
call AS (
    SELECT coalesce('model ' || q.orchestrator, 'purpose ' || r.purpose) AS caller, 'model ' || r.model AS callee,
        count(*) AS calls, sum(r.tokens) AS tokens
    FROM run r LEFT JOIN request q ON q.taskification_id = r.taskification_id AND r.backend <> 'orchestrator'
    GROUP BY q.orchestrator, r.purpose, r.model)
SELECT caller || ' > ' || callee AS id, caller AS source, callee AS target, sum(calls) || ' calls' AS mainstat,
    sum(tokens) || ' tok' AS secondarystat, least(1 + ln(sum(calls)), 8)::double precision AS thickness
FROM call GROUP BY caller, callee ORDER BY sum(calls) DESC LIMIT 200;

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
