-- A log and its graph as sets, for measuring and for looking at plans: {sessions} conversations of {turns} turns each.
-- Every tenth turn of a conversation was answered twice; one turn in a hundred has a reward, one in twenty calls a tool.
-- Conversations already there stay; {prefix} keeps the ids of several fillings apart.
SET LOCAL session_replication_role = replica;  -- no check of each row's references
SET LOCAL synchronous_commit = off;

CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT s, p, choice, '{prefix}' || s AS name, md5('{prefix}s' || s)::uuid AS session_id,
    md5('{prefix}t' || s || ':' || p || ':' || choice)::uuid AS turn_id,
    md5('{prefix}n' || s || ':' || p || ':' || choice)::uuid AS node_id,
    CASE WHEN p = 1 THEN md5('{prefix}r' || s)::uuid
         ELSE md5('{prefix}n' || s || ':' || (p - 1) || ':0')::uuid END AS parent_node_id,
    md5('{prefix}t' || s || ':' || p || ':0')::uuid AS anchor,
    sha256(('{prefix}c' || s || ':' || (2 * p - 1))::bytea) AS context_id,
    sha256(('{prefix}p' || s || ':' || (2 * p - 1))::bytea) AS context_projection,
    sha256(('{prefix}m' || s || ':' || (2 * p) || ':' || choice)::bytea) AS answer_id,
    sha256(('{prefix}p' || s || ':' || (2 * p) || ':' || choice)::bytea) AS answer_projection,
    CASE WHEN p > 1 THEN sha256(('{prefix}p' || s || ':' || (2 * p - 2) || ':0')::bytea) END AS awaited_projection,
    timestamptz '2026-01-01' + make_interval(secs => s * 7 + p * 11 + choice) AS at,
    (p % 20 = 0)::integer AS tool_calls, choice = 1 AS again
FROM generate_series(1, {sessions}) AS s, generate_series(1, {turns}) AS p, generate_series(0, 1) AS choice
WHERE choice = 0 OR p % 10 = 0;

INSERT INTO request_part (part_id, kind, body) VALUES ('\x01', 'tools', '{{}}'), ('\x02', 'sampling', '{{}}')
ON CONFLICT DO NOTHING;
INSERT INTO message (message_id, role, body)
SELECT answer_id, 'assistant', json_build_object('content', 'answer ' || s || ' of ' || p, 'role', 'assistant') FROM made
UNION ALL
SELECT sha256(('{prefix}m' || s || ':' || (2 * p - 1) || ':0')::bytea), 'user',
    json_build_object('content', 'question ' || s || ' of ' || p, 'role', 'user') FROM made WHERE choice = 0;
INSERT INTO context (context_id, parent_id, message_id, depth, projection_id)
SELECT sha256(('{prefix}c' || s || ':' || d)::bytea),
    CASE WHEN d > 1 THEN sha256(('{prefix}c' || s || ':' || (d - 1))::bytea) END,
    sha256(('{prefix}m' || s || ':' || d || ':0')::bytea), d,
    CASE WHEN d % 2 = 1 THEN sha256(('{prefix}p' || s || ':' || d)::bytea)
         ELSE sha256(('{prefix}p' || s || ':' || d || ':0')::bytea) END
FROM generate_series(1, {sessions}) AS s, generate_series(1, 2 * {turns}) AS d;
INSERT INTO session (session_id, scope, external_id, evidence)
SELECT session_id, 'large', name, 'explicit_header' FROM made WHERE p = 1 AND choice = 0;
INSERT INTO pipeline_event_inbox (event_id, scope, endpoint, upstream, upstream_pin, purpose, started_at, duration_ms,
    first_byte_ms, http_status, streamed, cut, model_requested, model_answered, context_id, tools_id, sampling_id, usage,
    answer_rest, identity, projection_version, gateway_version)
