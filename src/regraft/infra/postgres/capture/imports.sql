-- Queries of imports: what is stored already.

-- name: known_calls
-- Those of the given calls that are stored.
SELECT event_id FROM pipeline_event_inbox WHERE event_id = ANY(%(ids)b::uuid[]);

-- name: known_feedback
-- Those of the given judgements that are stored.
SELECT feedback_id FROM feedback WHERE feedback_id = ANY(%(ids)b::uuid[]);
