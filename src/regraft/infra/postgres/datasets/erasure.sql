-- Queries of erasures. What is chosen lives in temporary tables for one transaction; they hold ids alone.

-- name: begin
-- An erasure begins.
INSERT INTO erasure (erasure_id, kind, target, forget, started_at)
VALUES (%(erasure_id)s, %(kind)s, %(target)s, %(forget)s, %(now)s);

-- name: unfinished
-- Erasures that did not end, oldest first.
SELECT erasure_id, kind, target, forget, done, found, left_over, snapshots, started_at, finished_at
FROM erasure WHERE finished_at IS NULL ORDER BY started_at, erasure_id;

-- name: journal
-- One erasure.
SELECT erasure_id, kind, target, forget, done, found, left_over, snapshots, started_at, finished_at
FROM erasure WHERE erasure_id = %(erasure_id)s;

-- name: erasures
-- All erasures, the latest first.
SELECT erasure_id, kind, CASE WHEN kind <> 'matching' THEN target END AS target, done, found, left_over, snapshots,
    started_at, finished_at FROM erasure ORDER BY started_at DESC, erasure_id;

-- name: step
-- A step is finished, with what it found and what it had to leave.
UPDATE erasure SET done = done || %(step)s::text, found = found || %(found)s, left_over = left_over || %(left_over)s
WHERE erasure_id = %(erasure_id)s;

-- name: note_snapshots
-- What became of snapshots, so far.
UPDATE erasure SET snapshots = %(snapshots)s WHERE erasure_id = %(erasure_id)s;

-- name: forget_target
-- The text is known to nobody from here on.
UPDATE erasure SET target = NULL WHERE erasure_id = %(erasure_id)s AND kind = 'matching';

-- name: end
-- An erasure ended.
UPDATE erasure SET finished_at = %(now)s WHERE erasure_id = %(erasure_id)s;

-- name: abandon
-- An erasure that changed nothing yet is forgotten.
DELETE FROM erasure WHERE erasure_id = %(erasure_id)s AND NOT 'truth' = ANY(done);

-- name: wait_for_freezes
-- Rows that a freeze is putting together may hold what is erased: it ends first, and the next one waits.
SELECT pg_advisory_xact_lock(7267426622);

-- name: writers
-- Nothing is written to the log meanwhile; who reads goes on. In the order in which ingest takes them.
LOCK TABLE message, context, request_part, session, pipeline_event_inbox, session_turn, feedback, quarantine
    IN SHARE ROW EXCLUSIVE MODE;

