-- What people and pages ask of the truth. JSON is read as text: a number, NUL or lone surrogate comes back as written.
-- `scope` is the tenant whose data may be seen; NULL: all.

-- name: nodes_like
-- Nodes whose ids, those of other projections included, lie between two bounds: enough to tell one from several.
(SELECT n.node_id AS id FROM conversation_branch_nodes n JOIN session s USING (session_id)
 WHERE n.node_id BETWEEN %(low)s AND %(high)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s) ORDER BY n.node_id LIMIT 2)
UNION
(SELECT t.node_id FROM former_node f JOIN session_turn t USING (turn_id) JOIN session s USING (session_id)
 WHERE f.node_id BETWEEN %(low)s AND %(high)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s) ORDER BY f.node_id LIMIT 2)
ORDER BY id LIMIT 2;

-- name: sessions_like
-- Sessions whose ids, those of other projections included, lie between two bounds.
(SELECT s.session_id AS id FROM session s
 WHERE s.session_id BETWEEN %(low)s AND %(high)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s) ORDER BY s.session_id LIMIT 2)
UNION
(SELECT t.session_id FROM former_session f JOIN session_turn t USING (turn_id) JOIN session s ON s.session_id = t.session_id
 WHERE f.session_id BETWEEN %(low)s AND %(high)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s) ORDER BY f.session_id LIMIT 2)
ORDER BY id LIMIT 2;

-- name: turns_like
-- Placed turns whose ids lie between two bounds.
SELECT b.turn_id AS id FROM response_branch_records b JOIN session s USING (session_id)
WHERE b.turn_id BETWEEN %(low)s AND %(high)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s) ORDER BY b.turn_id LIMIT 2;

-- name: sessions_named
-- Sessions that their clients called so: by our own header if any did, since that name is one session's alone.
SELECT session_id AS id FROM session s WHERE external_id = %(name)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
    AND (evidence = 'explicit_header' OR NOT EXISTS (
        SELECT FROM session o WHERE o.external_id = %(name)s AND o.evidence = 'explicit_header' AND o.scope = s.scope))
ORDER BY session_id LIMIT 2;

-- name: status
-- How much there is, and how far the graph lags behind the log.
SELECT (SELECT count(*) FROM pipeline_event_inbox) AS inbox,
    (SELECT max(received_at) FROM pipeline_event_inbox
     WHERE seq = (SELECT max(seq) FROM pipeline_event_inbox)) AS last_received_at,
    (SELECT count(*) FROM session_turn) AS turns,
    (SELECT count(*) FROM session_turn WHERE node_status = 'ambiguous') AS ambiguous_turns,
    (SELECT count(*) FROM session_turn WHERE node_status = 'unknown') AS unknown_endings,
    (SELECT count(*) FROM lineage_queue WHERE failure IS NULL) AS waiting_turns,
    (SELECT count(*) FROM lineage_queue WHERE failure IS NOT NULL) AS failed_turns,
    (SELECT count(DISTINCT session_id) FROM lineage_queue WHERE failure IS NULL) AS waiting_sessions,
    (SELECT count(*) FROM conversation_sessions) AS sessions,
    (SELECT count(*) FROM conversation_branch_nodes WHERE parent_node_id IS NOT NULL) AS nodes,
    (SELECT count(*) FROM execution_run_records) AS runs,
    (SELECT count(*) FROM execution_run_records WHERE purpose = 'replay') AS replays,
    (SELECT count(*) FROM quarantine
     WHERE resolved_at IS NULL AND waits_for IS NULL AND NOT starts_with(reason, 'refused:')) AS quarantine,
    (SELECT count(*) FROM quarantine WHERE resolved_at IS NULL AND waits_for IS NOT NULL) AS waiting_calls,
    (SELECT count(*) FROM feedback_target f JOIN feedback g USING (feedback_id)
     WHERE NOT g.imported AND f.target_session_id IS NULL) AS unmatched_feedback,
    (SELECT count(*) FROM dataset_snapshot_registry) AS snapshots,
    (SELECT count(*) FROM current_human_eval_labels) AS ratings,
    (SELECT count(*) FROM current_preference_labels) AS preferences;

