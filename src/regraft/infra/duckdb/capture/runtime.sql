-- The runtime tables: what was called, by whom, at what cost and in what order. Made from the log alone; times are UTC.

-- name: schema
-- Rows are unique by how they are made; a key would only cost memory.
CREATE TABLE IF NOT EXISTS llm_chat_turns (
    turn_id UUID NOT NULL,
    event_id UUID NOT NULL,                -- the captured call
    seq BIGINT NOT NULL,                   -- its number in the inbox
    choice_index INTEGER NOT NULL,
    session_id UUID NOT NULL,
    node_id UUID NOT NULL,
    scope VARCHAR NOT NULL,                -- the tenant
    purpose VARCHAR NOT NULL,              -- chat, replay, judge, taskify, orchestrator, worker or the client's own
    theme VARCHAR,
    task_key VARCHAR,
    plan VARCHAR,
    model VARCHAR NOT NULL,
    upstream VARCHAR NOT NULL,
    node_status VARCHAR NOT NULL,
    finish_reason VARCHAR,
    messages INTEGER NOT NULL,             -- in its history
    tool_calls INTEGER NOT NULL,           -- in its answer
    started_at TIMESTAMP NOT NULL,
    seconds DOUBLE NOT NULL,
    first_byte_seconds DOUBLE,
    asked_role VARCHAR NOT NULL,           -- of the last message of its history
    asked VARCHAR NOT NULL,                -- the text of that message
    answer VARCHAR);                       -- NULL: there was none
CREATE TABLE IF NOT EXISTS llm_tool_calls (
    turn_id UUID NOT NULL,                 -- whose answer calls
    session_id UUID NOT NULL,
    position INTEGER NOT NULL,             -- in that answer, from 1
    call_id VARCHAR,
    name VARCHAR NOT NULL,
    arguments VARCHAR NOT NULL,
    result VARCHAR,                        -- NULL: nothing came back
    result_length INTEGER,                 -- characters
    is_error BOOLEAN,
    result_turn_id UUID,                   -- the call that brought the result along
    model VARCHAR NOT NULL,
    called_at TIMESTAMP NOT NULL,
    seconds DOUBLE);                       -- until the result came back
CREATE TABLE IF NOT EXISTS token_usage (
    event_id UUID NOT NULL,                -- every captured call, attempts and calls without messages among them
    seq BIGINT NOT NULL,
    session_id UUID,
    scope VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    upstream VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    plan VARCHAR,
    model VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    seconds DOUBLE NOT NULL,
    prompt_tokens BIGINT,                  -- all that was read, cached tokens included; NULL: nothing was said
    completion_tokens BIGINT,
    cached_tokens BIGINT,
    attempt INTEGER NOT NULL,
    final BOOLEAN NOT NULL,                -- the attempt whose answer the client got
    failed BOOLEAN NOT NULL);
