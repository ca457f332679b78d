-- One conversation of {nodes} nodes as agents and replays grow it, for measuring pictures of trees: runs of turns, branches of every
-- kind, replays with fidelity, outcomes, errors and tool calls. Everything follows from the numbers of its nodes.
SET LOCAL session_replication_role = replica;  -- no check of each row's references
SET LOCAL synchronous_commit = off;

CREATE TEMP TABLE chance ON COMMIT DROP AS
SELECT i, ('x' || left(md5('{name}a' || i), 8))::bit(32)::bigint / 4294967296.0 AS a,
    ('x' || left(md5('{name}b' || i), 8))::bit(32)::bigint / 4294967296.0 AS b,
    ('x' || left(md5('{name}c' || i), 8))::bit(32)::bigint / 4294967296.0 AS c
FROM generate_series(1, {nodes}) AS i;
-- Most nodes go on from the one before; others branch off near it, some anywhere.
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT i, CASE WHEN i = 1 THEN 0 WHEN a < 0.82 THEN i - 1 WHEN a < 0.95 THEN greatest(1, i - 2 - (b * 40)::int) ELSE 1 + (b * (i - 2))::int END AS up,
    CASE WHEN i = 1 OR a < 0.82 THEN 'continuation'
         ELSE (ARRAY['retry', 'model_variant', 'sampling_variant', 'prompt_variant', 'tool_variant', 'taskify_variant', 'compaction'])[1 + floor(c * 6.3)] END AS kind,
    b, c, md5('{name}t' || i)::uuid AS turn_id, md5('{name}n' || i)::uuid AS node_id,
    sha256(('{name}c' || i)::bytea) AS context_id, sha256(('{name}q' || i)::bytea) AS question_id, sha256(('{name}m' || i)::bytea) AS answer_id,
    timestamptz '2026-02-01' + make_interval(secs => i * 3) AS at, CASE WHEN b < 0.3 THEN 1 ELSE 0 END AS tool_calls,
    CASE WHEN c > 0.985 THEN 'error' ELSE 'ok' END AS status
FROM chance;
ALTER TABLE made ADD COLUMN depth integer, ADD PRIMARY KEY (i);
WITH RECURSIVE down AS (SELECT 1 AS i, 1 AS depth UNION ALL SELECT m.i, d.depth + 1 FROM down d JOIN made m ON m.up = d.i)
UPDATE made m SET depth = d.depth FROM down d WHERE d.i = m.i;

INSERT INTO request_part (part_id, kind, body) VALUES ('\x01', 'tools', '{{}}'), ('\x02', 'sampling', '{{}}') ON CONFLICT DO NOTHING;
INSERT INTO message (message_id, role, body)
SELECT answer_id, 'assistant', json_build_object('role', 'assistant', 'content', 'Step ' || i || ': the order was looked up, and the refund is on its way. ' || repeat('More words. ', (b * 30)::int)) FROM made
UNION ALL
SELECT question_id, 'user', json_build_object('role', 'user', 'content', 'Please go on with step ' || i || ' of the plan.') FROM made;
INSERT INTO context (context_id, parent_id, message_id, depth, projection_id)
SELECT context_id, NULL, question_id, 1, sha256(('{name}p' || i)::bytea) FROM made;
INSERT INTO session (session_id, scope, external_id, evidence) VALUES (md5('{name}')::uuid, 'large', '{name}', 'explicit_header');
INSERT INTO pipeline_event_inbox (event_id, scope, endpoint, upstream, upstream_pin, purpose, started_at, duration_ms,
    first_byte_ms, http_status, streamed, cut, model_requested, model_answered, context_id, tools_id, sampling_id, usage,
    answer_rest, identity, projection_version, gateway_version)
SELECT turn_id, 'large', '/v1/chat/completions', 'main', '', CASE WHEN kind = 'continuation' THEN 'chat' ELSE 'replay' END, at,
    100 + b * 5000, 50, 200, true, '', 'm', 'm', context_id, '\x01', '\x02', '{{}}', '{{}}', '{{}}', 1, 'large' FROM made;
INSERT INTO session_turn (turn_id, event_id, choice_index, session_id, context_id, context_projection, context_depth,
    answer_id, answer_projection, node_id, node_status, finish_reason, tool_calls, started_at, purpose, system_digest, user_digest)
SELECT turn_id, turn_id, 0, md5('{name}')::uuid, context_id, sha256(('{name}p' || i)::bytea), 1, answer_id, sha256(('{name}r' || i)::bytea), node_id,
    status, 'stop', tool_calls, at, CASE WHEN kind = 'continuation' THEN 'chat' ELSE 'replay' END, '', '' FROM made;
INSERT INTO conversation_branch_nodes (node_id, session_id, parent_node_id, turn_id, depth, turn_index, branch_kind,
    branch_reason, variant_config, node_status, context_snapshot_id, parent_evidence, runs)
SELECT md5('{name}r')::uuid, md5('{name}')::uuid, NULL::uuid, NULL::uuid, 0, 0, 'root', 'where the session starts', '{{}}'::jsonb, 'ok', ''::bytea, 'root', 0
UNION ALL
SELECT node_id, md5('{name}')::uuid, CASE WHEN up = 0 THEN md5('{name}r')::uuid ELSE md5('{name}n' || up)::uuid END, turn_id, depth, depth, kind,
    'made', '{{}}', status, context_id, 'prefix', 1 + (b * 1.2)::int FROM made;
INSERT INTO execution_run_records (run_id, session_id, node_id, event_id, purpose, model, model_snapshot_id, backend, run_status,
    finish_reason, answer_id, prompt_tokens, completion_tokens, usage, duration_ms, first_byte_ms, sampling, tools_id, tool_calls, started_at)
SELECT turn_id, md5('{name}')::uuid, node_id, turn_id, CASE WHEN kind = 'continuation' THEN 'chat' ELSE 'replay' END,
    (ARRAY['gpt-5.2', 'claude-opus-4.5', 'qwen3-coder'])[1 + floor(c * 2.99)], 'm', 'main', status, 'stop', answer_id, 400 + i % 4000, 40 + (b * 400)::int,
    '{{}}', 100 + b * 5000, 50, '{{}}', '\x01', tool_calls, at FROM made;
INSERT INTO response_branch_records (turn_id, session_id, node_id, parent_node_id, context_anchor_turn_id, branch_index, branch_kind,
    variant_config, same_context, same_tools, is_replay, fidelity)
SELECT turn_id, md5('{name}')::uuid, node_id, CASE WHEN up = 0 THEN md5('{name}r')::uuid ELSE md5('{name}n' || up)::uuid END, turn_id, 0, kind, '{{}}', true, true,
    kind <> 'continuation', CASE WHEN kind <> 'continuation' AND b < 0.5 THEN round((1 - c)::numeric, 2) END FROM made;
INSERT INTO conversation_sessions (session_id, scope, external_id, root_node_id, turns, nodes, started_at, last_turn_at, build)
SELECT md5('{name}')::uuid, 'large', '{name}', md5('{name}r')::uuid, count(*), count(*) + 1, min(at), max(at), 1 FROM made;
INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)
SELECT md5('{name}f' || i)::uuid, 'large', turn_id, 'reward', round(c::numeric, 1), 'tests', at FROM made
WHERE i % 7 = 0 AND NOT EXISTS (SELECT FROM made o WHERE o.up = made.i);
INSERT INTO lineage_watermark (name, build, turns_built, projection_version, built_at)
SELECT 'graph', 1, count(*), 1, now() FROM execution_run_records ON CONFLICT (name) DO NOTHING;
