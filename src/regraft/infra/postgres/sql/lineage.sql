-- Queries of the graph's builder. Everything is a set: no query per row, none per ancestor.

-- name: lock
-- One builder at a time; the build number orders what was built.
SELECT pg_advisory_xact_lock(7267426612);

-- name: take_queue
-- The next turns that the graph has not placed, oldest ids first; all of them gone from the queue with this commit.
DELETE FROM lineage_queue q USING (
    SELECT turn_id FROM lineage_queue
    WHERE failure IS NULL AND (%(sessions)s::uuid[] IS NULL OR session_id = ANY(%(sessions)s::uuid[]))
    ORDER BY turn_id LIMIT %(limit)s) AS next
WHERE q.turn_id = next.turn_id
RETURNING q.turn_id;

-- name: requeue_all
-- For a rebuild: every turn waits again, also one that could not be placed.
INSERT INTO lineage_queue (turn_id, session_id) SELECT turn_id, session_id FROM session_turn
ON CONFLICT (turn_id) DO UPDATE SET failure = NULL;

-- name: set_aside
-- A turn that cannot be placed waits with the reason, and stops no other.
UPDATE lineage_queue SET failure = %(reason)s WHERE turn_id = %(turn)s;

-- name: retry_failed
-- Turns that could not be placed are tried again.
UPDATE lineage_queue SET failure = NULL WHERE failure IS NOT NULL;

-- name: clear_graph
-- The derived tables of the graph, emptied; the log stays.
TRUNCATE conversation_branch_nodes, execution_run_records, response_branch_records, conversation_sessions;

-- name: affected
-- New turns; other runs of their nodes; turns whose history waits for them, or was matched only in part; turns that
-- claim them; replays of all these. Then, again, every run of those nodes.
WITH RECURSIVE new AS (
    SELECT t.turn_id, t.session_id, t.node_id, t.answer_projection FROM session_turn t
    WHERE t.turn_id = ANY(%(turns)s::uuid[])),
touched AS (
    SELECT node_id FROM new
    UNION
    SELECT t.node_id FROM new JOIN session_lineage l ON l.session_id = new.session_id
        AND l.awaited_projection = new.answer_projection JOIN session_turn t ON t.turn_id = l.turn_id
    UNION
    SELECT n.node_id FROM (SELECT DISTINCT session_id FROM new) s
        JOIN conversation_branch_nodes n ON n.session_id = s.session_id
            AND n.parent_evidence IN ('longest_prefix', 'unmatched')
    UNION
    SELECT t.node_id FROM new JOIN session_lineage l ON l.parent_claim = ANY(ARRAY[new.node_id, new.turn_id])
        JOIN session_turn t ON t.turn_id = l.turn_id),
grown AS (
    SELECT node_id FROM touched
    UNION
    SELECT t.node_id FROM grown g JOIN session_turn a ON a.node_id = g.node_id
        JOIN session_lineage l ON l.replay_claim = ANY(ARRAY[a.node_id, a.turn_id])
        JOIN session_turn t ON t.turn_id = l.turn_id)
SELECT t.turn_id FROM grown JOIN session_turn t USING (node_id);

-- name: origins
-- For each turn the turn whose place it takes: itself, or, for a replay, the one at the end of its chain of claims.
-- A claim counts within one session, and only on something that was asked before it.
WITH RECURSIVE claims AS (
    SELECT t.turn_id, t.turn_id AS origin, t.session_id, t.started_at, 0 AS step
    FROM session_turn t WHERE t.turn_id = ANY(%(turns)s::uuid[])
    UNION ALL
    SELECT c.turn_id, found.turn_id, c.session_id, found.started_at, c.step + 1
    FROM claims c JOIN session_lineage l ON l.turn_id = c.origin AND l.replay_claim IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT t.turn_id, t.started_at FROM session_turn t
        WHERE (t.node_id = l.replay_claim OR t.turn_id = l.replay_claim)
          AND t.session_id = c.session_id AND (t.started_at, t.turn_id) < (c.started_at, c.origin)
        ORDER BY t.purpose = 'replay', t.started_at, t.turn_id LIMIT 1) AS found)
SELECT DISTINCT ON (claims.turn_id) claims.turn_id, claims.origin, o.context_projection AS anchor_projection
FROM claims JOIN session_turn o ON o.turn_id = claims.origin
ORDER BY claims.turn_id, claims.step DESC;