-- name: stage
-- What is chosen: turns, calls, steps of histories that nobody else has, and messages with the ids of their tombstones.
CREATE TEMP TABLE erase_turn (turn_id uuid PRIMARY KEY, session_id uuid, node_id uuid, event_id uuid) ON COMMIT DROP;
CREATE TEMP TABLE erase_event (event_id uuid PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE erase_user (event_id uuid PRIMARY KEY, context_id bytea) ON COMMIT DROP;
CREATE TEMP TABLE erase_step (context_id bytea PRIMARY KEY, parent_id bytea, message_id bytea, depth integer)
    ON COMMIT DROP;
CREATE TEMP TABLE erase_message (message_id bytea PRIMARY KEY, new_id bytea, body text) ON COMMIT DROP;
CREATE TEMP TABLE erase_context (context_id bytea PRIMARY KEY, new_id bytea, new_parent bytea, new_message bytea,
    depth integer, projection_id bytea) ON COMMIT DROP;
CREATE TEMP TABLE erase_part (part_id bytea PRIMARY KEY, kind text, new_id bytea, body text) ON COMMIT DROP;
CREATE TEMP TABLE erase_node (node_id uuid PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE erase_whole_session (session_id uuid PRIMARY KEY) ON COMMIT DROP;

-- name: choose_session
-- A session's turns: those filed in it, and those whose nodes hang in its tree.
INSERT INTO erase_turn
SELECT t.turn_id, t.session_id, t.node_id, t.event_id FROM session_turn t
WHERE t.session_id = %(target)s::uuid
   OR t.node_id IN (SELECT n.node_id FROM conversation_branch_nodes n WHERE n.session_id = %(target)s::uuid);

-- name: choose_node
-- A node's runs.
INSERT INTO erase_turn
SELECT t.turn_id, t.session_id, t.node_id, t.event_id FROM session_turn t WHERE t.node_id = %(target)s::uuid;

-- name: choose_scope
-- All turns of a tenant.
INSERT INTO erase_turn
SELECT t.turn_id, t.session_id, t.node_id, t.event_id FROM session_turn t JOIN pipeline_event_inbox e USING (event_id)
WHERE e.scope = %(target)s;

-- name: choose_judgings
-- Calls of judges that were shown something of a chosen session: they quote it.
INSERT INTO erase_turn
SELECT t.turn_id, t.session_id, t.node_id, t.event_id FROM session_turn t
WHERE t.turn_id IN (
    SELECT v.turn_id FROM judge_votes v
    WHERE v.session_id IN (SELECT session_id FROM erase_turn)
       OR v.unit_id IN (SELECT node_id FROM erase_turn)
       OR v.node_a IN (SELECT node_id FROM erase_turn) OR v.node_b IN (SELECT node_id FROM erase_turn))
ON CONFLICT DO NOTHING;

-- name: choose_calls
-- The calls of the chosen turns, with all attempts at each.
INSERT INTO erase_event
SELECT event_id FROM erase_turn
UNION
SELECT a.event_id FROM erase_turn t JOIN pipeline_event_inbox e USING (event_id)
JOIN pipeline_event_inbox a ON a.operation_id = e.operation_id;

-- name: choose_calls_of_scope
-- All calls of a tenant, also those that are no turn of a conversation.
INSERT INTO erase_event SELECT event_id FROM pipeline_event_inbox WHERE scope = %(target)s ON CONFLICT DO NOTHING;

-- name: choose_sessions
-- Sessions that are chosen whole.
INSERT INTO erase_whole_session
SELECT session_id FROM session WHERE session_id::text = %(session)s OR scope = %(scope)s;

-- name: users_of_calls
-- Whose histories may be told apart: the chosen calls.
INSERT INTO erase_user SELECT event_id, e.context_id FROM erase_event JOIN pipeline_event_inbox e USING (event_id)
WHERE e.context_id IS NOT NULL;

-- name: users_of_sessions
-- For a node: all calls of its session, as its words are in the histories of what follows.
INSERT INTO erase_user
SELECT e.event_id, e.context_id FROM pipeline_event_inbox e
WHERE e.context_id IS NOT NULL AND e.event_id IN (
    SELECT t.event_id FROM session_turn t WHERE t.session_id IN (SELECT session_id FROM erase_turn)
    UNION SELECT event_id FROM erase_event)
ON CONFLICT DO NOTHING;

-- name: steps
-- The steps of these calls' histories.
WITH RECURSIVE up AS (
    SELECT context_id FROM erase_user
    UNION
    SELECT c.parent_id FROM up JOIN context c USING (context_id) WHERE c.parent_id IS NOT NULL)
INSERT INTO erase_step SELECT c.context_id, c.parent_id, c.message_id, c.depth FROM up JOIN context c USING (context_id);

-- name: keep_shared_steps
-- Steps that a history of another call has too are that call's: they stay, with all before them.
WITH RECURSIVE shared AS (
    SELECT s.context_id, s.parent_id FROM erase_step s WHERE s.context_id IN (
        SELECT e.context_id FROM pipeline_event_inbox e WHERE e.context_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM erase_user u WHERE u.event_id = e.event_id)
        UNION ALL
        SELECT c.parent_id FROM context c WHERE c.parent_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM erase_step o WHERE o.context_id = c.context_id))
    UNION
    SELECT s.context_id, s.parent_id FROM shared JOIN erase_step s ON s.context_id = shared.parent_id)
DELETE FROM erase_step s USING shared WHERE s.context_id = shared.context_id;

-- name: messages_of_steps
-- Messages of the chosen histories, and answers. One that is erased already stays as it is.
SELECT m.message_id, m.role FROM message m
WHERE m.message_id IN (
    SELECT message_id FROM erase_step
    UNION
    SELECT t.answer_id FROM session_turn t JOIN erase_turn USING (turn_id) WHERE t.answer_id IS NOT NULL)
  AND NOT EXISTS (SELECT FROM erased_message e WHERE e.message_id = m.message_id)
ORDER BY m.message_id;

