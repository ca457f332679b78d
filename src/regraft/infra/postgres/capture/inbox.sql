-- Queries of the execution log: staging tables filled by COPY, then one INSERT per table.

-- name: stage
-- Temporary twins of the log's tables; JSON travels as text, and is checked where it lands.
CREATE TEMP TABLE IF NOT EXISTS stage_message (message_id bytea, role text, body text, anchors bigint[])
    ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_context (context_id bytea, parent_id bytea, message_id bytea, depth int4,
    projection_id bytea) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_part (part_id bytea, kind text, body text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_session (session_id uuid, scope text, external_id text, evidence text)
    ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_event (event_id uuid, scope text, endpoint text, upstream text, upstream_pin text,
    purpose text, started_at timestamptz, duration_ms float8, first_byte_ms float8, http_status int4, streamed bool,
    cut text, error text, model_requested text, model_answered text, context_id bytea, tools_id bytea,
    sampling_id bytea, other_id bytea, usage text, system_fingerprint text, answer_rest text, identity text, projection_version int4,
    gateway_version text, operation_id uuid, attempt int4, final bool, traceparent text, asked_model text)
    ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_turn (turn_id uuid, event_id uuid, choice_index int4, session_id uuid,
    context_id bytea, context_projection bytea, context_depth int4, answer_id bytea, answer_projection bytea,
    node_id uuid, node_status text, finish_reason text, tool_calls int4, started_at timestamptz, purpose text, system_digest bytea,
    user_digest bytea, awaited_projection bytea, parent_claim uuid, replay_claim uuid, filed_by text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_response (scope text, response_id text, turn_id uuid) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_feedback (feedback_id uuid, scope text, turn_id uuid, session_id uuid,
    session_claim uuid, name text, value float8, comment text, source text, given_at timestamptz, imported bool,
    annotator text, given_by text, comparison text, scale_low float8, scale_high float8)
    ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_quarantine (event_id uuid, reason text, event bytea, waits_for text)
    ON COMMIT DELETE ROWS;

-- name: sessions_of_claims
-- The session of each claimed turn, node or session that is known to the tenant who claims it.
SELECT c.scope, c.claimed, s.session_id
FROM unnest(%(scopes)s::text[], %(claims)b::uuid[]) AS c (scope, claimed)
CROSS JOIN LATERAL (
    SELECT t.session_id FROM session_turn t WHERE t.turn_id = c.claimed
    UNION ALL
    SELECT t.session_id FROM session_turn t WHERE t.node_id = c.claimed
    UNION ALL
    SELECT t.session_id FROM former_node f JOIN session_turn t USING (turn_id) WHERE f.node_id = c.claimed
    UNION ALL
    SELECT t.session_id FROM former_session f JOIN session_turn t USING (turn_id) WHERE f.session_id = c.claimed
    UNION ALL
    SELECT c.claimed LIMIT 1) AS found
JOIN session s ON s.session_id = found.session_id AND s.scope = c.scope;

-- name: store_messages
-- Sorted, so that two writers lock in one order and cannot wait for one another in a circle.
INSERT INTO message (message_id, role, body, anchors)
SELECT message_id, role, body::json, anchors FROM stage_message ORDER BY message_id
ON CONFLICT DO NOTHING;

-- name: store_contexts
-- Every step of every history that is not there yet.
INSERT INTO context (context_id, parent_id, message_id, depth, projection_id)
SELECT context_id, parent_id, message_id, depth, projection_id FROM stage_context ORDER BY context_id
ON CONFLICT DO NOTHING;

-- name: store_parts
-- Tool lists and sampling settings, once each.
INSERT INTO request_part (part_id, kind, body)
SELECT DISTINCT ON (part_id) part_id, kind, body::json FROM stage_part ORDER BY part_id
ON CONFLICT DO NOTHING;

-- name: store_sessions
-- A session keeps the strongest evidence that it is known by, and its name, whichever call comes first.
INSERT INTO session (session_id, scope, external_id, evidence)
SELECT DISTINCT ON (session_id) session_id, scope, external_id, evidence FROM stage_session
ORDER BY session_id, evidence, external_id
ON CONFLICT (session_id) DO UPDATE SET evidence = least(session.evidence, excluded.evidence),
    external_id = coalesce(session.external_id, excluded.external_id)
WHERE session.evidence > excluded.evidence OR (session.external_id IS NULL AND excluded.external_id IS NOT NULL);

-- name: store_events
-- The event id decides: a call delivered twice is stored once.
INSERT INTO pipeline_event_inbox (event_id, scope, endpoint, upstream, upstream_pin, purpose, started_at, duration_ms,
    first_byte_ms, http_status, streamed, cut, error, model_requested, model_answered, context_id, tools_id,
    sampling_id, other_id, usage, system_fingerprint, answer_rest, identity, projection_version, gateway_version,
    operation_id, attempt, final, traceparent, asked_model)
SELECT event_id, scope, endpoint, upstream, upstream_pin, purpose, started_at, duration_ms, first_byte_ms, http_status,
    streamed, cut, error::json, model_requested, model_answered, context_id, tools_id, sampling_id, other_id,
    usage::json, system_fingerprint, answer_rest::json, identity::json, projection_version, gateway_version,
    operation_id, attempt, final, traceparent, asked_model
FROM stage_event ORDER BY started_at, event_id
ON CONFLICT DO NOTHING RETURNING event_id;

-- name: store_turns
-- Turns, what is claimed of them, and their place in the queue of the graph's builder: all three or none. A client may
-- still know a node by the id that it had under another projection.
WITH stored AS (
    INSERT INTO session_turn (turn_id, event_id, choice_index, session_id, context_id, context_projection,
        context_depth, answer_id, answer_projection, node_id, node_status, finish_reason, tool_calls, started_at, purpose,
        system_digest, user_digest)
    SELECT turn_id, event_id, choice_index, session_id, context_id, context_projection, context_depth, answer_id,
        answer_projection, node_id, node_status, finish_reason, tool_calls, started_at, purpose, system_digest, user_digest
    FROM (SELECT DISTINCT ON (turn_id) * FROM stage_turn ORDER BY turn_id) AS once ORDER BY turn_id
    ON CONFLICT DO NOTHING
    RETURNING turn_id, session_id),
claimed AS (
    INSERT INTO session_lineage (turn_id, session_id, awaited_projection, parent_claim, replay_claim, filed_by)
    SELECT DISTINCT ON (turn_id) turn_id, session_id, awaited_projection,
        coalesce((SELECT t.node_id FROM former_node f JOIN session_turn t ON t.turn_id = f.turn_id
                  WHERE f.node_id = s.parent_claim), s.parent_claim),
        coalesce((SELECT t.node_id FROM former_node f JOIN session_turn t ON t.turn_id = f.turn_id
                  WHERE f.node_id = s.replay_claim), s.replay_claim), s.filed_by
    FROM stage_turn s JOIN stored USING (turn_id, session_id) ORDER BY turn_id),
queued AS (
    INSERT INTO lineage_queue (turn_id, session_id) SELECT turn_id, session_id FROM stored)
SELECT count(*) AS turns FROM stored;

-- name: histories
-- What a call that names an earlier response goes on from.
SELECT a.scope, a.response_id, a.turn_id, t.session_id, context_messages(t.context_id)::text AS messages,
    m.body::text AS answer
FROM unnest(%(scopes)s::text[], %(responses)s::text[]) AS wanted (scope, response_id)
JOIN response_alias a USING (scope, response_id)
JOIN session_turn t USING (turn_id) LEFT JOIN message m ON m.message_id = t.answer_id;

-- name: store_responses
-- The first turn that gave a response keeps its id.
INSERT INTO response_alias (scope, response_id, turn_id)
SELECT DISTINCT ON (scope, response_id) scope, response_id, turn_id FROM stage_response
ORDER BY scope, response_id, turn_id
ON CONFLICT DO NOTHING;

-- name: store_feedback
-- The event id decides: feedback delivered twice is stored once.
INSERT INTO feedback (feedback_id, scope, turn_id, session_id, session_claim, name, value, comment, source, given_at,
    imported, annotator, given_by, comparison, scale_low, scale_high)
SELECT DISTINCT ON (feedback_id) feedback_id, scope, turn_id, session_id, session_claim, name, value, comment, source,
    given_at, imported, annotator, given_by, comparison, scale_low, scale_high
FROM stage_feedback ORDER BY feedback_id
ON CONFLICT DO NOTHING;

-- name: store_quarantine
-- Calls that could not be read, or that wait for another, whole.
INSERT INTO quarantine (event_id, reason, event, waits_for, next_try_at)
SELECT DISTINCT ON (event_id) event_id, reason, event, waits_for,
    CASE WHEN waits_for IS NOT NULL THEN now() + interval '5 seconds' END
FROM stage_quarantine ORDER BY event_id
ON CONFLICT DO NOTHING;
