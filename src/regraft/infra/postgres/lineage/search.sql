-- Finding nodes by their words.

-- name: find
-- Nodes whose answer, or whose last question, holds the words; the best match first, then the newest. `scope` is the
-- tenant whose nodes may be seen; NULL: all.
WITH hits AS (
    SELECT m.message_id, m.body, ts_rank(message_words(m.body), words) AS rank
    FROM message m, websearch_to_tsquery('simple', %(text)s) AS words
    WHERE message_words(m.body) @@ words AND (%(scope)s::text IS NULL
        OR EXISTS (SELECT FROM session_turn t JOIN session s USING (session_id)
                   WHERE t.answer_id = m.message_id AND s.scope = %(scope)s OFFSET 0)
        OR EXISTS (SELECT FROM context c JOIN session_turn t USING (context_id) JOIN session s USING (session_id)
                   WHERE c.message_id = m.message_id AND s.scope = %(scope)s OFFSET 0))
    ORDER BY rank DESC, m.message_id LIMIT 10 * %(limit)s),
placed AS (
    SELECT t.node_id, t.session_id, t.started_at, 'answer' AS place, h.body, h.rank
    FROM hits h JOIN session_turn t ON t.answer_id = h.message_id
    UNION ALL
    SELECT t.node_id, t.session_id, t.started_at, 'question', h.body, h.rank
    FROM hits h JOIN context c ON c.message_id = h.message_id JOIN session_turn t ON t.context_id = c.context_id)
SELECT DISTINCT ON (rank, node_id) node_id, session_id, place, rank, started_at,
    ts_headline('simple', coalesce(message_text(body), ''), websearch_to_tsquery('simple', %(text)s),
                'StartSel="", StopSel="", MaxWords=18, MinWords=6') AS excerpt
FROM placed JOIN session s USING (session_id) WHERE %(scope)s::text IS NULL OR s.scope = %(scope)s
ORDER BY rank DESC, node_id, place LIMIT %(limit)s;

-- name: ids
-- Sessions, nodes and turns whose ids lie between two bounds, a few of each.
(SELECT 'session' AS kind, s.session_id AS id, s.session_id, s.external_id AS name, s.last_turn_at AS at
 FROM conversation_sessions s
 WHERE s.session_id BETWEEN %(low)s AND %(high)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
 ORDER BY s.session_id LIMIT %(limit)s)
UNION ALL
(SELECT 'node', n.node_id, n.session_id, n.branch_kind, t.started_at
 FROM conversation_branch_nodes n JOIN session s USING (session_id) LEFT JOIN session_turn t USING (turn_id)
 WHERE n.node_id BETWEEN %(low)s AND %(high)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
 ORDER BY n.node_id LIMIT %(limit)s)
UNION ALL
(SELECT 'node', n.node_id, n.session_id, n.branch_kind, t.started_at
 FROM session_turn t JOIN conversation_branch_nodes n USING (node_id) JOIN session s ON s.session_id = n.session_id
 WHERE t.turn_id BETWEEN %(low)s AND %(high)s AND t.turn_id <> n.node_id
   AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
 ORDER BY t.turn_id LIMIT %(limit)s);

-- name: names
-- Sessions that their clients gave a name with these letters, and themes; names that begin so come first.
(SELECT 'theme' AS kind, t.theme_id AS id, NULL::uuid AS session_id, t.name, t.created_at AS at
 FROM seed_themes t
 WHERE strpos(lower(t.name), lower(%(text)s)) > 0 AND (%(scope)s::text IS NULL OR t.scope = %(scope)s)
 ORDER BY NOT starts_with(lower(t.name), lower(%(text)s)), t.name LIMIT %(limit)s)
UNION ALL
(SELECT 'session', s.session_id, s.session_id, s.external_id, s.last_turn_at
 FROM conversation_sessions s
 WHERE strpos(lower(s.external_id), lower(%(text)s)) > 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
 ORDER BY NOT starts_with(lower(s.external_id), lower(%(text)s)), s.last_turn_at DESC LIMIT %(limit)s);
