-- Queries of the graph's builder. Everything is a set: no query per row, none per ancestor.

-- name: lock
-- No other builder beside this one, to the end of the transaction.
SELECT pg_advisory_xact_lock(7267426612);

-- name: try_lock
-- The same, if no other builder is at work now.
SELECT pg_try_advisory_xact_lock(7267426612) AS mine;

-- name: share
-- One of several builders, each of which holds shards of its own.
SELECT pg_advisory_xact_lock_shared(7267426612);

-- name: waiting_shards
-- The shards of which turns wait, and how many turns wait in all, counted up to a limit.
SELECT shard, (SELECT count(*) FROM (
    SELECT FROM lineage_queue WHERE failure IS NULL AND NOT joins
        AND (%(sessions)b::uuid[] IS NULL OR session_id = ANY(%(sessions)b::uuid[])) LIMIT %(limit)s) AS counted) AS turns
FROM generate_series(0, 15) AS shard CROSS JOIN LATERAL (
    SELECT FROM lineage_queue WHERE lineage_shard(session_id) = shard AND failure IS NULL AND NOT joins
        AND (%(sessions)b::uuid[] IS NULL OR session_id = ANY(%(sessions)b::uuid[])) LIMIT 1) AS one;

-- name: try_shard
-- Hold a shard to the end of the transaction, if no other builder holds it.
SELECT pg_try_advisory_xact_lock(7267427, %(shard)s) AS mine;

-- name: lock_shard
-- The same; waits for the builder that holds it.
SELECT pg_advisory_xact_lock(7267427, %(shard)s);

-- name: lock_order
-- Builders that share the graph number their builds, and look for links, one after the other: a reader that has seen a
-- build has seen all before it.
SELECT pg_advisory_xact_lock(7267426640);

-- name: take_shards
-- The next turns of some shards, oldest ids first; all of them gone from the queue with this commit.
DELETE FROM lineage_queue q USING (
    SELECT turn_id FROM unnest(%(shards)b::int4[]) AS shard CROSS JOIN LATERAL (
        SELECT turn_id FROM lineage_queue
        WHERE lineage_shard(session_id) = shard AND failure IS NULL AND NOT joins
          AND (%(sessions)b::uuid[] IS NULL OR session_id = ANY(%(sessions)b::uuid[]))
        ORDER BY turn_id LIMIT %(limit)s) AS oldest
    ORDER BY turn_id LIMIT %(limit)s) AS next
WHERE q.turn_id = next.turn_id
RETURNING q.turn_id, q.session_id;

-- name: joining
-- Which sessions of new turns may be joined with others: those with a place that a late arrival may still improve, and
-- those whose new answers such a place in any session may hold.
WITH new AS (SELECT session_id, answer_id FROM session_turn WHERE turn_id = ANY(%(turns)b::uuid[]))
SELECT u.session_id FROM unsettled_node u WHERE u.session_id IN (SELECT session_id FROM new)
UNION
SELECT new.session_id FROM new JOIN message m ON m.message_id = new.answer_id
WHERE m.anchors IS NOT NULL AND EXISTS (SELECT FROM unsettled_node u WHERE u.anchors && m.anchors);

-- name: defer_turns
-- Turns that were taken wait again, for a builder that is alone.
INSERT INTO lineage_queue (turn_id, session_id, joins)
SELECT turn_id, session_id, true FROM session_turn WHERE turn_id = ANY(%(turns)b::uuid[]);

-- name: defer_sessions
-- All that waits of these sessions waits for a builder that is alone.
UPDATE lineage_queue SET joins = true WHERE session_id = ANY(%(sessions)b::uuid[]) AND NOT joins;

-- name: joining_wait
-- Whether turns wait for a builder that is alone.
SELECT EXISTS (SELECT FROM lineage_queue WHERE joins AND failure IS NULL
    AND (%(sessions)b::uuid[] IS NULL OR session_id = ANY(%(sessions)b::uuid[]))) AS wait;

-- name: builder_at_work
-- Whether another builder holds that lock now.
SELECT NOT pg_try_advisory_xact_lock(7267426612) AS busy;

-- name: take_queue
-- The next turns that the graph has not placed, oldest ids first, or only those that a builder alone may place; all of
-- them gone from the queue with this commit.
DELETE FROM lineage_queue q USING (
    SELECT turn_id FROM lineage_queue
    WHERE failure IS NULL AND (joins OR NOT %(joining)s) AND (%(sessions)b::uuid[] IS NULL OR session_id = ANY(%(sessions)b::uuid[]))
    ORDER BY turn_id LIMIT %(limit)s) AS next
WHERE q.turn_id = next.turn_id
RETURNING q.turn_id;

-- name: requeue_all
-- For a rebuild: every turn waits again, also one that could not be placed.
INSERT INTO lineage_queue (turn_id, session_id) SELECT turn_id, session_id FROM session_turn
ON CONFLICT (turn_id) DO UPDATE SET failure = NULL;

-- name: set_aside
-- A turn that cannot be placed waits with the reason, and stops no other.
UPDATE lineage_queue SET failure = %(reason)s WHERE turn_id = %(turn)s AND failure IS NULL;

-- name: retry_failed
-- Turns that could not be placed are tried again.
UPDATE lineage_queue SET failure = NULL WHERE failure IS NOT NULL;