-- name: status_of_scope
-- The same of one tenant alone. What could not be read is of no known tenant; a snapshot is a tenant's when all its rows are.
WITH own AS (SELECT session_id FROM session WHERE scope = %(scope)s)
SELECT inbox.calls AS inbox, inbox.last_received_at, turn.turns, turn.ambiguous_turns, turn.unknown_endings,
    waiting.waiting_turns, waiting.failed_turns, waiting.waiting_sessions,
    (SELECT count(*) FROM conversation_sessions WHERE scope = %(scope)s) AS sessions,
    (SELECT count(*) FROM conversation_branch_nodes JOIN own USING (session_id) WHERE parent_node_id IS NOT NULL) AS nodes,
    run.runs, run.replays, NULL AS quarantine, NULL AS waiting_calls,
    (SELECT count(*) FROM feedback_target f JOIN feedback g USING (feedback_id)
     WHERE NOT g.imported AND f.target_session_id IS NULL AND g.scope = %(scope)s) AS unmatched_feedback,
    (SELECT count(DISTINCT h.snapshot_id) FROM dataset_snapshot_nodes h JOIN own USING (session_id)
     WHERE NOT EXISTS (SELECT FROM dataset_snapshot_nodes o JOIN session s USING (session_id)
                       WHERE o.snapshot_id = h.snapshot_id AND s.scope <> %(scope)s)) AS snapshots,
    (SELECT count(*) FROM current_human_eval_labels JOIN own USING (session_id)) AS ratings,
    (SELECT count(*) FROM current_preference_labels l JOIN session_turn t ON t.turn_id = l.anchor_turn_id
     JOIN own USING (session_id)) AS preferences
FROM (SELECT count(*) AS calls, max(received_at) AS last_received_at
      FROM pipeline_event_inbox WHERE scope = %(scope)s) AS inbox,
    (SELECT count(*) AS turns, count(*) FILTER (WHERE node_status = 'ambiguous') AS ambiguous_turns,
        count(*) FILTER (WHERE node_status = 'unknown') AS unknown_endings
     FROM session_turn JOIN own USING (session_id)) AS turn,
    (SELECT count(*) FILTER (WHERE q.failure IS NULL) AS waiting_turns,
        count(*) FILTER (WHERE q.failure IS NOT NULL) AS failed_turns,
        count(DISTINCT t.session_id) FILTER (WHERE q.failure IS NULL) AS waiting_sessions
     FROM lineage_queue q JOIN session_turn t USING (turn_id) JOIN own ON own.session_id = t.session_id) AS waiting,
    (SELECT count(*) AS runs, count(*) FILTER (WHERE purpose = 'replay') AS replays
     FROM execution_run_records JOIN own USING (session_id)) AS run;

-- name: builds
-- How far each derived layer of the truth is.
SELECT name, build, turns_built, projection_version, built_at FROM lineage_watermark ORDER BY name;

-- name: theme
-- Whether there is a theme.
SELECT theme_id FROM seed_themes
WHERE theme_id = %(theme)s AND (%(scope)s::text IS NULL OR scope = %(scope)s);

-- name: themes
-- Themes by name, with their sessions. A page starts after a theme.
SELECT t.theme_id, t.name, t.scope, t.description, t.created_at,
    (SELECT count(*) FROM conversation_sessions s WHERE s.theme_id = t.theme_id) AS sessions
FROM seed_themes t
WHERE (%(scope)s::text IS NULL OR t.scope = %(scope)s)
  AND (%(after)s::uuid IS NULL OR (t.name, t.scope) > (SELECT a.name, a.scope FROM seed_themes a WHERE a.theme_id = %(after)s))
ORDER BY t.name, t.scope LIMIT %(limit)s;

-- name: sessions
-- Sessions, the most recent first, with the words that each opened with. A page starts after a (time, id). One of which every
-- call is a side call, or one of a judge of ours, is a side session.
SELECT s.session_id, s.scope, s.external_id, t.name AS theme, s.root_node_id, s.turns, s.nodes, s.started_at,
    s.last_turn_at, s.build, s.replays, s.errors, s.models, s.purposes, s.kinds, s.reward, s.reward_source,
    (SELECT min(b.fidelity) FROM response_branch_records b WHERE b.session_id = s.session_id) AS lowest_fidelity,
    opening.role AS opening_role, left(message_text(opening.body), 200) AS opening
FROM conversation_sessions s LEFT JOIN seed_themes t USING (theme_id)
LEFT JOIN LATERAL (
    SELECT m.role, m.body FROM conversation_branch_nodes n JOIN session_turn o USING (turn_id)
        JOIN context c ON c.context_id = n.context_snapshot_id JOIN message m USING (message_id)
    WHERE n.session_id = s.session_id AND n.depth = 1
    ORDER BY o.started_at, n.node_id LIMIT 1) AS opening ON true
WHERE (%(session)s::uuid IS NULL OR s.session_id = %(session)s) AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(theme)s::text IS NULL OR t.name = %(theme)s) AND (%(side)s::bool IS NULL OR %(side)s = s.is_side)
  AND (%(before)s::timestamptz IS NULL OR (s.last_turn_at, s.session_id) < (%(before)s, %(before_id)s::uuid))
ORDER BY s.last_turn_at DESC, s.session_id DESC LIMIT %(limit)s;

