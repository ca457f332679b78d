-- name: of_claims
-- The first call of each node among these ids, or the call of each turn: what a replay claims to regrow.
SELECT DISTINCT ON (t.claimed) t.claimed, e.event_id, e.operation_id, e.traceparent
FROM (SELECT node_id AS claimed, event_id, started_at FROM session_turn WHERE node_id = ANY(%(claims)b::uuid[])
      UNION ALL
      SELECT turn_id, event_id, started_at FROM session_turn WHERE turn_id = ANY(%(claims)b::uuid[])) t
JOIN pipeline_event_inbox e USING (event_id)
ORDER BY t.claimed, t.started_at, e.event_id;

-- name: of_events
-- Of these calls, those that began within the last hour: spans of older ones are of no use.
SELECT event_id AS claimed, event_id, operation_id, traceparent
FROM pipeline_event_inbox
WHERE event_id = ANY(%(events)b::uuid[]) AND started_at > now() - interval '1 hour';
