-- name: turn_is_stored
-- Whether a tenant's turn or node is stored: in the graph, or as a call that has not become a turn (yet).
SELECT EXISTS (SELECT FROM session_turn t JOIN session s USING (session_id)
               WHERE (t.turn_id = %(turn)s OR t.node_id = %(turn)s) AND s.scope = %(scope)s)
    OR EXISTS (SELECT FROM pipeline_event_inbox WHERE event_id = %(turn)s AND scope = %(scope)s)
    OR EXISTS (SELECT FROM quarantine WHERE event_id = %(turn)s AND resolved_at IS NULL) AS stored;

-- name: session_is_stored
-- Whether a tenant's session is stored, under either of two ids.
SELECT EXISTS (SELECT FROM session WHERE session_id IN (%(session)s, %(claim)s) AND scope = %(scope)s) AS stored;