-- name: tree_order
-- Every node of a session, with what its place in tree order depends on.
SELECT n.node_id, n.parent_node_id FROM conversation_branch_nodes n LEFT JOIN session_turn t USING (turn_id)
WHERE n.session_id = %(session)s ORDER BY n.depth, t.started_at, n.node_id;

-- name: tree
-- Nodes of a session, all or those given, each with its first run: what was asked last, how the answer starts, and what came of it: the
-- verdict that the view turn_outcome gives, for all turns at once.
WITH said AS (
    SELECT t.turn_id, f.value, f.source, f.name, f.given_at, f.feedback_id
    FROM session_turn t JOIN feedback f ON f.turn_id = t.turn_id
    WHERE t.session_id = %(session)s AND f.name IN ('reward', 'rating')
    UNION ALL
    SELECT first.turn_id, f.value, f.source, f.name, f.given_at, f.feedback_id
    FROM (SELECT DISTINCT ON (node_id) node_id, turn_id FROM session_turn WHERE session_id = %(session)s
          ORDER BY node_id, started_at, turn_id) AS first
    JOIN feedback f ON f.turn_id = first.node_id WHERE f.name IN ('reward', 'rating')),
outcome AS (
    SELECT DISTINCT ON (said.turn_id) said.turn_id, said.value AS reward, said.source AS reward_source
    FROM said JOIN feedback f USING (feedback_id) JOIN session s ON s.session_id = %(session)s AND s.scope = f.scope
    ORDER BY said.turn_id, said.name = 'reward' DESC, said.given_at DESC, said.feedback_id DESC)
SELECT n.node_id, n.parent_node_id, n.turn_id, n.depth, n.branch_kind, n.branch_reason, n.variant_config::text,
    n.node_status, n.parent_evidence, n.runs, b.context_anchor_turn_id, b.branch_index, b.is_replay, b.fidelity,
    b.first_divergence::text, r.model,
    r.finish_reason, r.tool_calls, r.prompt_tokens, r.completion_tokens, r.duration_ms, r.started_at,
    o.reward, o.reward_source, asked.role AS asked_role, left(message_text(asked.body), 120) AS asked,
    left(message_text(answer.body), 120) AS answer_text, called.called
FROM conversation_branch_nodes n
-- Look-ups, which OFFSET keeps apart: for a large session the planner would read the rows of all sessions instead.
LEFT JOIN LATERAL (SELECT * FROM execution_run_records x WHERE x.run_id = n.turn_id OFFSET 0) AS r ON true
LEFT JOIN LATERAL (SELECT * FROM response_branch_records x WHERE x.turn_id = n.turn_id OFFSET 0) AS b ON true
LEFT JOIN outcome o ON o.turn_id = n.turn_id
LEFT JOIN LATERAL (
    SELECT m.role, m.body FROM context c JOIN message m USING (message_id) WHERE c.context_id = n.context_snapshot_id
    OFFSET 0) AS asked ON true
LEFT JOIN LATERAL (SELECT m.body FROM message m WHERE m.message_id = r.answer_id OFFSET 0) AS answer ON true
LEFT JOIN LATERAL (
    SELECT left(string_agg(left(c.name, 60) || '(' || left(coalesce(c.arguments, ''), 60) || ')', ', ' ORDER BY c.position), 120) AS called
    FROM message_calls(answer.body) AS c WHERE r.tool_calls > 0) AS called ON r.tool_calls > 0
WHERE n.session_id = %(session)s AND (%(nodes)s::uuid[] IS NULL OR n.node_id = ANY(%(nodes)s))
ORDER BY n.depth, r.started_at, n.node_id;

-- name: node
-- A node's place, and the whole history that its call was made with.
SELECT n.node_id, n.session_id, n.parent_node_id, n.turn_id, n.depth, n.branch_kind, n.branch_reason,
    n.variant_config::text, n.node_status, n.parent_evidence, n.runs AS run_count,
    encode(n.context_snapshot_id, 'hex') AS context_snapshot_id, b.context_anchor_turn_id, b.branch_index,
    context_messages(n.context_snapshot_id)::text AS history, tools.body::text AS tools
FROM conversation_branch_nodes n
LEFT JOIN response_branch_records b ON b.turn_id = n.turn_id
LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
LEFT JOIN request_part tools ON tools.part_id = r.tools_id
WHERE n.node_id = %(node)s;

-- name: links
-- Links between a session and others, both ways: its node, the other's session and node, and which of them started the
-- other.
SELECT 'starts' AS way, l.from_node_id AS node_id, l.to_session_id AS other_session_id, l.to_node_id AS other_node_id,
    l.evidence, l.detail, l.tool_call_id, l.started_at
