-- Deriving the log's joining ids again, under any version of the projection. The staging tables live for one transaction.

-- name: turn_to
-- Waits for every transaction that writes to the log, and lets none begin until this one ends.
UPDATE projection SET version = %(version)s;

-- name: scopes
-- Tenants: each is part of the ids of its histories.
SELECT DISTINCT scope FROM pipeline_event_inbox ORDER BY scope;

-- name: unanchored
-- Messages after a given one without anchors, and answers without that of an answer: stored before there were any, or
-- nothing can be recognised of them.
SELECT message_id, body::text AS body FROM message
WHERE (anchors IS NULL OR (role = 'assistant' AND NOT EXISTS (SELECT FROM unnest(anchors) AS one WHERE one & 3 = 3)))
  AND message_id > %(after)s
ORDER BY message_id LIMIT %(limit)s;

-- name: save_anchors
-- What these messages can be recognised by, each list as an array's text.
UPDATE message m SET anchors = found.anchors::bigint[]
FROM unnest(%(messages)b::bytea[], %(anchors)s::text[]) AS found (message_id, anchors)
WHERE m.message_id = found.message_id;

-- name: stage_steps
-- Every step of every history by the one before, which the log has no index for.
CREATE TEMP TABLE again_step ON COMMIT DROP AS
SELECT c.context_id, c.parent_id, c.message_id, CASE WHEN e.message_id IS NOT NULL THEN c.projection_id END AS kept
FROM context c LEFT JOIN erased_message e USING (message_id);

-- name: stage_index
-- See stage_steps.
CREATE INDEX ON again_step (parent_id, context_id);

-- name: stage_contexts
-- What is derived of each history.
CREATE TEMP TABLE again_context (context_id bytea PRIMARY KEY, projection_id bytea, opening bytea, awaited bytea,
    system_digest bytea, user_digest bytea) ON COMMIT DROP;

-- name: stage_turns
-- What is derived of each turn; `session_id` is NULL while it depends on that of a turn that is claimed.
CREATE TEMP TABLE again_turn (turn_id uuid PRIMARY KEY, answer_projection bytea, session_id uuid, named uuid)
    ON COMMIT DROP;

-- name: stage_nodes
-- See stage_turns.
CREATE TEMP TABLE again_node (turn_id uuid PRIMARY KEY, node_id uuid) ON COMMIT DROP;

-- name: analyze
-- Autovacuum does not analyse temporary tables.
ANALYZE again_step;

-- name: analyze_derived
-- See analyze.
ANALYZE again_context, again_turn;

-- name: roots
-- First steps of histories, a page after a given one.
SELECT context_id, message_id, kept FROM again_step WHERE parent_id IS NULL AND context_id > %(after)s
ORDER BY context_id LIMIT %(limit)s;

-- name: next_steps
-- The steps after the given ones, which are in ascending order: a page after a given step of the first of them.
SELECT c.parent_id, c.context_id, c.message_id, c.kept
FROM unnest(%(parents)b::bytea[]) WITH ORDINALITY AS p (parent_id, place)
CROSS JOIN LATERAL (
    SELECT s.parent_id, s.context_id, s.message_id, s.kept FROM again_step s
    WHERE s.parent_id = p.parent_id AND (p.place > 1 OR s.context_id > %(after)s)
    ORDER BY s.context_id LIMIT %(limit)s) AS c
ORDER BY p.place, c.context_id LIMIT %(limit)s;

-- name: bodies
-- Messages by id.
SELECT message_id, body::text AS body FROM message WHERE message_id = ANY(%(messages)s);

-- name: turns
-- A page of turns with what is derived of their histories.
SELECT t.turn_id, e.scope, t.answer_id, t.node_status, t.session_id, c.projection_id, c.opening,
    CASE WHEN e.erased_at IS NULL THEN l.filed_by ELSE 'explicit_header' END AS filed_by,
    CASE WHEN EXISTS (SELECT FROM erased_message x WHERE x.message_id = t.answer_id) THEN t.answer_projection END AS kept,
    CASE WHEN l.filed_by IN ('explicit_node', 'named_opening') THEN e.identity::text END AS identity
FROM session_turn t JOIN pipeline_event_inbox e USING (event_id) JOIN session_lineage l USING (turn_id)
JOIN again_context c ON c.context_id = t.context_id
WHERE t.turn_id > %(after)s ORDER BY t.turn_id LIMIT %(limit)s;