SELECT turn_id, 'large', '/v1/chat/completions', 'main', '', CASE WHEN again THEN 'replay' ELSE 'chat' END, at,
    100 + (s * 31 + p * 17) % 5000, 50, 200, true, '', 'm', 'm', context_id, '\x01', '\x02',
    '{{"prompt_tokens": 9, "completion_tokens": 9}}', '{{}}', '{{}}', 1, 'large'
FROM made ORDER BY s, p, choice;
INSERT INTO session_turn (turn_id, event_id, choice_index, session_id, context_id, context_projection, context_depth,
    answer_id, answer_projection, node_id, node_status, finish_reason, tool_calls, started_at, purpose, system_digest,
    user_digest)
SELECT turn_id, turn_id, 0, session_id, context_id, context_projection, 2 * p - 1, answer_id, answer_projection, node_id,
    'ok', 'stop', tool_calls, at, CASE WHEN again THEN 'replay' ELSE 'chat' END, '', ''
FROM made ORDER BY s, p, choice;
INSERT INTO session_lineage (turn_id, session_id, awaited_projection, replay_claim)
SELECT turn_id, session_id, awaited_projection,
    CASE WHEN again THEN md5('{prefix}n' || s || ':' || p || ':0')::uuid END
FROM made ORDER BY s, p, choice;
INSERT INTO conversation_branch_nodes (node_id, session_id, parent_node_id, turn_id, depth, turn_index, branch_kind,
    branch_reason, variant_config, node_status, context_snapshot_id, parent_evidence, runs)
SELECT md5('{prefix}r' || s)::uuid, session_id, NULL, NULL, 0, 0, 'root', 'where the session starts', '{{}}'::jsonb, 'ok', '', 'root', 0
FROM made WHERE p = 1 AND choice = 0
UNION ALL
SELECT node_id, session_id, parent_node_id, turn_id, p, p, CASE WHEN again THEN 'retry' ELSE 'continuation' END, 'made',
    '{{}}', 'ok', context_id, CASE WHEN p = 1 THEN 'opening' ELSE 'prefix' END, 1
FROM made;
INSERT INTO execution_run_records (run_id, session_id, node_id, event_id, purpose, model, model_snapshot_id, backend,
    run_status, finish_reason, answer_id, prompt_tokens, completion_tokens, usage, duration_ms, first_byte_ms, sampling,
    tools_id, tool_calls, started_at)
SELECT turn_id, session_id, node_id, turn_id, CASE WHEN again THEN 'replay' ELSE 'chat' END, 'm', 'm', 'main', 'ok', 'stop',
    answer_id, 9, 9, '{{"prompt_tokens": 9, "completion_tokens": 9}}', 100 + (s * 31 + p * 17) % 5000, 50, '{{}}', '\x01',
    tool_calls, at
FROM made ORDER BY s, p, choice;
INSERT INTO response_branch_records (turn_id, session_id, node_id, parent_node_id, context_anchor_turn_id, branch_index,
    branch_kind, variant_config, same_context, same_tools, is_replay)
SELECT turn_id, session_id, node_id, parent_node_id, anchor, choice, CASE WHEN again THEN 'retry' ELSE 'continuation' END,
    '{{}}', true, true, again
FROM made ORDER BY s, p, choice;
INSERT INTO conversation_sessions (session_id, scope, external_id, root_node_id, turns, nodes, started_at, last_turn_at, build)
SELECT session_id, 'large', min(name), md5('{prefix}r' || s)::uuid, count(*), count(*), min(at), max(at), 1
FROM made GROUP BY s, session_id;
INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)
SELECT md5('{prefix}f' || s || ':' || p || ':' || choice)::uuid, 'large', turn_id, 'reward', 1, 'tests', at FROM made
WHERE (s + p) % 100 = 0;
INSERT INTO lineage_watermark (name, build, turns_built, projection_version, built_at)
SELECT 'graph', 1, count(*), 1, now() FROM execution_run_records ON CONFLICT (name) DO NOTHING;
