-- name: choices
-- Conversations to choose from, the latest first. No name that a client gave: such names may be of people.
SELECT concat_ws(' · ', h.name, s.turns || CASE s.turns WHEN 1 THEN ' turn' ELSE ' turns' END,
    to_char(s.started_at, 'YYYY-MM-DD HH24:MI'), left(s.session_id::text, 8)) AS __text, s.session_id::text AS __value
FROM conversation_sessions s LEFT JOIN seed_themes h USING (theme_id)
WHERE NOT s.is_side AND $__timeFilter(s.last_turn_at) ORDER BY s.last_turn_at DESC LIMIT 500;

-- name: turns
-- Turns in the tree.
SELECT turns FROM conversation_sessions WHERE session_id = nullif(${session:sqlstring}, '')::uuid;

-- name: graph_nodes
-- Nodes for the graph, laid out as a tidy tree: a leaf takes the next column, a node stands above the middle of its leaves.
WITH RECURSIVE shown AS MATERIALIZED (
    SELECT n.node_id, n.parent_node_id, n.depth, n.branch_kind, n.node_status, n.parent_evidence, n.runs, r.model, r.purpose,
        r.run_status, r.finish_reason, r.prompt_tokens, r.completion_tokens, r.duration_ms, r.started_at
    FROM conversation_branch_nodes n LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
    WHERE n.session_id = nullif(${session:sqlstring}, '')::uuid AND n.depth >= coalesce(nullif(${depth:sqlstring}, '')::integer, 0)
    ORDER BY n.depth, r.started_at, n.node_id LIMIT 200),
placed AS (
    SELECT s.*, row_number() OVER (PARTITION BY s.parent_node_id ORDER BY s.started_at, s.node_id) AS place,
        NOT EXISTS (SELECT FROM shown p WHERE p.node_id = s.parent_node_id) AS is_top,
        NOT EXISTS (SELECT FROM shown c WHERE c.parent_node_id = s.node_id) AS is_leaf
    FROM shown s),
walk AS (
    SELECT p.node_id, ARRAY[row_number() OVER (ORDER BY p.started_at, p.node_id)] AS path FROM placed p WHERE p.is_top
    UNION ALL
    SELECT p.node_id, w.path || p.place FROM walk w JOIN placed p ON p.parent_node_id = w.node_id),
leaf AS (
    SELECT w.path, row_number() OVER (ORDER BY w.path) AS col FROM walk w JOIN placed p USING (node_id) WHERE p.is_leaf),
place AS (
    SELECT w.node_id, (min(l.col) + max(l.col)) / 2.0 AS col
    FROM walk w JOIN leaf l ON l.path[1:cardinality(w.path)] = w.path GROUP BY w.node_id)
SELECT p.node_id::text AS id, replace(p.branch_kind, '_', ' ') AS title, coalesce(p.model, '') AS subtitle,
    CASE WHEN p.duration_ms IS NOT NULL THEN round((p.duration_ms / 1000)::numeric, 1) || ' s' ELSE '' END AS mainstat,
    CASE WHEN p.completion_tokens IS NOT NULL THEN p.completion_tokens || ' tok' ELSE '' END AS secondarystat,
    CASE WHEN p.node_status NOT IN ('ok', 'refused') THEN '#F2495C' ELSE CASE p.branch_kind
        WHEN 'root' THEN '#8E8E8E' WHEN 'continuation' THEN '#5794F2' WHEN 'retry' THEN '#FADE2A' WHEN 'model_variant' THEN '#B877D9'
        WHEN 'sampling_variant' THEN '#FF9830' WHEN 'prompt_variant' THEN '#73BF69' WHEN 'tool_variant' THEN '#37872D'
        WHEN 'taskify_variant' THEN '#1F60C4' ELSE '#CA95E5' END END AS color,
    24 + 4 * least(greatest(p.runs, 1), 4) AS noderadius,
    (place.col * 130)::double precision AS fixedx, (p.depth * 130)::double precision AS fixedy,
    p.depth AS detail__depth, p.runs AS detail__runs, p.node_status AS detail__status, coalesce(p.purpose, '') AS detail__purpose,
    coalesce(p.finish_reason, '') AS detail__finish, coalesce(p.prompt_tokens::text, '') AS detail__read,
    coalesce(p.completion_tokens::text, '') AS detail__written, p.parent_evidence AS detail__evidence,
    coalesce(to_char(p.started_at, 'YYYY-MM-DD HH24:MI:SS'), '') AS detail__started