-- name: remember_nodes
-- The ids that nodes have now, each with its first turn.
INSERT INTO former_node (node_id, turn_id)
SELECT DISTINCT ON (node_id) node_id, turn_id FROM session_turn ORDER BY node_id, started_at, turn_id
ON CONFLICT DO NOTHING;

-- name: remember_sessions
-- The ids that sessions have now, each with its first turn, of those that are there for their own sake if there are any.
INSERT INTO former_session (session_id, turn_id)
SELECT DISTINCT ON (t.session_id) t.session_id, t.turn_id
FROM session_turn t JOIN session_lineage l USING (turn_id)
ORDER BY t.session_id, l.filed_by = 'explicit_node', t.started_at, t.turn_id
ON CONFLICT DO NOTHING;

-- name: stage_claims
-- For each turn that is where something it claimed is: the turn that it claimed, else the first of its session.
CREATE TEMP TABLE again_claim ON COMMIT DROP AS
SELECT r.turn_id, t.session_id, found.turn_id AS target
FROM again_turn r JOIN session_turn t USING (turn_id) JOIN session_lineage l USING (turn_id)
JOIN pipeline_event_inbox e USING (event_id)
LEFT JOIN former_reference fr ON fr.place = 'session_lineage.replay_claim' AND fr.row_key = t.turn_id::text
LEFT JOIN former_reference fp ON fp.place = 'session_lineage.parent_claim' AND fp.row_key = t.turn_id::text
LEFT JOIN LATERAL (
    SELECT o.turn_id FROM (
        SELECT c.place, c.claimed AS turn_id FROM unnest(ARRAY[coalesce(fr.original, l.replay_claim),
            coalesce(fp.original, l.parent_claim), r.named]) WITH ORDINALITY AS c (claimed, place)
        UNION ALL
        SELECT c.place, f.turn_id FROM unnest(ARRAY[coalesce(fr.original, l.replay_claim),
            coalesce(fp.original, l.parent_claim), r.named]) WITH ORDINALITY AS c (claimed, place)
            JOIN former_node f ON f.node_id = c.claimed
        UNION ALL
        SELECT c.place, f.turn_id FROM unnest(ARRAY[coalesce(fr.original, l.replay_claim),
            coalesce(fp.original, l.parent_claim), r.named]) WITH ORDINALITY AS c (claimed, place)
            JOIN former_session f ON f.session_id = c.claimed
        UNION ALL
        SELECT 9, f.turn_id FROM former_session f WHERE f.session_id = t.session_id) AS any_of
    JOIN session_turn o USING (turn_id) JOIN pipeline_event_inbox oe ON oe.event_id = o.event_id AND oe.scope = e.scope
    WHERE o.turn_id <> r.turn_id
    ORDER BY o.session_id = t.session_id DESC, any_of.place, o.turn_id LIMIT 1) AS found ON true
WHERE r.session_id IS NULL;

-- name: follow_claims
-- A claim on a turn that is where its own claim is: on that. Repeated until nothing changes, it halves every chain.
UPDATE again_claim a SET target = b.target FROM again_claim b
WHERE a.target = b.turn_id AND b.target IS NOT NULL AND b.target <> a.turn_id AND b.target <> a.target;

-- name: file_claims
-- The sessions of turns that are where what they claimed is; where nothing of that is known, they stay.
UPDATE again_turn r SET session_id = coalesce(
    (SELECT o.session_id FROM again_turn o WHERE o.turn_id = c.target), c.session_id)
FROM again_claim c WHERE c.turn_id = r.turn_id;

-- name: filed
-- A page of turns with their sessions.
SELECT turn_id, session_id, answer_projection FROM again_turn WHERE turn_id > %(after)s
ORDER BY turn_id LIMIT %(limit)s;

-- name: compare_sessions
-- Sessions that split, and sessions that merged; in how many each, and the largest of them with all their parts.
WITH pairs AS (
    SELECT DISTINCT t.session_id AS before, r.session_id AS after FROM session_turn t JOIN again_turn r USING (turn_id)),
split AS (SELECT before AS one, array_agg(after ORDER BY after) AS parts FROM pairs GROUP BY before HAVING count(*) > 1),
merged AS (SELECT after AS one, array_agg(before ORDER BY before) AS parts FROM pairs GROUP BY after HAVING count(*) > 1)
SELECT what, one, parts, total FROM (
    SELECT 'split' AS what, one, parts, count(*) OVER () AS total,
        row_number() OVER (ORDER BY cardinality(parts) DESC, one) AS place FROM split
    UNION ALL
    SELECT 'merged', one, parts, count(*) OVER (),
        row_number() OVER (ORDER BY cardinality(parts) DESC, one) FROM merged) AS found
