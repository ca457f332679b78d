-- What orchestration asks of the truth: how much there is, what waits, and whether the graph is whole.

-- name: runtime_rows
-- Rows of the execution log and of its feedback.
SELECT (SELECT count(*) FROM pipeline_event_inbox) AS pipeline_event_inbox, (SELECT count(*) FROM session) AS session,
    (SELECT count(*) FROM session_turn) AS session_turn, (SELECT count(*) FROM session_lineage) AS session_lineage,
    (SELECT count(*) FROM feedback) AS feedback;

-- name: fence
-- Wait for the transactions that write to the inbox, and hold back new ones: a number that is taken early may be
-- committed late, and nothing else tells of it.
SET LOCAL lock_timeout = '5s';
LOCK TABLE pipeline_event_inbox IN SHARE MODE;

-- name: last_call
-- The highest number of the inbox.
SELECT coalesce(max(seq), 0) AS seq FROM pipeline_event_inbox;

-- name: judgement_rows
-- Rows of what people and models judged; only ever added to.
SELECT (SELECT count(*) FROM human_eval_labels) AS human_eval_labels,
    (SELECT count(*) FROM preference_labels) AS preference_labels;

-- name: judged
-- How many judgements may change a score or a pair: those of people and models, and the feedback on calls.
SELECT (SELECT count(*) FROM human_eval_labels) + (SELECT count(*) FROM preference_labels)
    + (SELECT count(*) FROM label_retractions) + (SELECT count(*) FROM feedback) AS judgements;

-- name: graph
-- How far the graph is.
SELECT coalesce(max(build), 0) AS build, coalesce(max(turns_built), 0) AS turns_built,
    (SELECT count(*) FROM seed_themes) AS themes, (SELECT count(*) FROM conversation_sessions) AS sessions
FROM lineage_watermark WHERE name = 'graph';

-- name: sessions_waiting
-- Sessions with turns that wait, the one with the oldest turn first.
SELECT session_id FROM lineage_queue WHERE failure IS NULL GROUP BY session_id ORDER BY min(turn_id::text) LIMIT %(limit)s;

-- name: sessions_not_in
-- Placed sessions other than the given ones, oldest first.
SELECT s.session_id FROM conversation_sessions s
LEFT JOIN unnest(%(known)s::uuid[]) AS known (session_id) USING (session_id)
WHERE known.session_id IS NULL ORDER BY s.started_at, s.session_id LIMIT %(limit)s;

-- name: add_batch
-- A batch is handed to a run.
INSERT INTO pipeline_batch (batch_id, pipeline, partitions) VALUES (%(batch_id)s, %(pipeline)s, %(partitions)s);

-- name: batch_rows
-- Rows of the graph that belong to the given sessions.
SELECT (SELECT count(*) FROM conversation_sessions WHERE session_id = ANY(%(sessions)s::uuid[])) AS conversation_sessions,
    (SELECT count(*) FROM conversation_branch_nodes WHERE session_id = ANY(%(sessions)s::uuid[]))
        AS conversation_branch_nodes,
    (SELECT count(*) FROM execution_run_records WHERE session_id = ANY(%(sessions)s::uuid[])) AS execution_run_records,
    (SELECT count(*) FROM response_branch_records WHERE session_id = ANY(%(sessions)s::uuid[]))
        AS response_branch_records;

-- name: check_nodes_have_their_parents
-- Nodes whose parent is missing, of another session, or not one step above.
SELECT count(*) AS bad, min(n.node_id::text) AS example, (SELECT count(*) FROM conversation_branch_nodes) AS total
FROM conversation_branch_nodes n LEFT JOIN conversation_branch_nodes p ON p.node_id = n.parent_node_id
WHERE n.parent_node_id IS NOT NULL
  AND (p.node_id IS NULL OR p.session_id <> n.session_id OR p.depth + 1 <> n.depth);

-- name: check_only_roots_lack_a_parent
-- Nodes without a parent that are no roots, and sessions with other than one root.
SELECT count(*) AS bad, min(found.id::text) AS example, (SELECT count(*) FROM conversation_sessions) AS total
FROM (SELECT node_id AS id FROM conversation_branch_nodes
      WHERE (parent_node_id IS NULL) <> (branch_kind = 'root') OR (depth = 0) <> (branch_kind = 'root')
      UNION ALL
      SELECT s.session_id FROM conversation_sessions s LEFT JOIN conversation_branch_nodes n
          ON n.session_id = s.session_id AND n.parent_node_id IS NULL
      GROUP BY s.session_id, s.root_node_id HAVING count(n.node_id) <> 1 OR min(n.node_id::text) <> s.root_node_id::text
     ) AS found;

