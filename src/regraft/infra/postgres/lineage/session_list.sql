-- A list of sessions: filtered by session_misses, sorted by an index, and read a page at a time. `scope` is the tenant whose
-- data may be seen; NULL: all. `filter` is JSON; `found` are the sessions that a search found, NULL: there was none.

-- name: themes_named
-- The ids of themes of these names.
SELECT theme_id FROM seed_themes
WHERE name = ANY(%(names)s) AND (%(scope)s::text IS NULL OR scope = %(scope)s);

-- name: search
-- Sessions with an answer, or a last question, that holds the words; `most` messages are looked at.
WITH hits AS MATERIALIZED (
    SELECT m.message_id FROM message m
    WHERE message_words(m.body) @@ websearch_to_tsquery('simple', %(text)s) LIMIT %(most)s),
turns AS (
    SELECT t.node_id FROM hits h JOIN session_turn t ON t.answer_id = h.message_id
    UNION
    SELECT t.node_id FROM hits h JOIN context c ON c.message_id = h.message_id
        JOIN session_turn t ON t.context_id = c.context_id)
SELECT coalesce(array_agg(DISTINCT n.session_id), '{}') AS sessions, (SELECT count(*) FROM hits) AS messages
FROM turns JOIN conversation_branch_nodes n USING (node_id);

-- name: rows
-- Sessions by their ids, in the order of these, with the words that each opened with.
SELECT s.session_id, s.scope, s.external_id, t.name AS theme, s.root_node_id, s.turns, s.nodes, s.started_at,
    s.last_turn_at, s.build, s.replays, s.errors, s.models, s.purposes, s.kinds, s.is_side, s.reward, s.reward_source,
    (SELECT min(b.fidelity) FROM response_branch_records b WHERE b.session_id = s.session_id) AS lowest_fidelity,
    opening.role AS opening_role, left(message_text(opening.body), 200) AS opening
FROM unnest(%(sessions)s::uuid[]) WITH ORDINALITY AS wanted (session_id, place)
JOIN conversation_sessions s USING (session_id) LEFT JOIN seed_themes t USING (theme_id)
LEFT JOIN LATERAL (
    SELECT m.role, m.body FROM conversation_branch_nodes n JOIN session_turn o USING (turn_id)
        JOIN context c ON c.context_id = n.context_snapshot_id JOIN message m USING (message_id)
    WHERE n.session_id = s.session_id AND n.depth = 1
    ORDER BY o.started_at, n.node_id LIMIT 1) AS opening ON true
ORDER BY wanted.place;

-- name: recent_desc
-- The last turn, the newest first.
SELECT s.session_id, s.last_turn_at AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::timestamptz IS NULL OR (s.last_turn_at, s.session_id) < (%(after)s::timestamptz, %(after_id)s::uuid))
ORDER BY s.last_turn_at DESC, s.session_id DESC LIMIT %(limit)s;

-- name: recent_asc
-- The last turn, the oldest first.
SELECT s.session_id, s.last_turn_at AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::timestamptz IS NULL OR (s.last_turn_at, s.session_id) > (%(after)s::timestamptz, %(after_id)s::uuid))
ORDER BY s.last_turn_at, s.session_id LIMIT %(limit)s;

-- name: started_desc
-- The first turn, the newest first.
SELECT s.session_id, s.started_at AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::timestamptz IS NULL OR (s.started_at, s.session_id) < (%(after)s::timestamptz, %(after_id)s::uuid))
ORDER BY s.started_at DESC, s.session_id DESC LIMIT %(limit)s;

-- name: started_asc
-- The first turn, the oldest first.
SELECT s.session_id, s.started_at AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::timestamptz IS NULL OR (s.started_at, s.session_id) > (%(after)s::timestamptz, %(after_id)s::uuid))
ORDER BY s.started_at, s.session_id LIMIT %(limit)s;

-- name: turns_desc
-- Turns, the longest first.
SELECT s.session_id, s.turns AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::integer IS NULL OR (s.turns, s.session_id) < (%(after)s::integer, %(after_id)s::uuid))
ORDER BY s.turns DESC, s.session_id DESC LIMIT %(limit)s;

-- name: turns_asc
-- Turns, the shortest first.
SELECT s.session_id, s.turns AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::integer IS NULL OR (s.turns, s.session_id) > (%(after)s::integer, %(after_id)s::uuid))
ORDER BY s.turns, s.session_id LIMIT %(limit)s;