-- name: messages_of_node
-- What a node was asked beyond its parent's answer, as far as no other session has it, and its answers.
WITH RECURSIVE asked AS (
    SELECT t.context_id, coalesce(p.context_depth + 1, 0) AS known
    FROM session_turn t JOIN erase_turn USING (turn_id)
    JOIN conversation_branch_nodes n ON n.node_id = t.node_id
    LEFT JOIN conversation_branch_nodes above ON above.node_id = n.parent_node_id
    LEFT JOIN session_turn p ON p.turn_id = above.turn_id),
up AS (
    SELECT s.context_id, s.parent_id, s.message_id, s.depth, asked.known FROM asked JOIN erase_step s USING (context_id)
    WHERE s.depth > asked.known
    UNION
    SELECT s.context_id, s.parent_id, s.message_id, s.depth, up.known
    FROM up JOIN erase_step s ON s.context_id = up.parent_id WHERE s.depth > up.known)
SELECT m.message_id, m.role FROM message m
WHERE m.message_id IN (
    SELECT message_id FROM up WHERE message_id IN (SELECT m.message_id FROM message m WHERE m.role NOT IN ('system', 'developer'))
    UNION
    SELECT t.answer_id FROM session_turn t JOIN erase_turn USING (turn_id) WHERE t.answer_id IS NOT NULL)
  AND NOT EXISTS (SELECT FROM erased_message e WHERE e.message_id = m.message_id)
ORDER BY m.message_id;

-- name: renewed_steps
-- The chosen steps that hold an erased message, and all that follow them, with the next part of their new ids.
WITH RECURSIVE down AS (
    SELECT s.context_id FROM erase_step s JOIN erase_message m USING (message_id)
    UNION
    SELECT s.context_id FROM down JOIN erase_step s ON s.parent_id = down.context_id)
SELECT c.context_id, c.parent_id, coalesce(m.new_id, c.message_id) AS message_id, c.depth, c.projection_id
FROM down JOIN context c USING (context_id) LEFT JOIN erase_message m ON m.message_id = c.message_id
ORDER BY c.depth, c.context_id;

-- name: index_references
-- What is about to be deleted is looked for by whoever may refer to it: a look at an index each instead of at a table.
CREATE INDEX erase_context_parent ON context (parent_id);
CREATE INDEX erase_event_context ON pipeline_event_inbox (context_id);
CREATE INDEX erase_run_answer ON execution_run_records (answer_id);

-- name: drop_index_references
-- See index_references.
DROP INDEX erase_context_parent, erase_event_context, erase_run_answer;

-- name: add_tombstones
-- Tombstones in the places of messages, under ids that say nothing of what was there.
INSERT INTO message (message_id, role, body, anchors)
SELECT e.new_id, e.body::json ->> 'role', e.body::json, m.anchors FROM erase_message e JOIN message m USING (message_id)
WHERE e.new_id <> e.message_id;

-- name: add_contexts
-- Histories of tombstones; they join as before.
INSERT INTO context (context_id, parent_id, message_id, depth, projection_id)
SELECT new_id, new_parent, new_message, depth, projection_id FROM erase_context ORDER BY depth;

-- name: repoint
-- Everything that names a renewed history or answer names its tombstone.
UPDATE pipeline_event_inbox e SET context_id = c.new_id FROM erase_context c WHERE c.context_id = e.context_id;

-- name: repoint_turns
-- See repoint.
UPDATE session_turn t SET context_id = c.new_id FROM erase_context c WHERE c.context_id = t.context_id;

-- name: repoint_nodes
-- See repoint.
UPDATE conversation_branch_nodes n SET context_snapshot_id = c.new_id FROM erase_context c
WHERE c.context_id = n.context_snapshot_id;

-- name: repoint_answers
-- See repoint.
UPDATE session_turn t SET answer_id = m.new_id FROM erase_message m, erase_turn e
WHERE e.turn_id = t.turn_id AND m.message_id = t.answer_id AND m.new_id <> m.message_id;

-- name: repoint_runs
-- See repoint.
UPDATE execution_run_records r SET answer_id = m.new_id FROM erase_message m, erase_turn e
WHERE e.turn_id = r.run_id AND m.message_id = r.answer_id AND m.new_id <> m.message_id;

-- name: drop_contexts
-- Histories that were renewed.
DELETE FROM context c USING erase_context e WHERE e.context_id = c.context_id;