WHERE place <= %(limit)s ORDER BY what, place;

-- name: compare_nodes
-- See compare_sessions.
WITH pairs AS (
    SELECT DISTINCT t.node_id AS before, r.node_id AS after FROM session_turn t JOIN again_node r USING (turn_id)),
split AS (SELECT before AS one, array_agg(after ORDER BY after) AS parts FROM pairs GROUP BY before HAVING count(*) > 1),
merged AS (SELECT after AS one, array_agg(before ORDER BY before) AS parts FROM pairs GROUP BY after HAVING count(*) > 1)
SELECT what, one, parts, total FROM (
    SELECT 'split' AS what, one, parts, count(*) OVER () AS total,
        row_number() OVER (ORDER BY cardinality(parts) DESC, one) AS place FROM split
    UNION ALL
    SELECT 'merged', one, parts, count(*) OVER (),
        row_number() OVER (ORDER BY cardinality(parts) DESC, one) FROM merged) AS found
WHERE place <= %(limit)s ORDER BY what, place;

-- name: changes
-- How much has another id, or another joining id, than before.
SELECT (SELECT count(*) FROM session_turn) AS turns,
    (SELECT count(*) FROM again_turn) AS derived,
    (SELECT count(*) FROM session_turn t JOIN again_node n USING (turn_id) WHERE n.node_id <> t.node_id) AS turns_renamed,
    (SELECT count(*) FROM session_turn t JOIN again_turn r USING (turn_id) WHERE r.session_id <> t.session_id) AS turns_refiled,
    (SELECT count(*) FROM context c JOIN again_context a USING (context_id) WHERE a.projection_id <> c.projection_id)
        AS contexts_changed,
    (SELECT count(*) FROM context) AS contexts,
    (SELECT count(*) FROM again_context) AS contexts_derived;

-- name: save_sessions
-- Sessions as the turns are filed now; the name that a client gave stays with its id.
INSERT INTO session (session_id, scope, external_id, evidence, first_seen)
SELECT r.session_id, min(e.scope), min(CASE WHEN l.filed_by = 'named_opening'
        THEN concat_ws('/', stored_text(e.identity, 'client_session'), stored_text(e.identity, 'agent')) END), min(l.filed_by), min(e.received_at)
FROM again_turn r JOIN session_lineage l USING (turn_id) JOIN session_turn t USING (turn_id)
JOIN pipeline_event_inbox e ON e.event_id = t.event_id
GROUP BY r.session_id ORDER BY r.session_id
ON CONFLICT (session_id) DO UPDATE SET evidence = excluded.evidence WHERE session.evidence <> excluded.evidence;

-- name: save_contexts
-- Joining ids of histories, where they changed.
UPDATE context c SET projection_id = a.projection_id FROM again_context a
WHERE a.context_id = c.context_id AND a.projection_id <> c.projection_id;

-- name: save_turns
-- Turns, where anything of them changed.
UPDATE session_turn t SET context_projection = c.projection_id, answer_projection = r.answer_projection,
    session_id = r.session_id, node_id = n.node_id, system_digest = c.system_digest, user_digest = c.user_digest
FROM again_turn r JOIN again_node n USING (turn_id), again_context c
WHERE r.turn_id = t.turn_id AND c.context_id = t.context_id
  AND (t.context_projection, t.answer_projection, t.session_id, t.node_id, t.system_digest, t.user_digest)
    <> (c.projection_id, r.answer_projection, r.session_id, n.node_id, c.system_digest, c.user_digest);

-- name: save_lineage
-- What turns wait for.
UPDATE session_lineage l SET session_id = t.session_id, awaited_projection = c.awaited
FROM session_turn t JOIN again_context c USING (context_id)
WHERE t.turn_id = l.turn_id AND (l.session_id <> t.session_id OR l.awaited_projection IS DISTINCT FROM c.awaited);

-- name: save_events
-- The version that all of it is in now.
UPDATE pipeline_event_inbox SET projection_version = %(version)s WHERE projection_version <> %(version)s;

-- name: forget_current
-- An id that came back is no former one.
DELETE FROM former_node f WHERE EXISTS (SELECT FROM session_turn t WHERE t.node_id = f.node_id);

-- name: forget_current_sessions
-- See forget_current.
DELETE FROM former_session f WHERE EXISTS (SELECT FROM session_turn t WHERE t.session_id = f.session_id);