FROM session_link l WHERE l.from_session_id = %(session)s
UNION ALL
SELECT 'started_by', l.to_node_id, l.from_session_id, l.from_node_id, l.evidence, l.detail, l.tool_call_id, l.started_at
FROM session_link l WHERE l.to_session_id = %(session)s
ORDER BY way, started_at, other_session_id, evidence;

-- name: hangs_in
-- The trees that the calls filed under a session hang in, the fullest first, with the node that each is entered at.
SELECT n.session_id, count(*) AS calls,
    (array_agg(n.parent_node_id ORDER BY n.depth, t.started_at, t.turn_id))[1] AS under_node_id
FROM session_turn t JOIN conversation_branch_nodes n ON n.node_id = t.node_id
WHERE t.session_id = %(session)s GROUP BY n.session_id ORDER BY calls DESC, n.session_id;

-- name: path
-- The nodes from the root down to a node.
WITH RECURSIVE up AS (
    SELECT node_id, parent_node_id, depth, branch_kind FROM conversation_branch_nodes WHERE node_id = %(node)s
    UNION ALL
    SELECT n.node_id, n.parent_node_id, n.depth, n.branch_kind
    FROM up JOIN conversation_branch_nodes n ON n.node_id = up.parent_node_id)
SELECT node_id, depth, branch_kind FROM up ORDER BY depth;

-- name: children
-- The nodes that grow from a node, the first ones where there is a limit.
SELECT n.node_id, n.depth, n.branch_kind, n.node_status, n.runs, r.model, r.started_at
FROM conversation_branch_nodes n JOIN execution_run_records r ON r.run_id = n.turn_id
WHERE n.parent_node_id = %(node)s ORDER BY r.started_at, n.node_id LIMIT %(limit)s;

-- name: runs
-- The runs that gave a node, each with its answer, the first ones where there is a limit.
SELECT r.run_id, r.event_id, r.purpose, r.task_key, r.model, r.model_snapshot_id, r.backend, r.run_status,
    r.finish_reason, r.prompt_tokens, r.completion_tokens, r.cached_tokens, r.usage::text, r.duration_ms,
    r.first_byte_ms, r.error::text, r.sampling::text, r.tool_calls, r.variant::text, r.started_at,
    b.context_anchor_turn_id, b.branch_index, b.same_context, b.same_tools, b.is_replay, b.fidelity,
    b.first_divergence::text,
    o.reward, o.source AS reward_source, m.body::text AS answer, message_text(m.body) AS answer_text
FROM execution_run_records r LEFT JOIN response_branch_records b ON b.turn_id = r.run_id
LEFT JOIN message m ON m.message_id = r.answer_id
LEFT JOIN LATERAL outcome_of_turn(r.run_id) AS o ON true
WHERE r.node_id = %(node)s ORDER BY b.branch_index, r.started_at, r.run_id LIMIT %(limit)s;

-- name: anchor
-- An anchor: the session it is in, and the history that its answers share.
SELECT t.turn_id AS context_anchor_turn_id, t.session_id, t.node_id, b.parent_node_id,
    encode(t.context_id, 'hex') AS context_snapshot_id, context_messages(t.context_id)::text AS history
FROM session_turn t JOIN response_branch_records b USING (turn_id)
WHERE t.turn_id = (SELECT context_anchor_turn_id FROM response_branch_records WHERE turn_id = %(turn)s);

-- name: alternatives
-- The answers under an anchor, in the order of their branch indexes. A page starts after an index.
SELECT b.branch_index, b.turn_id, b.node_id, b.parent_node_id, b.branch_kind, b.variant_config::text, b.same_context,
    b.same_tools, b.is_replay, b.fidelity, b.first_divergence::text, r.model, r.model_snapshot_id, r.backend,
    r.run_status, r.finish_reason,
    r.prompt_tokens, r.completion_tokens, r.duration_ms, r.tool_calls, r.sampling::text, r.error::text, r.started_at,
    o.reward, o.source AS reward_source, m.body::text AS answer, message_text(m.body) AS answer_text
FROM response_branch_records b JOIN execution_run_records r ON r.run_id = b.turn_id
LEFT JOIN message m ON m.message_id = r.answer_id
LEFT JOIN LATERAL outcome_of_turn(b.turn_id) AS o ON true
WHERE b.context_anchor_turn_id = %(anchor)s AND (%(after)s::int IS NULL OR b.branch_index > %(after)s)
ORDER BY b.branch_index LIMIT %(limit)s;

-- name: snapshot_nodes
-- How many rows, nodes and sessions a snapshot holds.
SELECT count(DISTINCT row_id) AS rows, count(DISTINCT node_id) AS nodes, count(DISTINCT session_id) AS sessions
FROM dataset_snapshot_nodes WHERE snapshot_id = %(snapshot)s;