-- name: drop_messages
-- Messages that nobody else has.
DELETE FROM message m USING erase_message e
WHERE m.message_id = e.message_id AND e.new_id <> e.message_id
  AND NOT EXISTS (SELECT FROM context c WHERE c.message_id = m.message_id)
  AND NOT EXISTS (SELECT FROM session_turn t WHERE t.answer_id = m.message_id)
  AND NOT EXISTS (SELECT FROM execution_run_records r WHERE r.answer_id = m.message_id);

-- name: drop_unused_tombstones
-- Tombstones that nothing came to name.
DELETE FROM message m USING erase_message e
WHERE m.message_id = e.new_id AND e.new_id <> e.message_id
  AND NOT EXISTS (SELECT FROM context c WHERE c.message_id = m.message_id)
  AND NOT EXISTS (SELECT FROM session_turn t WHERE t.answer_id = m.message_id)
  AND NOT EXISTS (SELECT FROM execution_run_records r WHERE r.answer_id = m.message_id);

-- name: blank_messages
-- Tombstones under the ids of what they replace: the same message, sent again, stays erased.
UPDATE message m SET body = e.body::json, role = e.body::json ->> 'role' FROM erase_message e
WHERE e.message_id = m.message_id AND e.new_id = e.message_id;

-- name: note_tombstones
-- Which messages are tombstones.
INSERT INTO erased_message (message_id, erasure_id)
SELECT e.new_id, %(erasure_id)s FROM erase_message e WHERE EXISTS (SELECT FROM message m WHERE m.message_id = e.new_id)
ON CONFLICT DO NOTHING;

-- name: parts
-- Tool lists and settings that only chosen calls were made with.
SELECT p.part_id, p.kind, p.body::text AS body FROM request_part p
WHERE p.part_id IN (
    SELECT unnest(ARRAY[e.tools_id, e.sampling_id, e.other_id]) FROM pipeline_event_inbox e JOIN erase_event USING (event_id))
  AND NOT EXISTS (
    SELECT FROM pipeline_event_inbox e WHERE p.part_id IN (e.tools_id, e.sampling_id, e.other_id)
        AND NOT EXISTS (SELECT FROM erase_event x WHERE x.event_id = e.event_id));

-- name: add_parts
-- Their tombstones.
INSERT INTO request_part (part_id, kind, body) SELECT new_id, kind, body::json FROM erase_part WHERE new_id <> part_id;

-- name: repoint_parts
-- See repoint.
UPDATE pipeline_event_inbox e SET
    tools_id = coalesce((SELECT p.new_id FROM erase_part p WHERE p.part_id = e.tools_id), e.tools_id),
    sampling_id = coalesce((SELECT p.new_id FROM erase_part p WHERE p.part_id = e.sampling_id), e.sampling_id),
    other_id = coalesce((SELECT p.new_id FROM erase_part p WHERE p.part_id = e.other_id), e.other_id)
WHERE e.event_id IN (SELECT event_id FROM erase_event)
  AND EXISTS (SELECT FROM erase_part p WHERE p.part_id IN (e.tools_id, e.sampling_id, e.other_id));

-- name: repoint_run_parts
-- See repoint.
UPDATE execution_run_records r SET tools_id = coalesce(e.tools_id, r.tools_id), sampling = coalesce(s.body, r.sampling)
FROM pipeline_event_inbox e LEFT JOIN request_part s ON s.part_id = e.sampling_id
WHERE e.event_id = r.event_id AND e.event_id IN (SELECT event_id FROM erase_event);

-- name: drop_parts
-- Parts that nobody else has.
DELETE FROM request_part p USING erase_part e WHERE e.part_id = p.part_id AND e.new_id <> e.part_id;

-- name: blank_parts
-- Tombstones of parts under their own ids.
UPDATE request_part p SET body = e.body::json FROM erase_part e WHERE e.part_id = p.part_id AND e.new_id = e.part_id;

-- name: affected_nodes
-- Nodes whose answers or histories are erased in part or whole.
INSERT INTO erase_node
SELECT node_id FROM erase_turn
UNION
SELECT t.node_id FROM session_turn t JOIN erase_context c ON c.context_id = t.context_id
UNION
SELECT t.node_id FROM session_turn t JOIN erase_message m ON m.message_id = t.answer_id WHERE m.new_id = m.message_id
ON CONFLICT DO NOTHING;