-- name: clear_graph
-- The derived tables of the graph, emptied; the log stays.
TRUNCATE conversation_branch_nodes, execution_run_records, response_branch_records, conversation_sessions,
    unsettled_node, turn_link;

-- name: affected
-- New turns; other runs of their nodes; turns whose history waits for them, was matched only in part, or may hold their
-- answers; turns that claim them; replays of all these. Then, again, every run of those nodes. OFFSET 0 has each
-- looked up by an index: the planner expects far more of them than there are, and would read whole tables.
WITH RECURSIVE new AS (
    SELECT t.turn_id, t.session_id, t.node_id, t.answer_projection, t.answer_id FROM session_turn t
    WHERE t.turn_id = ANY(%(turns)b::uuid[])),
touched AS (
    SELECT node_id FROM new
    UNION
    SELECT found.node_id FROM new CROSS JOIN LATERAL (
        SELECT t.node_id FROM session_lineage l JOIN session_turn t ON t.turn_id = l.turn_id
        WHERE l.session_id = new.session_id AND l.awaited_projection = new.answer_projection OFFSET 0) AS found
    UNION
    SELECT u.node_id FROM (SELECT DISTINCT session_id FROM new) s JOIN unsettled_node u USING (session_id)
    UNION
    SELECT u.node_id FROM new JOIN message m ON m.message_id = new.answer_id AND m.anchors IS NOT NULL
        JOIN unsettled_node u ON u.anchors && m.anchors
    UNION
    SELECT t.node_id FROM new JOIN session_lineage l ON l.parent_claim = ANY(ARRAY[new.node_id, new.turn_id])
        JOIN session_turn t ON t.turn_id = l.turn_id),
grown AS (
    SELECT node_id FROM touched
    UNION
    SELECT found.node_id FROM grown g CROSS JOIN LATERAL (
        SELECT t.node_id FROM session_turn a JOIN session_lineage l ON l.replay_claim = ANY(ARRAY[a.node_id, a.turn_id])
            JOIN session_turn t ON t.turn_id = l.turn_id
        WHERE a.node_id = g.node_id OFFSET 0) AS found)
SELECT found.turn_id FROM grown g CROSS JOIN LATERAL (
    SELECT t.turn_id FROM session_turn t
    WHERE t.node_id = g.node_id AND (SELECT true FROM lineage_queue q WHERE q.turn_id = t.turn_id) IS NULL
    OFFSET 0) AS found;