-- name: follow
-- Everything that names nodes and sessions names them by their ids of now; how many rows changed, by place.
SELECT place, follow_former(split_part(place, '.', 1), split_part(place, '.', 2), row_key, sessions) AS rows
FROM (VALUES
    ('session_lineage.parent_claim', 'turn_id::text', false),
    ('session_lineage.replay_claim', 'turn_id::text', false),
    ('feedback.turn_id', 'feedback_id::text', false),
    ('feedback.session_id', 'feedback_id::text', true),
    ('feedback.session_claim', 'feedback_id::text', true),
    ('human_eval_labels.unit_id', 'label_id::text', false),
    ('human_eval_labels.session_id', 'label_id::text', true),
    ('judge_votes.unit_id', 'vote_id::text', false),
    ('judge_votes.session_id', 'vote_id::text', true),
    ('human_sample_queue.subject_id', 'item_id::text', false),
    ('human_sample_queue.session_id', 'item_id::text', true),
    ('replay_job.node_id', 'plan_id || ''/'' || number', false),
    ('rollout.node_id', 'rollout_id::text', false),
    ('rollout.session_id', 'rollout_id::text', true),
    ('taskification_results.node_id', 'taskification_id::text', false),
    ('taskification_results.session_id', 'taskification_id::text', true),
    ('condition_changes.node_id', 'change_id::text', false),
    ('trajectory_cluster_members.unit_id', 'cluster_run_id || ''/'' || position', false)) AS named (place, row_key, sessions)
ORDER BY place;

-- name: follow_subjects
-- A plan of subtasks is found by its subject, which names the node as text.
UPDATE taskification_results SET subject = 'node:' || node_id
WHERE subject LIKE 'node:%%' AND node_id IS NOT NULL AND subject <> 'node:' || node_id;

-- name: left_behind
-- What keeps the ids that it was made with: frozen rows, and preferences and votes on pairs, of two nodes in their order.
SELECT (SELECT count(*) FROM dataset_snapshot_nodes d JOIN former_node f USING (node_id)) AS dataset_snapshot_nodes,
    (SELECT count(*) FROM preference_labels p
     WHERE EXISTS (SELECT FROM former_node f WHERE f.node_id IN (p.node_a, p.node_b))) AS preference_labels,
    (SELECT count(*) FROM judge_votes v
     WHERE EXISTS (SELECT FROM former_node f WHERE f.node_id IN (v.node_a, v.node_b))) AS judge_votes;

-- name: unqueue
-- The whole graph is built again: what waited is among it.
DELETE FROM lineage_queue;

-- name: drop_sessions
-- Sessions that nothing is in any more.
DELETE FROM session s WHERE NOT EXISTS (SELECT FROM session_turn t WHERE t.session_id = s.session_id)
    AND EXISTS (SELECT FROM former_session f WHERE f.session_id = s.session_id)
    AND NOT EXISTS (SELECT FROM human_eval_labels l WHERE l.session_id = s.session_id)
    AND NOT EXISTS (SELECT FROM judge_votes v WHERE v.session_id = s.session_id)
    AND NOT EXISTS (SELECT FROM human_sample_queue q WHERE q.session_id = s.session_id)
    AND NOT EXISTS (SELECT FROM rollout r WHERE r.session_id = s.session_id)
    AND NOT EXISTS (SELECT FROM dataset_snapshot_nodes d WHERE d.session_id = s.session_id);

-- name: print
-- Rows of the graph, with a sum over them that any other row would change; numbers of builds are left out.
SELECT 'nodes' AS layer, count(*) AS rows, coalesce(sum(hashtextextended(n::text, 0)::numeric), 0)::text AS sum
FROM conversation_branch_nodes n
UNION ALL
SELECT 'runs', count(*), coalesce(sum(hashtextextended(r::text, 0)::numeric), 0)::text FROM execution_run_records r
UNION ALL
SELECT 'branches', count(*), coalesce(sum(hashtextextended(b::text, 0)::numeric), 0)::text FROM response_branch_records b
UNION ALL
SELECT 'links', count(*), coalesce(sum(hashtextextended(l::text, 0)::numeric), 0)::text FROM turn_link l
UNION ALL
SELECT 'sessions', count(*), coalesce(sum(hashtextextended(ROW(session_id, scope, external_id, theme_id, root_node_id,
    turns, nodes, started_at, last_turn_at)::text, 0)::numeric), 0)::text FROM conversation_sessions;