-- name: affected_by_messages
-- The same where messages are erased wherever they are.
WITH RECURSIVE down AS (
    SELECT c.context_id FROM context c JOIN erase_message m USING (message_id)
    UNION
    SELECT c.context_id FROM down JOIN context c ON c.parent_id = down.context_id)
INSERT INTO erase_node SELECT DISTINCT t.node_id FROM down JOIN session_turn t USING (context_id) ON CONFLICT DO NOTHING;

-- name: affected_snapshots
-- Snapshots that hold a row made from such a node, and whose files are still there.
SELECT DISTINCT r.snapshot_id, r.recipe, r.dataset, r.kind, r.iceberg_table, r.iceberg_snapshot_id, r.created_at
FROM dataset_snapshot_registry r
WHERE r.files_removed_at IS NULL AND (r.snapshot_id = ANY(%(held)s::text[])
    OR EXISTS (SELECT FROM dataset_snapshot_nodes d WHERE d.snapshot_id = r.snapshot_id
               AND d.node_id IN (SELECT node_id FROM erase_node UNION
                                 SELECT f.node_id FROM former_node f JOIN erase_turn USING (turn_id))))
ORDER BY r.created_at, r.snapshot_id;

-- name: snapshots_left
-- Snapshots whose files are still there.
SELECT snapshot_id, kind, iceberg_table, iceberg_snapshot_id FROM dataset_snapshot_registry
WHERE files_removed_at IS NULL ORDER BY created_at, snapshot_id;

-- name: affected_rows
-- The rows of a snapshot that were made from such nodes.
SELECT DISTINCT d.row_id FROM dataset_snapshot_nodes d
WHERE d.snapshot_id = %(snapshot_id)s
  AND d.node_id IN (SELECT node_id FROM erase_node UNION
                    SELECT f.node_id FROM former_node f JOIN erase_turn USING (turn_id));

-- name: withdraw
-- A snapshot is not to be trained on any more.
UPDATE dataset_snapshot_registry SET withdrawn_at = coalesce(withdrawn_at, %(now)s),
    withdrawn_because = coalesce(withdrawn_because, %(reason)s)
WHERE snapshot_id = %(snapshot_id)s;

-- name: forget_report
-- Strata are named after themes.
UPDATE dataset_snapshot_registry SET report = '{"strata": {}, "labels": {}, "dropped_fields": [], "filters": {}}'::jsonb
    || CASE WHEN report ? 'scope' THEN jsonb_build_object('scope', report -> 'scope') ELSE '{}' END
WHERE snapshot_id = %(snapshot_id)s;

-- name: succeed
-- What took a withdrawn snapshot's place.
UPDATE dataset_snapshot_registry SET successor = %(successor)s WHERE snapshot_id = %(snapshot_id)s;

-- name: files_removed
-- Nothing of a snapshot's rows is left.
UPDATE dataset_snapshot_registry SET files_removed_at = coalesce(files_removed_at, %(now)s)
WHERE snapshot_id = %(snapshot_id)s;

-- name: registered
-- Which Iceberg snapshots of a table are registered, and which of them were to be removed.
SELECT snapshot_id, iceberg_snapshot_id, files_removed_at IS NOT NULL AS removed FROM dataset_snapshot_registry
WHERE iceberg_table = %(table)s;

-- name: quarantined
-- Calls in quarantine behind an id, also resolved ones: they are kept whole.
SELECT event_id, event, reason, waits_for FROM quarantine WHERE event_id > %(after)s AND octet_length(event) > 0
ORDER BY event_id LIMIT 200;

-- name: blank_quarantine
-- Nothing is left of them, and they are not tried again.
UPDATE quarantine SET event = '', reason = 'erased', waits_for = NULL, next_try_at = NULL,
    resolved_at = coalesce(resolved_at, now())
WHERE event_id = ANY(%(events)s::uuid[]);

-- name: chosen_keys
-- Ids by which calls in quarantine may name what is erased.
SELECT turn_id::text AS key FROM erase_turn UNION SELECT node_id::text FROM erase_turn
UNION SELECT event_id::text FROM erase_event UNION SELECT session_id::text FROM erase_whole_session
UNION SELECT r.response_id FROM response_alias r JOIN erase_turn USING (turn_id);

-- name: chosen_names
-- Names that clients gave to the sessions that are erased whole.
SELECT DISTINCT external_id FROM session JOIN erase_whole_session USING (session_id) WHERE external_id IS NOT NULL;

