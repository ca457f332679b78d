-- The review queue: filling it, and what is in it.

-- name: session_scopes
-- The tenant of each session.
SELECT session_id, scope FROM session;

-- name: samples
-- The rate of each random sample.
SELECT scope, kind, seed, rate, population FROM review_samples;

-- name: save_sample
-- A rate never falls.
INSERT INTO review_samples AS s (scope, kind, seed, rate, population, updated_at)
VALUES (%(scope)s, %(kind)s, %(seed)s, %(rate)s, %(population)s, %(now)s)
ON CONFLICT (scope, kind) DO UPDATE
SET rate = greatest(s.rate, excluded.rate), population = excluded.population, updated_at = excluded.updated_at;

-- name: queued
-- What is queued, closed items included.
SELECT item_id, subject_id, scope, kind, share, closed_at IS NULL AS open, closed_because, done, draw
FROM human_sample_queue;

-- name: judged_subjects
-- How many people judged each path and each pair.
SELECT subject_id, count(DISTINCT reviewer) AS people FROM (
    SELECT unit_id AS subject_id, reviewer FROM current_human_eval_labels WHERE NOT adjudicates
    UNION ALL
    SELECT pair_id, decided_by FROM current_preference_labels WHERE source = 'human' AND NOT adjudicates) AS labels
GROUP BY subject_id;

-- name: stage
-- Where items are copied to first.
CREATE TEMP TABLE staged_item (item_id uuid, kind text, subject_id uuid, session_id uuid, theme text, cluster_id text,
    category text, anchor_turn_id uuid, node_a uuid, node_b uuid, turn_a uuid, turn_b uuid, share text,
    priority double precision, draw double precision, needed integer) ON COMMIT DROP;

-- name: save_items
-- New items, and open ones that changed. What people judged before counts; an item that they judged enough is closed.
INSERT INTO human_sample_queue AS q (item_id, kind, subject_id, session_id, scope, theme, cluster_id, category,
    anchor_turn_id, node_a, node_b, turn_a, turn_b, share, priority, draw, needed, done, created_at, closed_at,
    closed_because)
SELECT i.item_id, i.kind, i.subject_id, i.session_id, s.scope, i.theme, i.cluster_id, i.category, i.anchor_turn_id,
       i.node_a, i.node_b, i.turn_a, i.turn_b, i.share, i.priority, i.draw, i.needed, d.done, %(now)s,
       CASE WHEN d.done >= i.needed THEN %(now)s END, CASE WHEN d.done >= i.needed THEN 'complete' END
FROM staged_item i JOIN session s USING (session_id)
CROSS JOIN LATERAL (
    SELECT CASE i.kind
        WHEN 'unit' THEN (SELECT count(DISTINCT reviewer) FROM current_human_eval_labels l
                          WHERE l.unit_id = i.subject_id AND NOT l.adjudicates)
        ELSE (SELECT count(DISTINCT decided_by) FROM current_preference_labels l
              WHERE l.pair_id = i.subject_id AND l.source = 'human' AND NOT l.adjudicates) END AS done) AS d
ORDER BY i.item_id
ON CONFLICT (item_id) DO UPDATE
SET theme = excluded.theme, cluster_id = excluded.cluster_id, category = excluded.category,
    priority = CASE WHEN q.priority >= 1000 THEN q.priority ELSE excluded.priority END,   -- somebody selected it
    share = CASE WHEN q.share = 'priority' THEN excluded.share ELSE q.share END,
    closed_at = CASE WHEN q.closed_because = 'gone' THEN NULL ELSE q.closed_at END,
    closed_because = CASE WHEN q.closed_because = 'gone' THEN NULL ELSE q.closed_because END
WHERE q.share <> 'gold' AND (q.closed_because = 'gone' OR (q.closed_at IS NULL
    AND (q.theme, q.cluster_id, q.category, q.priority, q.share) IS DISTINCT FROM
        (excluded.theme, excluded.cluster_id, excluded.category,
         CASE WHEN q.priority >= 1000 THEN q.priority ELSE excluded.priority END,
         CASE WHEN q.share = 'priority' THEN excluded.share ELSE q.share END)))
RETURNING item_id, xmax = 0 AS added;