-- name: parents
-- For each turn the node that its place grows from: the one claimed, else the longest known prefix of its history.
WITH RECURSIVE wanted AS (
    SELECT o.turn_id, o.origin, t.session_id, t.context_id, t.started_at, l.parent_claim, l.awaited_projection
    FROM unnest(%(turns)s::uuid[], %(origins)s::uuid[]) AS o (turn_id, origin)
    JOIN session_turn t ON t.turn_id = o.origin JOIN session_lineage l ON l.turn_id = o.origin),
claimed AS (
    SELECT w.turn_id, found.node_id FROM wanted w CROSS JOIN LATERAL (
        SELECT t.node_id FROM session_turn t
        WHERE (t.node_id = w.parent_claim OR t.turn_id = w.parent_claim)
          AND t.session_id = w.session_id AND (t.started_at, t.turn_id) < (w.started_at, w.origin)
        ORDER BY t.started_at, t.turn_id LIMIT 1) AS found
    WHERE w.parent_claim IS NOT NULL),
up AS (
    SELECT w.turn_id, w.session_id, c.parent_id, c.projection_id, known.node_id
    FROM wanted w JOIN context c ON c.context_id = w.context_id
    LEFT JOIN LATERAL (SELECT s.node_id FROM session_turn s
        WHERE s.session_id = w.session_id AND s.answer_projection = c.projection_id LIMIT 1) AS known ON true
    UNION ALL
    SELECT up.turn_id, up.session_id, c.parent_id, c.projection_id, known.node_id
    FROM up JOIN context c ON c.context_id = up.parent_id
    LEFT JOIN LATERAL (SELECT s.node_id FROM session_turn s
        WHERE s.session_id = up.session_id AND s.answer_projection = c.projection_id LIMIT 1) AS known ON true
    WHERE up.node_id IS NULL)
SELECT w.turn_id, w.origin, w.session_id, k.node_id AS claimed_node_id, u.node_id AS prefix_node_id,
    CASE WHEN u.node_id IS NULL AND w.awaited_projection IS NULL THEN 'opening'
         WHEN u.node_id IS NULL THEN 'unmatched'
         WHEN u.projection_id = w.awaited_projection THEN 'prefix'
         ELSE 'longest_prefix' END AS prefix_evidence
FROM wanted w LEFT JOIN claimed k USING (turn_id)
LEFT JOIN up u ON u.turn_id = w.turn_id AND u.node_id IS NOT NULL;

-- name: ancestors
-- The parents of the given nodes, and theirs, up to the roots. UNION ends it even where claims make a circle.
WITH RECURSIVE up AS (
    SELECT node_id, parent_node_id, depth FROM conversation_branch_nodes WHERE node_id = ANY(%(nodes)s::uuid[])
    UNION
    SELECT n.node_id, n.parent_node_id, n.depth FROM up JOIN conversation_branch_nodes n ON n.node_id = up.parent_node_id)
SELECT node_id, parent_node_id, depth FROM up;

-- name: families
-- Every placed turn under the given parents.
SELECT r.run_id AS turn_id, n.node_id, n.parent_node_id, n.parent_evidence, root.node_id AS root_node_id
FROM conversation_branch_nodes n JOIN execution_run_records r USING (node_id)
JOIN conversation_branch_nodes root ON root.session_id = n.session_id AND root.depth = 0
WHERE n.parent_node_id = ANY(%(parents)s::uuid[]);

-- name: current_parents
-- Where nodes stand now.
SELECT node_id, parent_node_id, depth FROM conversation_branch_nodes WHERE node_id = ANY(%(nodes)s::uuid[]);

-- name: facts
-- What the builder has to know of each turn, all of it from the log.
SELECT t.turn_id, t.node_id, t.session_id, t.started_at, t.purpose, t.context_id, t.context_projection,
    t.system_digest, t.user_digest, t.choice_index, t.node_status, t.finish_reason, t.answer_id,
    e.event_id, e.scope, coalesce(e.model_requested, '') AS model_requested, e.model_answered, e.upstream,
    e.upstream_pin, e.tools_id, e.sampling_id, e.usage::text, e.duration_ms, e.first_byte_ms, e.error::text, e.http_status,
    e.cut, coalesce(e.system_fingerprint, '') AS fingerprint, e.identity::text, t.tool_calls
FROM session_turn t JOIN pipeline_event_inbox e USING (event_id)
WHERE t.turn_id = ANY(%(turns)s::uuid[]);