-- name: calls_identities
-- Spans and links of the chosen calls.
SELECT e.event_id, e.identity::text AS identity FROM pipeline_event_inbox e JOIN erase_event USING (event_id);

-- name: erase_calls
-- The chosen calls keep their times, sizes, usage and ids.
UPDATE pipeline_event_inbox e SET answer_rest = '{"erased":"answer"}', identity = g.identity::json,
    error = CASE WHEN e.error IS NOT NULL THEN '{"message":"[erased]"}'::json END, erased_at = coalesce(erased_at, %(now)s)
FROM unnest(%(events)s::uuid[], %(identities)s::text[]) AS g (event_id, identity)
WHERE e.event_id = g.event_id;

-- name: erase_runs
-- See erase_calls.
UPDATE execution_run_records r SET error = CASE WHEN r.error IS NOT NULL THEN '{"message":"[erased]"}'::json END,
    theme_id = NULL, task_key = NULL,
    variant = CASE WHEN r.variant IS NOT NULL THEN '{"erased":"variant"}'::json END,
    taskify_step = CASE WHEN taskify_step IN ('plan', 'repair', 'synthesis', 'answer') THEN taskify_step
                        WHEN taskify_step IS NOT NULL THEN '[erased]' END
WHERE r.run_id IN (SELECT turn_id FROM erase_turn);

-- name: erase_nodes
-- Their places in the tree stay, with the kinds of their branches.
UPDATE conversation_branch_nodes n SET branch_reason = '[erased]', variant_config = '{}'
WHERE n.node_id IN (SELECT node_id FROM erase_turn);

-- name: erase_branches
-- See erase_nodes.
UPDATE response_branch_records b SET variant_config = '{}',
    first_divergence = CASE WHEN first_divergence IS NOT NULL THEN '{"erased":"divergence"}'::jsonb END
WHERE b.turn_id IN (SELECT turn_id FROM erase_turn);

-- name: erase_sessions
-- The name that a client gave.
UPDATE session SET external_id = NULL WHERE session_id IN (SELECT session_id FROM erase_whole_session);

-- name: erase_trees
-- See erase_sessions.
UPDATE conversation_sessions SET external_id = NULL, theme_id = NULL,
    reward_source = CASE WHEN reward_source IS NOT NULL THEN '[erased]' END
WHERE session_id IN (SELECT session_id FROM erase_whole_session);

-- name: erase_links
-- Why conversations were linked, in words.
UPDATE turn_link SET detail = '[erased]', call_id = NULL
WHERE to_turn_id IN (SELECT turn_id FROM erase_turn) OR from_turn_id IN (SELECT turn_id FROM erase_turn);

-- name: erase_failures
-- Why turns could not be placed.
UPDATE lineage_queue SET failure = '[erased]' WHERE failure IS NOT NULL AND turn_id IN (SELECT turn_id FROM erase_turn);

-- name: erase_themes
-- Themes that no session or run has any more.
DELETE FROM seed_themes h
WHERE h.theme_id = ANY(%(themes)s::uuid[])
  AND NOT EXISTS (SELECT FROM conversation_sessions s WHERE s.theme_id = h.theme_id)
  AND NOT EXISTS (SELECT FROM execution_run_records r WHERE r.theme_id = h.theme_id);

-- name: erase_theme_changes
-- Agreement on themes that are no more.
DELETE FROM theme_changes c
WHERE c.scope = %(scope)s OR NOT EXISTS (
    SELECT FROM current_theme_names n JOIN seed_themes h ON h.scope = n.scope AND h.name = n.theme
    WHERE n.scope = c.scope AND n.called = c.called);

-- name: chosen_themes
-- Themes of what is erased.
SELECT DISTINCT theme_id FROM (
    SELECT r.theme_id FROM execution_run_records r JOIN erase_turn t ON t.turn_id = r.run_id
    UNION SELECT s.theme_id FROM conversation_sessions s JOIN erase_whole_session USING (session_id)
    UNION SELECT h.theme_id FROM seed_themes h WHERE h.scope = %(scope)s) AS named
WHERE theme_id IS NOT NULL;

-- name: erase_feedback
-- Values of judgements stay, words go.
UPDATE feedback f SET comment = CASE WHEN comment IS NOT NULL THEN '[erased]' END, source = '[erased]',
    name = CASE WHEN name IN ('reward', 'rating') THEN name ELSE '[erased]' END