-- name: settle_judged
-- Whoever judged a new item before it was queued has answered it.
INSERT INTO review_leases (lease_id, item_id, reviewer, claimed_at, expires_at, shown_first, ended_at, ended, label_id)
SELECT gen_random_uuid(), q.item_id, l.reviewer, l.created_at, l.created_at, 'a', l.created_at, 'submitted', l.label_id
FROM human_sample_queue q
JOIN LATERAL (
    SELECT reviewer, created_at, label_id FROM current_human_eval_labels
    WHERE q.kind = 'unit' AND unit_id = q.subject_id AND NOT adjudicates
    UNION ALL
    SELECT decided_by, created_at, label_id FROM current_preference_labels
    WHERE q.kind = 'pair' AND pair_id = q.subject_id AND source = 'human' AND NOT adjudicates) AS l ON true
WHERE q.item_id = ANY(%(items)s::uuid[]) AND q.done > 0
ON CONFLICT DO NOTHING;

-- name: widen_samples
-- Items below a rate that rose are in the random sample now, closed ones included.
UPDATE human_sample_queue q SET share = 'random'
FROM review_samples s
WHERE q.share = 'priority' AND q.scope = s.scope AND q.kind = s.kind AND q.draw < s.rate;

-- name: close_gone
-- Open items that nobody holds and whose subject is not there any more.
UPDATE human_sample_queue q SET closed_at = %(now)s, closed_because = 'gone'
WHERE q.closed_at IS NULL AND q.leased = 0 AND q.kind = ANY(%(kinds)s) AND q.share <> 'gold'
  AND NOT EXISTS (SELECT FROM unnest(%(present)s::uuid[]) AS p (subject_id) WHERE p.subject_id = q.subject_id);

-- name: shares
-- How many items there are by tenant, kind, theme and share; judgements, and the age of the oldest open item.
SELECT scope, kind, theme, share, count(*) AS items, count(*) FILTER (WHERE closed_at IS NULL) AS open,
       count(*) FILTER (WHERE closed_because = 'complete') AS complete,
       count(*) FILTER (WHERE closed_because = 'skipped') AS skipped,
       sum(done)::bigint AS judgements, sum(leased)::bigint AS leased,
       min(created_at) FILTER (WHERE closed_at IS NULL) AS oldest_open
FROM human_sample_queue WHERE %(scope)s::text IS NULL OR scope = %(scope)s
GROUP BY scope, kind, theme, share ORDER BY scope, kind, theme, share;

-- name: age
-- How many items are open, how many of them were queued before a time, and one of those.
SELECT count(*) AS open, count(*) FILTER (WHERE created_at < %(before)s) AS old,
       (array_agg(item_id::text ORDER BY created_at, item_id))[1] AS oldest
FROM human_sample_queue WHERE closed_at IS NULL AND share <> 'gold';

-- name: items
-- Items by their place. To who is blind, those of known answer look like others.
SELECT q.item_id, q.kind, q.subject_id, q.session_id, q.scope, q.theme, q.cluster_id, q.category, q.share, q.priority,
       q.place, CASE WHEN %(blind)s AND q.share = 'gold' THEN q.done + 1 ELSE q.needed END AS needed, q.done, q.leased, q.skips, q.created_at, q.closed_at, q.closed_because,
       (SELECT count(DISTINCT a.reviewer) FROM review_acts a
        WHERE a.item_id = q.item_id AND a.act = 'flagged' AND a.undone_by IS NULL) AS flags
FROM human_sample_queue q
WHERE (%(scope)s::text IS NULL OR q.scope = %(scope)s) AND (%(kind)s::text IS NULL OR q.kind = %(kind)s)
  AND (%(theme)s::text IS NULL OR q.theme = %(theme)s) AND (%(share)s::text IS NULL OR q.share = %(share)s)
  AND (%(session_id)s::uuid IS NULL OR q.session_id = %(session_id)s)
  AND (%(cluster_id)s::text IS NULL OR starts_with(q.cluster_id, %(cluster_id)s))
  AND (%(category)s::text IS NULL OR q.category = %(category)s)
  AND CASE %(state)s WHEN 'open' THEN q.closed_at IS NULL WHEN 'closed' THEN q.closed_at IS NOT NULL
          WHEN 'leased' THEN q.leased > 0 WHEN 'skipped' THEN q.skips > 0
          WHEN 'flagged' THEN EXISTS (SELECT FROM review_acts a
                                      WHERE a.item_id = q.item_id AND a.act = 'flagged' AND a.undone_by IS NULL)
          ELSE true END