-- name: check_every_turn_is_placed
-- Turns that neither wait nor are in the graph.
SELECT count(*) AS bad, min(t.turn_id::text) AS example, (SELECT count(*) FROM session_turn) AS total
FROM session_turn t LEFT JOIN response_branch_records b USING (turn_id) LEFT JOIN lineage_queue q USING (turn_id)
WHERE b.turn_id IS NULL AND q.turn_id IS NULL;

-- name: check_runs_are_complete
-- Runs without a model, a backend, a duration, a status or a node; runs that went well but have no answer. A file that was
-- imported need not name its models.
SELECT count(*) AS bad, min(r.run_id::text) AS example, (SELECT count(*) FROM execution_run_records) AS total
FROM execution_run_records r LEFT JOIN conversation_branch_nodes n USING (node_id)
WHERE ((r.model = '' OR r.model_snapshot_id = '') AND NOT starts_with(r.backend, 'import:')) OR r.backend = '' OR NOT r.duration_ms >= 0 OR r.run_status = ''
   OR n.node_id IS NULL OR (r.run_status = 'ok' AND r.answer_id IS NULL);

-- name: check_branch_indexes_are_dense
-- Anchors whose answers are not numbered 0, 1, 2 and so on.
SELECT count(*) AS bad, min(found.anchor::text) AS example,
    (SELECT count(DISTINCT context_anchor_turn_id) FROM response_branch_records) AS total
FROM (SELECT context_anchor_turn_id AS anchor FROM response_branch_records GROUP BY context_anchor_turn_id
      HAVING min(branch_index) <> 0 OR max(branch_index) + 1 <> count(*)
          OR count(DISTINCT branch_index) <> count(*)) AS found;

-- name: check_rollouts_are_true_to_the_record
-- Rollouts under the policy strict that were given a result which the record does not hold for the call, and those of
-- whose calls one is not in the graph.
SELECT count(*) AS bad, min(rollout_id::text) AS example, (SELECT count(*) FROM rollout) AS total
FROM rollout r WHERE (policy = 'strict' AND fidelity < 1)
    OR EXISTS (SELECT FROM unnest(r.turn_ids) AS made (turn_id) JOIN session_turn t USING (turn_id)
               LEFT JOIN response_branch_records b USING (turn_id)
               LEFT JOIN lineage_queue q USING (turn_id) WHERE b.turn_id IS NULL AND q.turn_id IS NULL);

-- name: check_rollouts_end_well
-- Rollouts that a failed call ended, of those of the last 1,000.
SELECT count(*) FILTER (WHERE stop_reason = 'error') AS bad, count(*) AS total,
    min(rollout_id::text) FILTER (WHERE stop_reason = 'error') AS example
FROM (SELECT rollout_id, stop_reason FROM rollout ORDER BY created_at DESC, rollout_id LIMIT 1000) AS latest;

-- name: check_quarantine_rate
-- Captured calls that could not be read, among all. Calls that wait for another are none of them, nor are those that the
-- model server refused: they are the client's fault.
SELECT count(*) AS bad, min(event_id::text) AS example,
    count(*) + (SELECT count(*) FROM pipeline_event_inbox) AS total
FROM quarantine WHERE resolved_at IS NULL AND waits_for IS NULL AND reason NOT LIKE 'refused:%';

-- name: check_snapshots_do_not_leak
-- Snapshots with a session or a content in two splits, or that hold no figure of it.
SELECT count(*) FILTER (WHERE sessions IS DISTINCT FROM 0 OR contents IS DISTINCT FROM 0) AS bad,
    min(snapshot_id) FILTER (WHERE sessions IS DISTINCT FROM 0 OR contents IS DISTINCT FROM 0) AS example,
    count(*) AS total
FROM (SELECT snapshot_id, (leakage ->> 'sessions_in_two_splits')::bigint AS sessions,
          (leakage ->> 'contents_in_two_splits')::bigint AS contents
      FROM dataset_snapshot_registry WHERE withdrawn_at IS NULL) AS figures;