WHERE f.turn_id IN (SELECT turn_id FROM erase_turn UNION SELECT node_id FROM erase_turn)
   OR f.session_id IN (SELECT session_id FROM erase_whole_session)
   OR f.session_claim IN (SELECT session_id FROM erase_whole_session)
   OR f.scope = %(scope)s;

-- name: erase_labels
-- What a reviewer was shown, and wrote. The rating stays.
UPDATE human_eval_labels SET shown = '[erased]', note = '', shown_hash = '', categories = '{}'
WHERE unit_id IN (SELECT node_id FROM erase_node) OR session_id IN (SELECT session_id FROM erase_whole_session);

-- name: erase_preferences
-- See erase_labels.
UPDATE preference_labels SET note = '', shown_hash = ''
WHERE node_a IN (SELECT node_id FROM erase_node) OR node_b IN (SELECT node_id FROM erase_node)
   OR anchor_turn_id IN (SELECT turn_id FROM erase_turn);

-- name: erase_votes
-- What judges wrote of what is erased. Their verdicts stay.
UPDATE judge_votes SET answer = '[erased]', evidence = '{}', shown_hash = '',
    problem = CASE WHEN problem <> '' THEN '[erased]' ELSE '' END
WHERE turn_id IN (SELECT turn_id FROM erase_turn) OR session_id IN (SELECT session_id FROM erase_turn)
   OR unit_id IN (SELECT node_id FROM erase_node)
   OR node_a IN (SELECT node_id FROM erase_node) OR node_b IN (SELECT node_id FROM erase_node);

-- name: blank_centroids
-- Clusters that lose a member: their centroids are made again from the members that are left.
UPDATE trajectory_cluster_centroids c SET centroid = NULL
FROM (SELECT DISTINCT cluster_run_id, unnest(cluster_ids) AS cluster_id FROM trajectory_cluster_members
      WHERE unit_id IN (SELECT node_id FROM erase_node)) AS lost
WHERE c.cluster_run_id = lost.cluster_run_id AND c.cluster_id = lost.cluster_id;

-- name: erase_cluster_names
-- Names of clusters that lose a member: a model made them from what the members say, and so may have a person.
DELETE FROM trajectory_cluster_names n
WHERE EXISTS (SELECT FROM trajectory_cluster_members m
              WHERE m.unit_id IN (SELECT node_id FROM erase_node) AND n.cluster_id = ANY(m.cluster_ids)
                AND (n.source = 'model' OR NOT EXISTS (
                     SELECT FROM trajectory_cluster_members o WHERE n.cluster_id = ANY(o.cluster_ids)
                       AND o.unit_id NOT IN (SELECT node_id FROM erase_node))));

-- name: erase_cluster_members
-- Where what is erased was among the rest says what it was about.
DELETE FROM trajectory_cluster_members WHERE unit_id IN (SELECT node_id FROM erase_node);

-- name: erase_queue
-- Items of erased paths and pairs are judged no more.
UPDATE human_sample_queue q SET theme = '', cluster_id = NULL, category = NULL, leased = 0,
    closed_at = coalesce(q.closed_at, now()), closed_because = 'erased'
WHERE q.session_id IN (SELECT session_id FROM erase_whole_session)
   OR q.subject_id IN (SELECT node_id FROM erase_node)
   OR q.node_a IN (SELECT node_id FROM erase_node) OR q.node_b IN (SELECT node_id FROM erase_node)
   OR q.anchor_turn_id IN (SELECT turn_id FROM erase_turn);

-- name: erase_review_drafts
-- Drafts of reviewers about them, and their leases.
UPDATE review_leases l SET draft = NULL, shown_hash = NULL, ended_at = coalesce(l.ended_at, now()),
    ended = coalesce(l.ended, 'released')
FROM human_sample_queue q WHERE q.item_id = l.item_id AND q.closed_because = 'erased'
  AND (l.draft IS NOT NULL OR l.shown_hash IS NOT NULL OR l.ended IS NULL);

-- name: erase_review_notes
-- Why they skipped or flagged them.
UPDATE review_acts a SET note = '' FROM human_sample_queue q
WHERE q.item_id = a.item_id AND q.closed_because = 'erased' AND a.note <> '';