ORDER BY q.share = 'gold' AND NOT %(blind)s, q.place, q.item_id LIMIT %(limit)s;

-- name: item_acts
-- What was done with an item, in order.
SELECT act_id, act, reviewer, label_id, reason, note, undone_by IS NOT NULL AS undone, at
FROM review_acts WHERE item_id = %(item_id)s ORDER BY at, act_id;

-- name: resolve_items
-- Items whose id or subject begins so, two at most.
SELECT item_id FROM human_sample_queue
WHERE (starts_with(item_id::text, %(start)s) OR starts_with(subject_id::text, %(start)s))
  AND (%(scope)s::text IS NULL OR scope = %(scope)s)
ORDER BY item_id LIMIT 2;

-- name: requeue
-- Closed items are open again and ask for so many people more; open ones for at least so many.
UPDATE human_sample_queue q
SET closed_at = NULL, closed_because = NULL, needed = greatest(q.needed, q.done + %(more)s), skips = 0
WHERE q.item_id = ANY(%(items)s::uuid[]) AND (q.closed_because IS NULL OR q.closed_because <> 'erased')
RETURNING q.item_id;

-- name: sample_answers
-- Of the random samples: items drawn per tenant, kind and theme; those that were judged; the mean rating of people.
SELECT q.scope, q.theme, count(*) AS drawn, count(*) FILTER (WHERE l.people > 0) AS judged,
       coalesce(json_agg(json_build_array(l.rating, l.categories)) FILTER (WHERE l.people > 0), '[]')::text AS answers
FROM human_sample_queue q
CROSS JOIN LATERAL (
    SELECT count(*) AS people, avg(rating)::double precision AS rating,
           coalesce((SELECT json_object_agg(c.category, c.share) FROM (
               SELECT category, count(DISTINCT o.reviewer)::double precision
                      / (SELECT count(DISTINCT reviewer) FROM current_human_eval_labels x
                         WHERE x.unit_id = q.subject_id AND NOT x.adjudicates) AS share
               FROM current_human_eval_labels o, unnest(o.categories) AS category
               WHERE o.unit_id = q.subject_id AND NOT o.adjudicates GROUP BY category) AS c), '{}') AS categories
    FROM current_human_eval_labels h WHERE h.unit_id = q.subject_id AND NOT h.adjudicates) AS l
WHERE q.share = 'random' AND q.kind = 'unit' AND q.closed_because IS DISTINCT FROM 'gone' AND (%(scope)s::text IS NULL OR q.scope = %(scope)s)
GROUP BY q.scope, q.theme ORDER BY q.scope, q.theme;

-- name: selected_units
-- Paths by their last nodes, with the items that there are for them.
SELECT n.node_id, n.session_id, s.scope, coalesce(rt.name, st.name, '') AS theme, q.item_id
FROM conversation_branch_nodes n
JOIN session s USING (session_id)
LEFT JOIN conversation_sessions c ON c.session_id = n.session_id
LEFT JOIN seed_themes st ON st.theme_id = c.theme_id
LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
LEFT JOIN human_sample_queue q ON q.subject_id = n.node_id AND q.kind = 'unit'
WHERE n.node_id = ANY(%(nodes)s::uuid[]) AND n.turn_id IS NOT NULL
  AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)
  AND NOT EXISTS (SELECT FROM conversation_branch_nodes child WHERE child.parent_node_id = n.node_id)
ORDER BY n.node_id;

-- name: selected_pairs
-- Pairs by their ids, with the items that there are for them.
SELECT p.pair_id, s.scope, q.item_id
FROM unnest(%(pairs)s::uuid[], %(sessions)s::uuid[]) AS p (pair_id, session_id)
JOIN session s USING (session_id)
LEFT JOIN human_sample_queue q ON q.subject_id = p.pair_id AND q.kind = 'pair'
WHERE %(scope)s::text IS NULL OR s.scope = %(scope)s
ORDER BY p.pair_id;

-- name: prefer
-- Items come before others of their share.
UPDATE human_sample_queue SET priority = greatest(priority, %(priority)s)
WHERE item_id = ANY(%(items)s::uuid[]) AND share = 'priority' RETURNING item_id;