-- name: errors_desc
-- Runs that failed, the most first.
SELECT s.session_id, s.errors AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::integer IS NULL OR (s.errors, s.session_id) < (%(after)s::integer, %(after_id)s::uuid))
ORDER BY s.errors DESC, s.session_id DESC LIMIT %(limit)s;

-- name: errors_asc
-- Runs that failed, the fewest first.
SELECT s.session_id, s.errors AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
  AND (%(after)s::integer IS NULL OR (s.errors, s.session_id) > (%(after)s::integer, %(after_id)s::uuid))
ORDER BY s.errors, s.session_id LIMIT %(limit)s;

-- name: reward_desc
-- The outcome, the best first; only sessions that have one.
SELECT s.session_id, s.reward AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[])) AND s.reward IS NOT NULL
  AND (%(after)s::float8 IS NULL OR (s.reward, s.session_id) < (%(after)s::float8, %(after_id)s::uuid))
ORDER BY s.reward DESC, s.session_id DESC LIMIT %(limit)s;

-- name: reward_asc
-- The outcome, the worst first; only sessions that have one.
SELECT s.session_id, s.reward AS value FROM conversation_sessions s
WHERE session_misses(s, %(filter)s::jsonb) = 0 AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[])) AND s.reward IS NOT NULL
  AND (%(after)s::float8 IS NULL OR (s.reward, s.session_id) > (%(after)s::float8, %(after_id)s::uuid))
ORDER BY s.reward, s.session_id LIMIT %(limit)s;

-- name: all_sessions
-- How many sessions there are, whatever the filter asks for.
SELECT count(*) AS sessions FROM conversation_sessions s WHERE %(scope)s::text IS NULL OR s.scope = %(scope)s;

-- name: facets
-- By facet and value how many sessions meet all other conditions (`facet` '': all conditions). Sessions that are alike are
-- counted first. An id says nothing of its session, so those `below` one are a random sample; NULL: all.
WITH seen AS MATERIALIZED (
    SELECT s.theme_id, s.models, s.purposes, s.kinds, s.is_side, s.errors > 0 AS failed, s.replays > 0 AS replayed,
        CASE WHEN s.reward IS NULL THEN 'none' WHEN s.reward <= 0.25 THEN 'low' WHEN s.reward < 0.75 THEN 'middle'
             ELSE 'high' END AS outcome,
        session_misses(s, %(filter)s::jsonb) AS misses, count(*) AS sessions
    FROM conversation_sessions s
    WHERE (%(scope)s::text IS NULL OR s.scope = %(scope)s) AND (%(below)s::uuid IS NULL OR s.session_id < %(below)s::uuid)
      AND (%(found)s::uuid[] IS NULL OR s.session_id = ANY(%(found)s::uuid[]))
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9),
counted AS (
    SELECT '' AS facet, '' AS value, coalesce(sum(sessions), 0) AS sessions FROM seen WHERE misses = 0
    UNION ALL
    (SELECT 'theme', coalesce(t.name, ''), sum(sessions) FROM seen LEFT JOIN seed_themes t USING (theme_id)
     WHERE misses & ~1 = 0 GROUP BY t.name ORDER BY 3 DESC, 2 LIMIT %(values)s)
    UNION ALL
    (SELECT 'model', one.name, sum(sessions) FROM seen, unnest(models) AS one (name)
     WHERE misses & ~2 = 0 GROUP BY one.name ORDER BY 3 DESC, 2 LIMIT %(values)s)
    UNION ALL
    (SELECT 'purpose', one.name, sum(sessions) FROM seen, unnest(purposes) AS one (name)
     WHERE misses & ~4 = 0 GROUP BY one.name ORDER BY 3 DESC, 2 LIMIT %(values)s)
    UNION ALL
    (SELECT 'kind', one.name, sum(sessions) FROM seen, unnest(kinds) AS one (name)
     WHERE misses & ~8 = 0 GROUP BY one.name ORDER BY 3 DESC, 2 LIMIT %(values)s)
    UNION ALL
    SELECT 'side', is_side::text, sum(sessions) FROM seen WHERE misses & ~16 = 0 GROUP BY is_side
    UNION ALL
    SELECT 'errors', failed::text, sum(sessions) FROM seen WHERE misses & ~32 = 0 GROUP BY failed
    UNION ALL
    SELECT 'replays', replayed::text, sum(sessions) FROM seen WHERE misses & ~64 = 0 GROUP BY replayed
    UNION ALL
    SELECT 'outcome', outcome, sum(sessions) FROM seen WHERE misses & ~128 = 0 GROUP BY outcome)
SELECT facet, value, sessions::bigint AS sessions FROM counted;