-- name: erase_gold
-- Known answers to them.
UPDATE review_gold g SET note = '', withdrawn_at = coalesce(g.withdrawn_at, now()) FROM human_sample_queue q
WHERE q.item_id = g.item_id AND q.closed_because = 'erased' AND (g.note <> '' OR g.withdrawn_at IS NULL);

-- name: chosen_plans
-- Replay plans that grow only chosen nodes.
SELECT p.plan_id, p.definition::text AS definition FROM replay_plan p
WHERE EXISTS (SELECT FROM replay_job j WHERE j.plan_id = p.plan_id AND j.node_id IN (SELECT node_id FROM erase_turn))
  AND NOT EXISTS (SELECT FROM replay_job j WHERE j.plan_id = p.plan_id
                  AND j.node_id NOT IN (SELECT node_id FROM erase_turn));

-- name: erase_plans
-- What they asked for; they cannot be resumed.
UPDATE replay_plan p SET definition = g.definition::json, experiment = NULL, theme = NULL, name = '',
    rollout = NULL, error = '',
    ended_at = coalesce(p.ended_at, now())
FROM unnest(%(plans)s::uuid[], %(definitions)s::text[]) AS g (plan_id, definition) WHERE p.plan_id = g.plan_id;

-- name: erase_jobs
-- Why jobs failed; what was not run is not run any more.
UPDATE replay_job SET failure = CASE WHEN failure IS NOT NULL THEN '[erased]' END,
    state = CASE WHEN state IN ('planned', 'running') THEN 'skipped' ELSE state END
WHERE node_id IN (SELECT node_id FROM erase_turn) OR turn_id IN (SELECT turn_id FROM erase_turn);

-- name: erase_rollouts
-- Why and where rollouts ended, in words.
UPDATE rollout SET stop_detail = '[erased]', drift = '[]',
    first_divergence = CASE WHEN first_divergence IS NOT NULL THEN '{"erased":"divergence"}'::jsonb END
WHERE node_id IN (SELECT node_id FROM erase_turn) OR turn_ids && (SELECT array_agg(turn_id) FROM erase_turn);

-- name: chosen_taskifications
-- Plans of subtasks for what is erased.
SELECT taskification_id, plan::text AS plan FROM taskification_results
WHERE node_id IN (SELECT node_id FROM erase_turn) OR session_id IN (SELECT session_id FROM erase_whole_session)
   OR turn_ids && (SELECT array_agg(turn_id) FROM erase_turn) OR scope = %(scope)s
   OR subject IN (SELECT 'turn:' || turn_id FROM erase_turn);

-- name: erase_taskifications
-- See chosen_taskifications.
UPDATE taskification_results t SET prompt = '[erased]', prompt_digest = '', problems = '{}', plan = g.plan::json
FROM unnest(%(ids)s::uuid[], %(plans)s::text[]) AS g (taskification_id, plan)
WHERE t.taskification_id = g.taskification_id;

-- name: erase_generations
-- Why things were made again.
UPDATE generations SET reason = '[erased]'
WHERE new_id IN (SELECT turn_id FROM erase_turn) OR supersedes IN (SELECT turn_id FROM erase_turn)
   OR new_id = ANY(%(taskifications)s::uuid[]) OR supersedes = ANY(%(taskifications)s::uuid[]);

-- name: erase_conditions
-- Judgements that no longer hold.
UPDATE condition_changes SET reason = '[erased]' WHERE reason IS NOT NULL AND node_id IN (SELECT node_id FROM erase_turn);

-- name: columns
-- Columns that may hold words: text, JSON, lists of text. Those whose values our own code gives are not among them.
SELECT c.relname AS "table", a.attname AS "column", format_type(a.atttypid, NULL) AS type,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY(i.indkey)) AS key
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = current_schema() AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relname NOT LIKE 'iceberg\_%%' AND c.relname NOT IN ('erasure', 'schema_migration', 'erased_message')
  AND format_type(a.atttypid, NULL) IN ('text', 'json', 'jsonb', 'text[]', 'character varying')
  AND a.attgenerated = ''
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f')
                  AND a.attnum = ANY(k.conkey) AND format_type(a.atttypid, NULL) IN ('text', 'character varying'))
ORDER BY c.relname, a.attnum;

-- name: recipes_of
-- What snapshots were made of, and the tenant that they were made for.
SELECT snapshot_id, recipe, report ->> 'scope' AS scope FROM dataset_snapshot_registry
WHERE snapshot_id = ANY(%(ids)s);
