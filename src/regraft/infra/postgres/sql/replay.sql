-- Queries of a replay: what is grown again, what was grown already, and whether it has arrived.

-- name: origins
-- For each node the exact history and the request of the run that gave it first.
SELECT n.node_id, n.session_id, n.context_snapshot_id AS context_id,
    context_messages(n.context_snapshot_id)::text AS messages, coalesce(e.model_requested, '') AS model,
    tools.body::text AS tools, sampling.body::text AS sampling, other.body::text AS other
FROM unnest(%(nodes)s::uuid[]) WITH ORDINALITY AS wanted (node_id, place)
JOIN conversation_branch_nodes n USING (node_id)
JOIN session_turn t USING (turn_id) JOIN pipeline_event_inbox e USING (event_id)
JOIN request_part tools ON tools.part_id = e.tools_id
JOIN request_part sampling ON sampling.part_id = e.sampling_id
JOIN request_part other ON other.part_id = e.other_id
ORDER BY wanted.place;

-- name: finished
-- The variants of all replays of these sessions that gave an answer.
SELECT r.variant::text AS variant, r.run_id FROM execution_run_records r
WHERE r.session_id = ANY(%(sessions)s::uuid[]) AND r.purpose = 'replay' AND r.run_status <> 'error'
    AND r.variant IS NOT NULL;

-- name: arrived
-- Which of these calls are stored.
SELECT event_id FROM pipeline_event_inbox WHERE event_id = ANY(%(events)s::uuid[])
UNION ALL
SELECT event_id FROM quarantine WHERE event_id = ANY(%(events)s::uuid[]);
