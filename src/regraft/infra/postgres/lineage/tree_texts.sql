-- Every message of a tree, once: what a tree is kept as a file with.

-- name: contexts
-- The histories of a session's nodes as steps: each with the one before it and its message, numbered from 0; the messages numbered too,
-- those that come first in the tree first. A node's own step and answer are in the order of the query `shape`.
WITH RECURSIVE node AS (
    SELECT n.context_snapshot_id AS context_id, r.answer_id, n.depth,
        row_number() OVER (ORDER BY n.depth, r.started_at, n.node_id) AS place
    FROM conversation_branch_nodes n
    LEFT JOIN (SELECT * FROM execution_run_records WHERE session_id = %(session)s) AS r ON r.run_id = n.turn_id
    WHERE n.session_id = %(session)s),
up AS (
    SELECT c.context_id, c.parent_id, c.message_id FROM context c WHERE c.context_id IN (SELECT context_id FROM node)
    UNION
    SELECT c.context_id, c.parent_id, c.message_id FROM up JOIN context c ON c.context_id = up.parent_id),
step AS (SELECT up.*, c.depth, row_number() OVER (ORDER BY c.depth, up.context_id) - 1 AS number FROM up JOIN context c USING (context_id)),
said AS (
    SELECT message_id, min(at) AS at FROM (
        SELECT message_id, depth AS at FROM step UNION ALL SELECT answer_id, depth FROM node WHERE answer_id IS NOT NULL) AS each
    GROUP BY message_id),
message_number AS (SELECT message_id, row_number() OVER (ORDER BY at, message_id) - 1 AS number FROM said)
SELECT (SELECT json_build_object(
            'parent', coalesce(array_agg(coalesce(p.number, -1) ORDER BY s.number), '{}'),
            'message', coalesce(array_agg(m.number ORDER BY s.number), '{}'))
        FROM step s JOIN message_number m USING (message_id) LEFT JOIN step p ON p.context_id = s.parent_id)::text AS contexts,
    (SELECT json_agg(coalesce(s.number, -1) ORDER BY n.place) FROM node n LEFT JOIN step s USING (context_id))::text AS asked,
    (SELECT json_agg(coalesce(m.number, -1) ORDER BY n.place) FROM node n LEFT JOIN message_number m ON m.message_id = n.answer_id)::text
        AS answered,
    (SELECT array_agg(message_id ORDER BY number) FROM message_number) AS messages;

-- name: bodies
-- Messages as JSON, in the order in which they are asked for.
SELECT m.body::text AS body FROM unnest(%(messages)s::bytea[]) WITH ORDINALITY AS wanted (message_id, place)
JOIN message m USING (message_id) ORDER BY wanted.place;
