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