CREATE TABLE IF NOT EXISTS flow_edges (
    session_id UUID,                       -- NULL: calls that belong to none
    caller VARCHAR NOT NULL,               -- a node: KIND:NAME
    callee VARCHAR NOT NULL,
    calls BIGINT NOT NULL,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    seconds DOUBLE,
    errors BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS flow_nodes (
    node VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,                 -- client, orchestrator, worker, another purpose, model or tool
    name VARCHAR NOT NULL,                 -- of clients and orchestrators the tenant, of workers the step
    calls_made BIGINT NOT NULL,
    calls_received BIGINT NOT NULL,
    sessions BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS session_timeline (
    session_id UUID NOT NULL,
    position INTEGER NOT NULL,             -- from 1
    happened_at TIMESTAMP NOT NULL,
    offset_seconds DOUBLE NOT NULL,        -- since the session's first event
    kind VARCHAR NOT NULL,                 -- turn or tool_call
    turn_id UUID NOT NULL,
    caller VARCHAR NOT NULL,
    callee VARCHAR NOT NULL,
    seconds DOUBLE,
    completion_tokens BIGINT,
    failed BOOLEAN NOT NULL,
    what VARCHAR NOT NULL);                -- how the answer, or the arguments, begin
-- One name for who makes a call, and one for what it calls.
CREATE OR REPLACE TEMP MACRO caller_of(purpose, scope, plan) AS CASE
    WHEN purpose = 'chat' THEN 'client:' || scope
    WHEN purpose = 'worker' AND contains(plan, ':') THEN 'worker:' || substr(plan, instr(plan, ':') + 1)
    ELSE purpose || ':' || scope END;
CREATE OR REPLACE TEMP MACRO callee_of(upstream, model, scope) AS CASE
    WHEN upstream = 'orchestrator' THEN 'orchestrator:' || scope ELSE 'model:' || model END;

-- name: forget
-- Everything is made again.
DELETE FROM llm_chat_turns;
DELETE FROM llm_tool_calls;
DELETE FROM token_usage;
DELETE FROM flow_edges;
DELETE FROM flow_nodes;
DELETE FROM session_timeline;

-- name: add
-- What is new in the log; answers whose results came along are paired again.
INSERT INTO token_usage BY NAME SELECT * FROM new_calls;
INSERT INTO llm_chat_turns BY NAME SELECT * FROM new_turns;
DELETE FROM llm_tool_calls WHERE turn_id IN (SELECT turn_id::UUID FROM paired_turns);
INSERT INTO llm_tool_calls BY NAME SELECT * FROM new_tool_calls;

-- name: derive
-- Edges and timelines of the sessions that changed; calls of no session are one more session.
CREATE TEMP TABLE touched AS
    SELECT DISTINCT session_id::UUID AS session_id FROM new_calls WHERE session_id IS NOT NULL
    UNION SELECT session_id::UUID FROM new_tool_calls;
DELETE FROM flow_edges WHERE session_id IS NULL OR session_id IN (SELECT session_id FROM touched);
INSERT INTO flow_edges
    WITH calls AS (
        SELECT * FROM token_usage WHERE session_id IS NULL OR session_id IN (SELECT session_id FROM touched))
    SELECT session_id, caller_of(purpose, scope, plan), callee_of(upstream, model, scope), count(*),
           sum(prompt_tokens)::BIGINT, sum(completion_tokens)::BIGINT, sum(seconds), count(*) FILTER (WHERE failed)
    FROM calls GROUP BY ALL
    UNION ALL
    SELECT session_id, 'orchestrator:' || scope, caller_of(purpose, scope, plan), count(*),
           sum(prompt_tokens)::BIGINT, sum(completion_tokens)::BIGINT, sum(seconds), count(*) FILTER (WHERE failed)
    FROM calls WHERE purpose = 'worker' GROUP BY ALL
    UNION ALL
    SELECT session_id, 'model:' || model, 'tool:' || name, count(*), NULL, NULL, sum(seconds),
           count(*) FILTER (WHERE is_error)
    FROM llm_tool_calls WHERE session_id IN (SELECT session_id FROM touched) GROUP BY ALL;
DELETE FROM flow_nodes;
INSERT INTO flow_nodes
    WITH ends AS (
        SELECT caller AS node, calls AS made, 0 AS received, session_id FROM flow_edges
        UNION ALL SELECT callee, 0, calls, session_id FROM flow_edges)
    SELECT node, split_part(node, ':', 1), substr(node, instr(node, ':') + 1), sum(made)::BIGINT,
           sum(received)::BIGINT, count(DISTINCT session_id)
    FROM ends GROUP BY node;
DELETE FROM session_timeline WHERE session_id IN (SELECT session_id FROM touched);
INSERT INTO session_timeline
    WITH events AS (
        SELECT t.session_id, t.started_at AS happened_at, 0 AS place, 'turn' AS kind, t.turn_id,
               caller_of(t.purpose, t.scope, t.plan) AS caller, callee_of(t.upstream, t.model, t.scope) AS callee, t.seconds,
               CASE WHEN t.choice_index = 0 THEN u.completion_tokens END AS completion_tokens,
               t.node_status NOT IN ('ok', 'refused') AS failed, left(coalesce(t.answer, ''), 120) AS what
        FROM llm_chat_turns t JOIN token_usage u USING (event_id)
        WHERE t.session_id IN (SELECT session_id FROM touched)
        UNION ALL
        SELECT session_id, called_at, position, 'tool_call', turn_id, 'model:' || model, 'tool:' || name, seconds,
               NULL, coalesce(is_error, false), left(arguments, 120)
        FROM llm_tool_calls WHERE session_id IN (SELECT session_id FROM touched))
    SELECT session_id, row_number() OVER ordered, happened_at,
           epoch(happened_at - min(happened_at) OVER (PARTITION BY session_id)), kind, turn_id,
           caller, callee, seconds, completion_tokens, failed, what
    FROM events WINDOW ordered AS (PARTITION BY session_id ORDER BY happened_at, kind DESC, turn_id, place);
DROP TABLE touched;

-- name: counts
-- Rows of each table.
SELECT (SELECT count(*) FROM llm_chat_turns) AS llm_chat_turns, (SELECT count(*) FROM llm_tool_calls) AS llm_tool_calls,
    (SELECT count(*) FROM token_usage) AS token_usage, (SELECT count(*) FROM flow_nodes) AS flow_nodes,
    (SELECT count(*) FROM flow_edges) AS flow_edges, (SELECT count(*) FROM session_timeline) AS session_timeline;

-- name: llm_chat_turns
-- Answers, the latest first.
SELECT * FROM llm_chat_turns WHERE $session IS NULL OR session_id = $session::UUID
ORDER BY started_at DESC, turn_id LIMIT $limit;

-- name: llm_tool_calls
-- Tool calls, the latest first.
SELECT * FROM llm_tool_calls WHERE $session IS NULL OR session_id = $session::UUID
ORDER BY called_at DESC, turn_id, position LIMIT $limit;

-- name: token_usage
-- What calls cost, the latest first.
SELECT * FROM token_usage WHERE $session IS NULL OR session_id = $session::UUID
ORDER BY started_at DESC, event_id LIMIT $limit;

-- name: flow_edges
-- Who called whom, summed over all sessions or of one, the busiest first.
SELECT caller, callee, sum(calls)::BIGINT AS calls, sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens, sum(seconds) AS seconds, sum(errors)::BIGINT AS errors
FROM flow_edges WHERE $session IS NULL OR session_id = $session::UUID
GROUP BY caller, callee ORDER BY calls DESC, caller, callee LIMIT $limit;

-- name: flow_nodes
-- All callers and models, the busiest first.
SELECT * FROM flow_nodes WHERE $session IS NULL OR node IN (
    SELECT unnest([caller, callee]) FROM flow_edges WHERE session_id = $session::UUID)
ORDER BY calls_made + calls_received DESC, node LIMIT $limit;

-- name: session_timeline
-- What happened in a session, in order; without one, sessions one after another.
SELECT * FROM session_timeline WHERE $session IS NULL OR session_id = $session::UUID
ORDER BY session_id, position LIMIT $limit;

-- name: everything
-- All rows of all tables, in an order of their own: equal logs give equal lists.
SELECT 'llm_chat_turns' AS name, to_json(t)::VARCHAR AS row FROM llm_chat_turns t
UNION ALL SELECT 'llm_tool_calls', to_json(t)::VARCHAR FROM llm_tool_calls t
UNION ALL SELECT 'token_usage', to_json(t)::VARCHAR FROM token_usage t
UNION ALL SELECT 'flow_edges', to_json(t)::VARCHAR FROM flow_edges t
UNION ALL SELECT 'flow_nodes', to_json(t)::VARCHAR FROM flow_nodes t
UNION ALL SELECT 'session_timeline', to_json(t)::VARCHAR FROM session_timeline t
ORDER BY name, row;