-- name: parts
-- Tool lists and sampling settings by id.
SELECT part_id, body::text FROM request_part WHERE part_id = ANY(%(parts)s::bytea[]);

-- name: stage
-- Temporary twins of the graph's tables.
CREATE TEMP TABLE stage_node (node_id uuid, session_id uuid, parent_node_id uuid, turn_id uuid, depth int4,
    branch_kind text, branch_reason text, variant_config text, node_status text, context_snapshot_id bytea,
    parent_evidence text, runs int4) ON COMMIT DROP;
CREATE TEMP TABLE stage_run (run_id uuid, session_id uuid, node_id uuid, event_id uuid, purpose text, theme_id uuid,
    task_key text, model text, model_snapshot_id text, backend text, run_status text, finish_reason text,
    answer_id bytea, prompt_tokens int4, completion_tokens int4, cached_tokens int4, usage text, duration_ms float8,
    first_byte_ms float8, error text, sampling_id bytea, tools_id bytea, tool_calls int4, variant text,
    taskification_id uuid, taskify_step text, started_at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE stage_branch (turn_id uuid, session_id uuid, node_id uuid, parent_node_id uuid,
    context_anchor_turn_id uuid, branch_index int4, branch_kind text, variant_config text, same_context bool,
    same_tools bool, is_replay bool, fidelity float8, first_divergence text) ON COMMIT DROP;
CREATE TEMP TABLE stage_theme (theme_id uuid, name text, scope text, created_at timestamptz) ON COMMIT DROP;

-- name: save_themes
-- A theme is born with the first call that names it.
INSERT INTO seed_themes (theme_id, name, scope, created_at)
SELECT DISTINCT ON (theme_id) theme_id, name, scope, created_at FROM stage_theme ORDER BY theme_id, created_at
ON CONFLICT (theme_id) DO UPDATE SET created_at = least(seed_themes.created_at, excluded.created_at);

-- name: save_nodes
-- New places, and places that moved or gained runs.
INSERT INTO conversation_branch_nodes (node_id, session_id, parent_node_id, turn_id, depth, turn_index, branch_kind,
    branch_reason, variant_config, node_status, context_snapshot_id, parent_evidence, runs)
SELECT node_id, session_id, parent_node_id, turn_id, depth, depth, branch_kind, branch_reason, variant_config::jsonb,
    node_status, context_snapshot_id, parent_evidence, runs
FROM stage_node ORDER BY node_id
ON CONFLICT (node_id) DO UPDATE SET parent_node_id = excluded.parent_node_id, turn_id = excluded.turn_id,
    depth = excluded.depth, turn_index = excluded.turn_index, branch_kind = excluded.branch_kind,
    branch_reason = excluded.branch_reason, variant_config = excluded.variant_config,
    node_status = excluded.node_status, context_snapshot_id = excluded.context_snapshot_id,
    parent_evidence = excluded.parent_evidence, runs = excluded.runs
WHERE (conversation_branch_nodes.parent_node_id, conversation_branch_nodes.turn_id, conversation_branch_nodes.depth,
       conversation_branch_nodes.branch_kind, conversation_branch_nodes.branch_reason,
       conversation_branch_nodes.variant_config, conversation_branch_nodes.node_status,
       conversation_branch_nodes.context_snapshot_id, conversation_branch_nodes.parent_evidence,
       conversation_branch_nodes.runs)
    IS DISTINCT FROM (excluded.parent_node_id, excluded.turn_id, excluded.depth, excluded.branch_kind,
       excluded.branch_reason, excluded.variant_config, excluded.node_status, excluded.context_snapshot_id,
       excluded.parent_evidence, excluded.runs);

-- name: save_depths
-- What hangs below a place that moved, moves with it.
WITH RECURSIVE down AS (
    SELECT node_id, depth FROM conversation_branch_nodes WHERE node_id = ANY(%(moved)s::uuid[])
    UNION ALL
    SELECT n.node_id, down.depth + 1 FROM down JOIN conversation_branch_nodes n ON n.parent_node_id = down.node_id)
UPDATE conversation_branch_nodes n SET depth = down.depth, turn_index = down.depth
FROM down WHERE n.node_id = down.node_id AND n.depth <> down.depth;

-- name: save_runs
-- One execution fact per turn.
INSERT INTO execution_run_records (run_id, session_id, node_id, event_id, purpose, theme_id, task_key, model,
    model_snapshot_id, backend, run_status, finish_reason, answer_id, prompt_tokens, completion_tokens, cached_tokens,
    usage, duration_ms, first_byte_ms, error, sampling, tools_id, tool_calls, variant, taskification_id, taskify_step,
    started_at)
SELECT run_id, session_id, node_id, event_id, purpose, theme_id, task_key, model, model_snapshot_id, backend,
    run_status, finish_reason, answer_id, prompt_tokens, completion_tokens, cached_tokens, usage::json, duration_ms,
    first_byte_ms, error::json, p.body, tools_id, tool_calls, variant::json, taskification_id, taskify_step, started_at
FROM stage_run r JOIN request_part p ON p.part_id = r.sampling_id ORDER BY run_id
ON CONFLICT (run_id) DO NOTHING;

-- name: save_branches
-- Alternatives under their anchors; numbers may shift when an earlier answer arrives late.
INSERT INTO response_branch_records (turn_id, session_id, node_id, parent_node_id, context_anchor_turn_id, branch_index,
    branch_kind, variant_config, same_context, same_tools, is_replay, fidelity, first_divergence)
SELECT turn_id, session_id, node_id, parent_node_id, context_anchor_turn_id, branch_index, branch_kind,
    variant_config::jsonb, same_context, same_tools, is_replay, fidelity, first_divergence::jsonb
FROM stage_branch ORDER BY turn_id
ON CONFLICT (turn_id) DO UPDATE SET parent_node_id = excluded.parent_node_id,
    context_anchor_turn_id = excluded.context_anchor_turn_id, branch_index = excluded.branch_index,
    branch_kind = excluded.branch_kind, variant_config = excluded.variant_config,
    same_context = excluded.same_context, same_tools = excluded.same_tools
WHERE (response_branch_records.parent_node_id, response_branch_records.context_anchor_turn_id,
       response_branch_records.branch_index, response_branch_records.branch_kind,
       response_branch_records.variant_config, response_branch_records.same_context,
       response_branch_records.same_tools)
    IS DISTINCT FROM (excluded.parent_node_id, excluded.context_anchor_turn_id, excluded.branch_index,
       excluded.branch_kind, excluded.variant_config, excluded.same_context, excluded.same_tools);

-- name: save_sessions
-- Each touched session's figures; its theme is the one that its earliest themed call named.
INSERT INTO conversation_sessions (session_id, scope, external_id, theme_id, root_node_id, turns, nodes, started_at,
    last_turn_at, build)
SELECT s.session_id, s.scope, s.external_id,
    (SELECT r.theme_id FROM execution_run_records r WHERE r.session_id = s.session_id AND r.theme_id IS NOT NULL
     ORDER BY r.started_at, r.run_id LIMIT 1),
    root.node_id, figures.turns, figures.nodes, figures.started_at, figures.last_turn_at, %(build)s
FROM session s
JOIN conversation_branch_nodes root ON root.session_id = s.session_id AND root.depth = 0
CROSS JOIN LATERAL (
    SELECT count(*) AS turns, count(DISTINCT r.node_id) AS nodes, min(r.started_at) AS started_at,
           max(r.started_at) AS last_turn_at
    FROM execution_run_records r WHERE r.session_id = s.session_id) AS figures
WHERE s.session_id = ANY(%(sessions)s::uuid[])
ORDER BY s.session_id
ON CONFLICT (session_id) DO UPDATE SET external_id = excluded.external_id, theme_id = excluded.theme_id, turns = excluded.turns, nodes = excluded.nodes,
    started_at = excluded.started_at, last_turn_at = excluded.last_turn_at, build = excluded.build;

-- name: next_build
-- The number of this build.
SELECT coalesce(max(build), 0) + 1 AS build FROM lineage_watermark WHERE name = 'graph';

-- name: save_watermark
-- How far the graph is.
INSERT INTO lineage_watermark (name, build, turns_built, projection_version, built_at)
VALUES ('graph', %(build)s, (SELECT count(*) FROM execution_run_records), %(version)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET build = excluded.build, turns_built = excluded.turns_built,
    projection_version = excluded.projection_version, built_at = excluded.built_at;

-- name: waiting
-- How much the graph lags behind the log.
SELECT count(*) AS turns, count(DISTINCT session_id) AS sessions FROM lineage_queue WHERE failure IS NULL;

-- name: waiting_sessions
-- The sessions with turns that wait, most overdue first.
SELECT session_id FROM lineage_queue WHERE failure IS NULL GROUP BY session_id ORDER BY min(turn_id::text) LIMIT %(limit)s;