-- name: origins
-- For each turn the turn whose place it takes: itself, or, for a replay, the one at the end of its chain of claims.
-- A claim counts within one session, and only on something that was asked before it.
WITH RECURSIVE claims AS (
    SELECT t.turn_id, t.turn_id AS origin, t.session_id, t.started_at, 0 AS step
    FROM session_turn t WHERE t.turn_id = ANY(%(turns)b::uuid[])
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
-- A turn that still waits, or that cannot be placed, is no parent yet.
WITH RECURSIVE wanted AS (
    SELECT o.turn_id, o.origin, t.session_id, t.context_id, t.started_at, l.parent_claim, l.awaited_projection
    FROM unnest(%(turns)b::uuid[], %(origins)b::uuid[]) AS o (turn_id, origin)
    JOIN session_turn t ON t.turn_id = o.origin JOIN session_lineage l ON l.turn_id = o.origin),
claimed AS (
    SELECT w.turn_id, found.node_id FROM wanted w CROSS JOIN LATERAL (
        SELECT t.node_id FROM session_turn t
        WHERE (t.node_id = w.parent_claim OR t.turn_id = w.parent_claim)
          AND t.session_id = w.session_id AND (t.started_at, t.turn_id) < (w.started_at, w.origin)
          AND NOT EXISTS (SELECT FROM lineage_queue q WHERE q.turn_id = t.turn_id)
        ORDER BY t.started_at, t.turn_id LIMIT 1) AS found
    WHERE w.parent_claim IS NOT NULL),
up AS (
    SELECT w.turn_id, w.session_id, c.parent_id, c.projection_id, c.depth, known.node_id
    FROM wanted w JOIN context c ON c.context_id = w.context_id
    LEFT JOIN LATERAL (SELECT s.node_id FROM session_turn s
        WHERE s.session_id = w.session_id AND s.answer_projection = c.projection_id
          AND NOT EXISTS (SELECT FROM lineage_queue q WHERE q.turn_id = s.turn_id) LIMIT 1) AS known ON true
    UNION ALL
    SELECT up.turn_id, up.session_id, c.parent_id, c.projection_id, c.depth, known.node_id
    FROM up JOIN context c ON c.context_id = up.parent_id
    LEFT JOIN LATERAL (SELECT s.node_id FROM session_turn s
        WHERE s.session_id = up.session_id AND s.answer_projection = c.projection_id
          AND NOT EXISTS (SELECT FROM lineage_queue q WHERE q.turn_id = s.turn_id) LIMIT 1) AS known ON true
    WHERE up.node_id IS NULL)
SELECT w.turn_id, w.origin, w.session_id, k.node_id AS claimed_node_id, u.node_id AS prefix_node_id,
    CASE WHEN u.node_id IS NULL AND w.awaited_projection IS NULL THEN 'opening'
         WHEN u.node_id IS NULL THEN 'unmatched'
         WHEN u.projection_id = w.awaited_projection THEN 'prefix'
         ELSE 'longest_prefix' END AS prefix_evidence,
    coalesce(u.depth, 0) AS prefix_depth
FROM wanted w LEFT JOIN claimed k USING (turn_id)
LEFT JOIN up u ON u.turn_id = w.turn_id AND u.node_id IS NOT NULL;

-- name: keep_histories
-- What can be recognised of histories that go on from no known answer: the last answers beyond what is known of each.
CREATE TEMP TABLE IF NOT EXISTS stage_kept (node_id uuid, turn_id uuid, scope text, parent_id bytea, depth int4,
    anchors bigint[]) ON COMMIT DROP;
TRUNCATE stage_kept;

-- name: fill_histories
-- See keep_histories.
WITH RECURSIVE wanted AS (
    SELECT o.node_id, o.turn_id, o.known, t.context_id, s.scope
    FROM unnest(%(nodes)b::uuid[], %(turns)b::uuid[], %(known)s::int[]) AS o (node_id, turn_id, known)
    JOIN session_turn t USING (turn_id) JOIN session s USING (session_id)),
up AS (
    SELECT w.node_id, w.turn_id, w.scope, w.known, c.parent_id, c.message_id, c.depth
    FROM wanted w JOIN context c USING (context_id)
    UNION ALL
    SELECT up.node_id, up.turn_id, up.scope, up.known, c.parent_id, c.message_id, c.depth
    FROM up JOIN context c ON c.context_id = up.parent_id WHERE c.depth > up.known)
INSERT INTO stage_kept
SELECT node_id, turn_id, scope, parent_id, depth, anchors
FROM (SELECT up.*, found.anchors, row_number() OVER (PARTITION BY node_id ORDER BY up.depth DESC) AS place
      FROM up JOIN message m USING (message_id)
      CROSS JOIN LATERAL (SELECT array_agg(one) AS anchors FROM unnest(m.anchors) AS one
          WHERE one & 3 = ANY(%(kinds)s::int[])) AS found
      WHERE m.role = 'assistant' AND m.anchors IS NOT NULL AND found.anchors IS NOT NULL) AS told
WHERE place <= %(most)s;

-- name: survivors
-- The placed turns of the tenant that gave such an answer, where all of them are of one session. What more than 64 turns
-- gave is no sign of anything. The messages before are read only where they differ.
WITH keys AS MATERIALIZED (
    SELECT DISTINCT k.scope, one AS anchor FROM stage_kept k CROSS JOIN LATERAL unnest(k.anchors) AS one),
owners AS MATERIALIZED (
    SELECT keys.scope, keys.anchor, found.*, count(*) OVER same_key AS turns,
           min(found.session_id::text) OVER same_key = max(found.session_id::text) OVER same_key AS alone
    FROM keys CROSS JOIN LATERAL (
        SELECT t.turn_id, t.node_id, t.session_id, s.evidence = 'explicit_header' AS named, t.started_at,
               t.context_depth, t.context_id, t.system_digest
        FROM message m JOIN session_turn t ON t.answer_id = m.message_id
        JOIN session s ON s.session_id = t.session_id AND s.scope = keys.scope
        WHERE m.anchors @> ARRAY[keys.anchor]
          AND NOT EXISTS (SELECT FROM lineage_queue q WHERE q.turn_id = t.turn_id)
        LIMIT 65) AS found
    WINDOW same_key AS (PARTITION BY keys.scope, keys.anchor))
SELECT k.node_id, k.depth, k.turn_id, mine.session_id, my.evidence = 'explicit_header' AS named, mine.started_at,
    mine.system_digest, o.anchor, o.turn_id AS owner_turn_id, o.node_id AS owner_node_id,
    o.session_id AS owner_session_id, o.named AS owner_named, o.started_at AS owner_started_at,
    o.context_depth + 1 AS owner_depth, o.system_digest AS owner_system_digest,
    above.message_id IS NOT NULL AND above.message_id = before.message_id AS same_before,
    CASE WHEN o.anchor & 3 = 0 AND above.message_id <> before.message_id THEN m.body::text END AS above,
    CASE WHEN o.anchor & 3 = 0 AND above.message_id <> before.message_id THEN b.body::text END AS before
FROM stage_kept k JOIN session_turn mine USING (turn_id) JOIN session my ON my.session_id = mine.session_id
CROSS JOIN LATERAL unnest(k.anchors) AS one
JOIN owners o ON o.scope = k.scope AND o.anchor = one
LEFT JOIN context above ON above.context_id = k.parent_id
LEFT JOIN message m ON m.message_id = above.message_id
JOIN context before ON before.context_id = o.context_id JOIN message b ON b.message_id = before.message_id
WHERE o.alone AND o.turns <= 64;

-- name: deliverers
-- The placed turns of the tenant that delivered such an answer. What more than 64 turns delivered proves nothing.
WITH keys AS MATERIALIZED (
    SELECT DISTINCT k.scope, one AS anchor FROM stage_kept k CROSS JOIN LATERAL unnest(k.anchors) AS one),
owners AS MATERIALIZED (
    SELECT keys.scope, keys.anchor, found.*, count(*) OVER (PARTITION BY keys.scope, keys.anchor) AS turns
    FROM keys CROSS JOIN LATERAL (
        SELECT t.turn_id, t.node_id, t.session_id, s.evidence = 'explicit_header' AS named, s.external_id,
               t.started_at, t.context_depth, t.context_id, t.system_digest
        FROM message m JOIN session_turn t ON t.answer_id = m.message_id
        JOIN session s ON s.session_id = t.session_id AND s.scope = keys.scope
        WHERE m.anchors @> ARRAY[keys.anchor] AND m.role = 'assistant'
          AND NOT EXISTS (SELECT FROM lineage_queue q WHERE q.turn_id = t.turn_id)
        LIMIT 65) AS found)
SELECT k.node_id, k.depth, k.turn_id, k.parent_id AS context_before, mine.session_id,
    my.evidence = 'explicit_header' AS named, my.external_id, mine.started_at, mine.system_digest,
    o.turn_id AS owner_turn_id, o.external_id AS owner_external_id, o.node_id AS owner_node_id, o.session_id AS owner_session_id, o.named AS owner_named,
    o.started_at AS owner_started_at, o.context_depth + 1 AS owner_depth, o.system_digest AS owner_system_digest,
    o.context_id AS owner_context, bool_or(o.anchor & 3 = 1) AS by_call, bool_or(o.anchor & 3 = 3) AS by_answer, bool_or(o.anchor & 7 = 7) AS long
FROM stage_kept k JOIN session_turn mine USING (turn_id) JOIN session my ON my.session_id = mine.session_id
CROSS JOIN LATERAL unnest(k.anchors) AS one
JOIN owners o ON o.scope = k.scope AND o.anchor = one
WHERE o.turns <= 64 AND (o.started_at, o.turn_id) < (mine.started_at, mine.turn_id) AND o.node_id <> k.node_id
GROUP BY k.node_id, k.depth, k.turn_id, k.parent_id, mine.session_id, my.evidence, my.external_id, mine.started_at,
    mine.system_digest, o.turn_id, o.node_id, o.session_id, o.named, o.external_id, o.started_at, o.context_depth,
    o.system_digest, o.context_id;

-- name: tails
-- The last messages of histories, the nearest first; bodies only of those since the last answer.
WITH RECURSIVE up AS (
    SELECT c.context_id AS start, c.parent_id, c.message_id, 1 AS place
    FROM context c WHERE c.context_id = ANY(%(contexts)b::bytea[])
    UNION ALL
    SELECT up.start, c.parent_id, c.message_id, up.place + 1
    FROM up JOIN context c ON c.context_id = up.parent_id WHERE up.place < %(most)s),
read AS (
    SELECT up.start, up.place, up.message_id, m.role, m.anchors, m.body,
        count(*) FILTER (WHERE m.role = 'assistant') OVER (PARTITION BY up.start ORDER BY up.place) AS answers
    FROM up JOIN message m USING (message_id))
SELECT start, message_id, role, CASE WHEN role IN ('assistant', 'tool', 'function') THEN anchors END AS anchors,
    CASE WHEN answers = 0 AND role NOT IN ('system', 'developer') THEN body::text END AS body
FROM read ORDER BY start, place;

-- name: opening
-- The messages of a turn's history before its first answer, in order.
WITH RECURSIVE up AS (
    SELECT c.parent_id, c.message_id, c.depth
    FROM session_turn t JOIN context c ON c.context_id = t.context_id WHERE t.turn_id = %(turn)s
    UNION ALL
    SELECT c.parent_id, c.message_id, c.depth FROM up JOIN context c ON c.context_id = up.parent_id),
read AS (
    SELECT up.depth, m.body, count(*) FILTER (WHERE m.role = 'assistant') OVER (ORDER BY up.depth) AS answers
    FROM up JOIN message m USING (message_id))
SELECT body::text AS body FROM read WHERE answers = 0 ORDER BY depth;

-- name: save_unsettled
-- Places that a late arrival may still improve, with what it may be recognised by.
DELETE FROM unsettled_node u USING stage_node n WHERE u.node_id = n.node_id AND n.affected;

-- name: add_unsettled
-- See save_unsettled.
INSERT INTO unsettled_node (node_id, session_id, anchors)
SELECT n.node_id, t.session_id, coalesce((
    SELECT array_agg(DISTINCT one) FROM stage_kept k CROSS JOIN LATERAL unnest(k.anchors) AS one
    WHERE k.node_id = n.node_id), '{}')
FROM stage_node n JOIN session_turn t USING (turn_id)
WHERE n.parent_evidence IN ('longest_prefix', 'unmatched', 'compaction_anchor', 'returned_answer') AND n.affected;

-- name: ancestors
-- The parents of the given nodes, and theirs, up to the roots. UNION ends it even where claims make a circle.
WITH RECURSIVE up AS (
    SELECT node_id, parent_node_id, depth FROM conversation_branch_nodes WHERE node_id = ANY(%(nodes)b::uuid[])
    UNION
    SELECT n.node_id, n.parent_node_id, n.depth FROM up JOIN conversation_branch_nodes n ON n.node_id = up.parent_node_id)
SELECT node_id, parent_node_id, depth FROM up;

-- name: leaning
-- Turns whose place was chosen among answers of nodes at or below the given ones: which trees these are in may decide it.
WITH RECURSIVE down AS (
    SELECT unnest(%(nodes)b::uuid[]) AS node_id
    UNION
    SELECT n.node_id FROM down JOIN conversation_branch_nodes n ON n.parent_node_id = down.node_id)
SELECT DISTINCT t.turn_id FROM down JOIN session_turn d ON d.node_id = down.node_id
JOIN message m ON m.message_id = d.answer_id AND m.anchors IS NOT NULL
JOIN unsettled_node u ON u.anchors && m.anchors JOIN session_turn t ON t.node_id = u.node_id
WHERE NOT EXISTS (SELECT FROM lineage_queue q WHERE q.turn_id = t.turn_id);

-- name: families
-- Every placed turn under the given parents.
SELECT r.run_id AS turn_id, n.node_id, n.parent_node_id, n.parent_evidence, n.branch_kind, n.branch_reason,
    n.variant_config
FROM conversation_branch_nodes n JOIN execution_run_records r USING (node_id)
WHERE n.parent_node_id = ANY(%(parents)b::uuid[]);

-- name: current_parents
-- The current places of nodes.
SELECT node_id, parent_node_id, depth, session_id FROM conversation_branch_nodes WHERE node_id = ANY(%(nodes)b::uuid[]);

-- name: facts
-- What the builder has to know of each turn, all of it from the log.
SELECT t.turn_id, t.node_id, t.session_id, t.started_at, t.purpose, t.context_id, t.context_projection,
    t.system_digest, t.user_digest, t.choice_index, t.node_status, t.finish_reason, t.answer_id,
    e.event_id, e.scope, coalesce(e.model_requested, '') AS model_requested, e.model_answered, e.upstream,
    e.upstream_pin, e.tools_id, e.sampling_id, e.usage::text, e.duration_ms, e.first_byte_ms, e.error::text, e.http_status,
    e.cut, coalesce(e.system_fingerprint, '') AS fingerprint, e.identity::text, t.tool_calls
FROM session_turn t JOIN pipeline_event_inbox e USING (event_id)
WHERE t.turn_id = ANY(%(turns)b::uuid[]);

-- name: parts
-- Tool lists and sampling settings by id.
SELECT part_id, body::text FROM request_part WHERE part_id = ANY(%(parts)b::bytea[]);

-- name: stage
-- Temporary twins of the graph's tables.
CREATE TEMP TABLE stage_node (node_id uuid, session_id uuid, parent_node_id uuid, turn_id uuid, depth int4,
    branch_kind text, branch_reason text, variant_config text, node_status text, context_snapshot_id bytea,
    parent_evidence text, runs int4, affected bool) ON COMMIT DROP;
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
ON CONFLICT (node_id) DO UPDATE SET session_id = excluded.session_id, parent_node_id = excluded.parent_node_id,
    turn_id = excluded.turn_id, depth = excluded.depth, turn_index = excluded.turn_index, branch_kind = excluded.branch_kind,
    branch_reason = excluded.branch_reason, variant_config = excluded.variant_config,
    node_status = excluded.node_status, context_snapshot_id = excluded.context_snapshot_id,
    parent_evidence = excluded.parent_evidence, runs = excluded.runs
WHERE (conversation_branch_nodes.session_id, conversation_branch_nodes.parent_node_id, conversation_branch_nodes.turn_id, conversation_branch_nodes.depth,
       conversation_branch_nodes.branch_kind, conversation_branch_nodes.branch_reason,
       conversation_branch_nodes.variant_config, conversation_branch_nodes.node_status,
       conversation_branch_nodes.context_snapshot_id, conversation_branch_nodes.parent_evidence,
       conversation_branch_nodes.runs)
    IS DISTINCT FROM (excluded.session_id, excluded.parent_node_id, excluded.turn_id, excluded.depth,
       excluded.branch_kind, excluded.branch_reason, excluded.variant_config, excluded.node_status, excluded.context_snapshot_id,
       excluded.parent_evidence, excluded.runs);

-- name: save_moves
-- What hangs below a place that moved, moves with it, into another tree too. Of places that moved one below the other,
-- the highest knows best.
WITH RECURSIVE down AS (
    SELECT node_id, depth, session_id, 0 AS steps FROM conversation_branch_nodes WHERE node_id = ANY(%(moved)b::uuid[])
    UNION ALL
    SELECT n.node_id, down.depth + 1, down.session_id, down.steps + 1
    FROM down JOIN conversation_branch_nodes n ON n.parent_node_id = down.node_id),
placed AS (SELECT DISTINCT ON (node_id) node_id, depth, session_id FROM down ORDER BY node_id, steps DESC),
runs AS (
    UPDATE execution_run_records r SET session_id = p.session_id
    FROM placed p WHERE r.node_id = p.node_id AND r.session_id <> p.session_id),
answers AS (
    UPDATE response_branch_records b SET session_id = p.session_id
    FROM placed p WHERE b.node_id = p.node_id AND b.session_id <> p.session_id)
UPDATE conversation_branch_nodes n SET depth = p.depth, turn_index = p.depth, session_id = p.session_id
FROM placed p WHERE n.node_id = p.node_id AND (n.depth, n.session_id) <> (p.depth, p.session_id);

-- name: drop_empty_trees
-- A session whose every node hangs in another tree has none of its own.
WITH gone AS (
    DELETE FROM conversation_branch_nodes root
    WHERE root.session_id = ANY(%(sessions)b::uuid[]) AND root.depth = 0
      AND NOT EXISTS (SELECT FROM conversation_branch_nodes n WHERE n.parent_node_id = root.node_id)
    RETURNING root.session_id)
DELETE FROM conversation_sessions s USING gone WHERE s.session_id = gone.session_id;

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
ON CONFLICT (turn_id) DO UPDATE SET session_id = excluded.session_id, parent_node_id = excluded.parent_node_id,
    context_anchor_turn_id = excluded.context_anchor_turn_id, branch_index = excluded.branch_index,
    branch_kind = excluded.branch_kind, variant_config = excluded.variant_config,
    same_context = excluded.same_context, same_tools = excluded.same_tools
WHERE (response_branch_records.session_id, response_branch_records.parent_node_id,
       response_branch_records.context_anchor_turn_id,
       response_branch_records.branch_index, response_branch_records.branch_kind,
       response_branch_records.variant_config, response_branch_records.same_context,
       response_branch_records.same_tools)
    IS DISTINCT FROM (excluded.session_id, excluded.parent_node_id, excluded.context_anchor_turn_id, excluded.branch_index,
       excluded.branch_kind, excluded.variant_config, excluded.same_context, excluded.same_tools);

-- name: save_sessions
-- Each touched session's figures; its theme is the one that its earliest themed call named.
INSERT INTO conversation_sessions (session_id, scope, external_id, theme_id, root_node_id, turns, nodes, started_at,
    last_turn_at, build, replays, errors, models, purposes, kinds, is_side, reward, reward_source)
SELECT s.session_id, s.scope, s.external_id,
    (SELECT r.theme_id FROM execution_run_records r WHERE r.session_id = s.session_id AND r.theme_id IS NOT NULL
     ORDER BY r.started_at, r.run_id LIMIT 1),
    root.node_id, figures.turns, figures.nodes, figures.started_at, figures.last_turn_at, %(build)s, more.replays,
    more.errors, more.models, more.purposes, more.kinds, more.is_side, more.reward, more.reward_source
FROM session s
JOIN conversation_branch_nodes root ON root.session_id = s.session_id AND root.depth = 0
CROSS JOIN LATERAL (
    SELECT count(*) AS turns, count(DISTINCT r.node_id) AS nodes, min(r.started_at) AS started_at,
           max(r.started_at) AS last_turn_at
    FROM execution_run_records r WHERE r.session_id = s.session_id) AS figures
CROSS JOIN LATERAL session_figures(s.session_id) AS more
WHERE s.session_id = ANY(%(sessions)b::uuid[])
ORDER BY s.session_id
ON CONFLICT (session_id) DO UPDATE SET external_id = excluded.external_id, theme_id = excluded.theme_id, turns = excluded.turns, nodes = excluded.nodes,
    started_at = excluded.started_at, last_turn_at = excluded.last_turn_at, build = excluded.build,
    replays = excluded.replays, errors = excluded.errors, models = excluded.models, purposes = excluded.purposes,
    kinds = excluded.kinds, is_side = excluded.is_side, reward = excluded.reward, reward_source = excluded.reward_source;

-- name: requeue_outcomes
-- A session that came to be may be the one that feedback meant, and not the one that its name claims.
INSERT INTO session_outcome_queue
SELECT session_claim FROM feedback
WHERE session_id = ANY(%(sessions)b::uuid[]) AND session_claim IS NOT NULL AND turn_id IS NULL;

-- name: outcomes_wait
-- Whether the outcome of any session has to be looked up again.
SELECT EXISTS (SELECT FROM session_outcome_queue) AS wait;

-- name: settle_outcomes
-- Look them up.
WITH taken AS (DELETE FROM session_outcome_queue RETURNING session_id),
ids AS (SELECT DISTINCT session_id FROM taken)
UPDATE conversation_sessions s SET reward = o.reward, reward_source = o.source
FROM ids LEFT JOIN LATERAL outcome_of_session(ids.session_id) AS o ON true
WHERE s.session_id = ids.session_id;

-- name: link_claims
-- Calls that named a node of another session as their parent: the client says which conversation started this one.
WITH claiming AS MATERIALIZED (SELECT turn_id, parent_claim FROM session_lineage WHERE parent_claim IS NOT NULL),
made AS MATERIALIZED (
    SELECT turn_id FROM claiming WHERE turn_id = ANY(%(turns)b::uuid[]) OR parent_claim = ANY(%(turns)b::uuid[])
    UNION
    SELECT c.turn_id FROM claiming c JOIN session_turn t ON t.node_id = c.parent_claim
    WHERE t.turn_id = ANY(%(turns)b::uuid[]))
SELECT t.turn_id AS to_turn_id, found.turn_id AS from_turn_id
FROM made JOIN session_turn t USING (turn_id) JOIN session_lineage l USING (turn_id)
JOIN session s ON s.session_id = t.session_id
CROSS JOIN LATERAL (
    SELECT o.turn_id FROM session_turn o JOIN session os ON os.session_id = o.session_id AND os.scope = s.scope
    WHERE o.turn_id = ANY(ARRAY(SELECT l.parent_claim UNION SELECT n.turn_id FROM session_turn n
                                WHERE n.node_id = l.parent_claim)) AND o.session_id <> t.session_id
      AND (o.started_at, o.turn_id) < (t.started_at, t.turn_id)
    ORDER BY o.started_at, o.turn_id LIMIT 1) AS found;

-- name: link_tasks
-- Conversations whose first words are among the arguments of an earlier tool call of another conversation.
-- A replay is started by its driver; its first words prove nothing.
WITH new AS (SELECT turn_id, answer_id, tool_calls, purpose FROM session_turn WHERE turn_id = ANY(%(turns)b::uuid[])),
first AS (
    SELECT new.turn_id FROM new JOIN session_lineage l USING (turn_id)
    WHERE l.awaited_projection IS NULL AND new.purpose <> 'replay'
    UNION
    SELECT t.turn_id FROM new JOIN message a ON a.message_id = new.answer_id AND a.anchors IS NOT NULL
    CROSS JOIN LATERAL unnest(a.anchors) AS one
    JOIN message m ON m.anchors @> ARRAY[one - 2] AND m.role = 'user'
    JOIN context c ON c.message_id = m.message_id JOIN session_turn t ON t.context_id = c.context_id
    JOIN session_lineage l ON l.turn_id = t.turn_id AND l.awaited_projection IS NULL
    WHERE one & 3 = 2 AND new.tool_calls > 0 AND t.purpose <> 'replay')
SELECT DISTINCT ON (t.turn_id) t.turn_id AS to_turn_id, o.turn_id AS from_turn_id, one + 2 AS anchor,
    a.body::text AS answer
FROM first JOIN session_turn t USING (turn_id) JOIN session s ON s.session_id = t.session_id
JOIN context c ON c.context_id = t.context_id
JOIN message m ON m.message_id = c.message_id AND m.role = 'user' AND m.anchors IS NOT NULL
CROSS JOIN LATERAL unnest(m.anchors) AS one
JOIN message a ON a.anchors @> ARRAY[one + 2]
JOIN session_turn o ON o.answer_id = a.message_id AND o.session_id <> t.session_id
    AND (o.started_at, o.turn_id) < (t.started_at, t.turn_id)
JOIN session os ON os.session_id = o.session_id AND os.scope = s.scope
WHERE one & 3 = 0
ORDER BY t.turn_id, o.started_at DESC, o.turn_id DESC;

-- name: link_results
-- Answers that another conversation was given as the results of earlier tool calls, known by the ids of those calls: the
-- last answer that made such calls. New turns show only some of the calls of an answer; the link that is there already
-- holds the best of those before, so that the order in which turns arrive changes nothing.
WITH RECURSIVE new AS (
    SELECT turn_id, context_id, answer_id, tool_calls FROM session_turn WHERE turn_id = ANY(%(turns)b::uuid[])),
told AS (
    SELECT c.parent_id, m.message_id, m.anchors FROM new JOIN context c USING (context_id)
    JOIN message m ON m.message_id = c.message_id AND m.role IN ('tool', 'function')
    UNION
    SELECT c.parent_id, m.message_id, m.anchors FROM told JOIN context c ON c.context_id = told.parent_id
    JOIN message m ON m.message_id = c.message_id AND m.role IN ('tool', 'function')),
result AS (
    SELECT message_id, anchors FROM told WHERE anchors IS NOT NULL
    UNION
    SELECT m.message_id, m.anchors FROM (
        SELECT DISTINCT CASE one & 3 WHEN 0 THEN one + 3 ELSE one END AS anchor
        FROM new JOIN message a ON a.message_id = new.answer_id AND a.anchors IS NOT NULL
        CROSS JOIN LATERAL unnest(a.anchors) AS one WHERE one & 3 < 2) AS wanted
    JOIN LATERAL (
        SELECT m.message_id, m.anchors FROM message m
        WHERE m.anchors @> ARRAY[wanted.anchor] AND m.role IN ('tool', 'function') OFFSET 0) AS m ON true
    WHERE EXISTS (SELECT FROM message r WHERE r.role IN ('tool', 'function') AND r.anchors IS NOT NULL)),
pair AS (
    SELECT result.message_id, said.anchor - 3 AS said, call.anchor AS called FROM result
    CROSS JOIN LATERAL (SELECT one FROM unnest(result.anchors) AS one WHERE one & 3 = 3) AS said (anchor)
    CROSS JOIN LATERAL (SELECT one FROM unnest(result.anchors) AS one WHERE one & 3 = 1) AS call (anchor)),
found AS MATERIALIZED (
    SELECT DISTINCT t.turn_id AS to_turn_id, o.turn_id AS from_turn_id, o.started_at, o.answer_id,
        stored_text(m.body, 'tool_call_id') AS call_id
    FROM pair JOIN message m USING (message_id)
    JOIN message said ON said.anchors @> ARRAY[pair.said] AND said.role = 'assistant'
    JOIN session_turn t ON t.answer_id = said.message_id JOIN session s ON s.session_id = t.session_id
    JOIN message called ON called.anchors @> ARRAY[pair.called] AND called.role = 'assistant'
    JOIN session_turn o ON o.answer_id = called.message_id AND o.session_id <> t.session_id
        AND (o.started_at, o.turn_id) < (t.started_at, t.turn_id)
    JOIN session os ON os.session_id = o.session_id AND os.scope = s.scope),
known AS (
    SELECT * FROM found
    UNION
    SELECT t.turn_id, o.turn_id, o.started_at, o.answer_id, l.call_id
    FROM (SELECT DISTINCT to_turn_id FROM found) AS touched
    JOIN turn_link l ON l.to_turn_id = touched.to_turn_id AND l.evidence = 'result_text'
    JOIN session_turn t ON t.turn_id = l.to_turn_id
    JOIN session_turn o ON o.turn_id = l.from_turn_id AND o.session_id <> t.session_id),
last AS (
    SELECT DISTINCT ON (to_turn_id) to_turn_id, from_turn_id FROM known
    ORDER BY to_turn_id, started_at DESC, from_turn_id DESC)
SELECT known.to_turn_id, known.from_turn_id, array_agg(DISTINCT known.call_id) AS call_ids, a.body::text AS answer
FROM last JOIN known USING (to_turn_id, from_turn_id) JOIN message a ON a.message_id = known.answer_id
GROUP BY known.to_turn_id, known.from_turn_id, a.message_id;

-- name: link_traces
-- Conversations of one trace (W3C traceparent): each was started in the one that the trace begins with. All turns of
-- the touched traces are told, so that a link that no longer holds goes; ``from_turn_id`` is NULL where there is none.
WITH trace AS (
    SELECT DISTINCT e.scope, substr(e.traceparent, 4, 32) AS id
    FROM session_turn t JOIN pipeline_event_inbox e USING (event_id)
    WHERE t.turn_id = ANY(%(turns)b::uuid[]) AND length(e.traceparent) >= 55
      AND substr(e.traceparent, 4, 32) ~ '^[0-9a-f]{32}$' AND substr(e.traceparent, 4, 32) <> repeat('0', 32)),
member AS (
    SELECT trace.scope, trace.id, t.turn_id, t.session_id, t.started_at,
        first_value(t.session_id) OVER (PARTITION BY trace.scope, trace.id ORDER BY t.started_at, t.turn_id) AS beginning,
        row_number() OVER (PARTITION BY trace.scope, trace.id, t.session_id ORDER BY t.started_at, t.turn_id) AS place
    FROM trace JOIN pipeline_event_inbox e ON e.scope = trace.scope AND substr(e.traceparent, 4, 32) = trace.id
        AND length(e.traceparent) >= 55
    JOIN session_turn t USING (event_id))
SELECT m.turn_id AS to_turn_id, m.id AS trace, found.turn_id AS from_turn_id
FROM member m LEFT JOIN LATERAL (
    SELECT o.turn_id FROM member o
    WHERE o.scope = m.scope AND o.id = m.id AND o.session_id = m.beginning AND m.session_id <> m.beginning AND m.place = 1
      AND (o.started_at, o.turn_id) < (m.started_at, m.turn_id)
    ORDER BY o.started_at DESC, o.turn_id DESC LIMIT 1) AS found ON true;

-- name: link_agents
-- Conversations of agents that their client named, each by its first turn: started by the last call before it of the parent
-- agent, or of the main conversation, under the same name. All of a touched name are told, as with traces.
WITH touched AS (
    SELECT DISTINCT s.scope, stored_text(e.identity, 'client_session') AS name
    FROM session_turn t JOIN pipeline_event_inbox e USING (event_id) JOIN session s ON s.session_id = t.session_id
    WHERE t.turn_id = ANY(%(turns)b::uuid[]) AND s.evidence = 'named_opening'),
made AS (
    SELECT touched.scope, touched.name, s.session_id, first.turn_id, first.started_at,
        stored_text(e.identity, 'parent_agent') AS parent
    FROM touched JOIN session s ON s.scope = touched.scope AND s.evidence = 'named_opening'
        AND s.external_id COLLATE "C" > touched.name || '/' AND s.external_id COLLATE "C" < touched.name || '0'
    CROSS JOIN LATERAL (SELECT t.turn_id, t.event_id, t.started_at FROM session_turn t WHERE t.session_id = s.session_id
                        ORDER BY t.started_at, t.turn_id LIMIT 1) AS first
    JOIN pipeline_event_inbox e ON e.event_id = first.event_id
    WHERE stored_text(e.identity, 'client_session') = touched.name)
SELECT m.session_id AS to_session_id, m.turn_id AS to_turn_id, found.turn_id AS from_turn_id
FROM made m LEFT JOIN LATERAL (
    SELECT o.turn_id FROM session os JOIN session_turn o ON o.session_id = os.session_id
    WHERE os.scope = m.scope AND os.evidence = 'named_opening' AND os.session_id <> m.session_id
      AND os.external_id COLLATE "C" = concat_ws('/', m.name, m.parent) AND left(o.purpose, 5) <> 'side:'
      AND (o.started_at, o.turn_id) < (m.started_at, m.turn_id)
    ORDER BY o.started_at DESC, o.turn_id DESC LIMIT 1) AS found ON true;

-- name: drop_agent_links
-- Links of agents' conversations that are looked at again.
DELETE FROM turn_link l USING session_turn t
WHERE l.evidence = 'client_agent' AND t.turn_id = l.to_turn_id AND t.session_id = ANY(%(sessions)b::uuid[]);

-- name: drop_trace_links
-- Links of traces that are looked at again.
DELETE FROM turn_link WHERE evidence = 'trace' AND to_turn_id = ANY(%(turns)b::uuid[]);

-- name: save_links
-- New links, and links that a later arrival corrected.
INSERT INTO turn_link (to_turn_id, evidence, from_turn_id, call_id, detail)
SELECT * FROM unnest(%(to)b::uuid[], %(evidence)s::text[], %(from)b::uuid[], %(calls)s::text[], %(details)s::text[])
ON CONFLICT (to_turn_id, evidence) DO UPDATE SET from_turn_id = excluded.from_turn_id, call_id = excluded.call_id,
    detail = excluded.detail
WHERE (turn_link.from_turn_id, turn_link.call_id, turn_link.detail)
    IS DISTINCT FROM (excluded.from_turn_id, excluded.call_id, excluded.detail);

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