FROM placed p JOIN place USING (node_id) ORDER BY p.depth, place.col;

-- name: graph_edges
-- Edges between the nodes that are shown.
WITH shown AS MATERIALIZED (
    SELECT n.node_id, n.parent_node_id, n.branch_kind, n.runs
    FROM conversation_branch_nodes n LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
    WHERE n.session_id = nullif(${session:sqlstring}, '')::uuid AND n.depth >= coalesce(nullif(${depth:sqlstring}, '')::integer, 0)
    ORDER BY n.depth, r.started_at, n.node_id LIMIT 200)
SELECT c.node_id::text AS id, p.node_id::text AS source, c.node_id::text AS target,
    CASE c.runs WHEN 1 THEN '' ELSE c.runs || ' runs' END AS mainstat, least(c.runs, 5) AS thickness
FROM shown c JOIN shown p ON p.node_id = c.parent_node_id;

-- name: nodes
-- Nodes in the tree, without its root.
SELECT nodes FROM conversation_sessions WHERE session_id = nullif(${session:sqlstring}, '')::uuid;

-- name: branches
-- Nodes that are neither the root nor continuations.
SELECT count(*) AS branches FROM conversation_branch_nodes
WHERE session_id = nullif(${session:sqlstring}, '')::uuid AND branch_kind NOT IN ('root', 'continuation');

-- name: errors
-- Turns whose call failed.
SELECT errors FROM conversation_sessions WHERE session_id = nullif(${session:sqlstring}, '')::uuid;

-- name: tokens
-- Tokens of all its calls.
SELECT coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0) AS tokens
FROM execution_run_records WHERE session_id = nullif(${session:sqlstring}, '')::uuid;

-- name: seconds
-- Seconds of all its calls.
SELECT coalesce(sum(duration_ms), 0) / 1000 AS seconds
FROM execution_run_records WHERE session_id = nullif(${session:sqlstring}, '')::uuid;

-- name: runs
-- Its turns, the latest 1,000.
SELECT r.started_at AS time, n.depth, replace(n.branch_kind, '_', ' ') AS kind, r.purpose, r.model, r.backend, r.run_status AS status,
    r.finish_reason AS finish, r.prompt_tokens AS "tokens read", r.completion_tokens AS "tokens written", r.tool_calls AS "tool calls",
    r.first_byte_ms / 1000 AS "first byte", r.duration_ms / 1000 AS seconds, r.node_id::text AS node
FROM execution_run_records r JOIN conversation_branch_nodes n USING (node_id)
WHERE r.session_id = nullif(${session:sqlstring}, '')::uuid ORDER BY r.started_at DESC, r.run_id LIMIT 1000;

-- name: links
-- Conversations that are linked with it, and by which rule.
SELECT CASE WHEN a.session_id = nullif(${session:sqlstring}, '')::uuid THEN 'it started' ELSE 'started it' END AS direction,
    CASE WHEN a.session_id = nullif(${session:sqlstring}, '')::uuid THEN b.session_id ELSE a.session_id END::text AS conversation,
    replace(l.evidence, '_', ' ') AS evidence, b.started_at AS time
FROM turn_link l JOIN execution_run_records a ON a.run_id = l.from_turn_id JOIN execution_run_records b ON b.run_id = l.to_turn_id
WHERE nullif(${session:sqlstring}, '')::uuid IN (a.session_id, b.session_id) AND a.session_id <> b.session_id
ORDER BY b.started_at DESC LIMIT 100;
