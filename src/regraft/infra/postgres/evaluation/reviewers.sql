-- Items of known answer, and what reviewers did.

-- name: item
-- An item that is to be gold.
SELECT item_id, kind, share, closed_because, scope FROM human_sample_queue WHERE item_id = %(item_id)s FOR UPDATE;

-- name: make_gold
-- An item of known answer is open for everybody.
UPDATE human_sample_queue SET share = 'gold', needed = 1000000, closed_at = NULL, closed_because = NULL
WHERE item_id = %(item_id)s;

-- name: withdraw_gold
-- Its answer is not known any more.
UPDATE review_gold SET withdrawn_at = %(now)s WHERE item_id = %(item_id)s AND withdrawn_at IS NULL;

-- name: close_gold
-- Nobody gets the item any more.
UPDATE human_sample_queue SET closed_at = %(now)s, closed_because = 'withdrawn' WHERE item_id = %(item_id)s;

-- name: add_gold
-- The known answer of an item.
INSERT INTO review_gold (gold_id, item_id, preference, rating_low, rating_high, note, made_by, created_at)
VALUES (%(gold_id)s, %(item_id)s, %(preference)s, %(rating_low)s, %(rating_high)s, %(note)s, %(made_by)s, %(now)s);

-- name: gold
-- Items of known answer with how many people answered, and how many were right.
SELECT g.gold_id, g.item_id, q.kind, q.subject_id, q.theme, q.scope, g.preference, g.rating_low, g.rating_high, g.note,
       g.made_by, g.created_at, count(l.reviewer) AS answered, count(l.reviewer) FILTER (WHERE l.is_right) AS right
FROM review_gold g JOIN human_sample_queue q USING (item_id)
LEFT JOIN gold_results l ON l.gold_id = g.gold_id
WHERE g.withdrawn_at IS NULL AND (%(scope)s::text IS NULL OR q.scope = %(scope)s)
GROUP BY g.gold_id, q.item_id ORDER BY g.created_at, g.gold_id;

-- name: reviewers
-- What each reviewer did. A preference for the answer shown first is counted among those that prefer one.
WITH ratings AS (
    SELECT l.reviewer, l.seconds, NULL::boolean AS first FROM current_human_eval_labels l
    JOIN session s USING (session_id) WHERE NOT adjudicates AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)),
preferences AS (
    SELECT p.decided_by, p.seconds, CASE WHEN p.preference IN ('a', 'b') THEN p.preference = p.shown_first END
    FROM current_preference_labels p JOIN session_turn t ON t.turn_id = p.anchor_turn_id
    JOIN session s ON s.session_id = t.session_id
    WHERE p.source = 'human' AND NOT p.adjudicates AND (%(scope)s::text IS NULL OR s.scope = %(scope)s)),
labels AS (SELECT * FROM ratings UNION ALL SELECT * FROM preferences),
judged AS (
    SELECT reviewer, count(*) AS labels, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
           count(*) FILTER (WHERE first) AS first, count(first) AS preferred
    FROM labels GROUP BY reviewer),
held AS (
    SELECT l.reviewer, count(*) FILTER (WHERE l.ended = 'skipped') AS skipped,
           count(*) FILTER (WHERE l.ended = 'expired') AS expired, count(*) FILTER (WHERE l.ended IS NULL) AS held
    FROM review_leases l JOIN human_sample_queue q USING (item_id)
    WHERE %(scope)s::text IS NULL OR q.scope = %(scope)s GROUP BY l.reviewer),
acted AS (
    SELECT a.reviewer, count(*) FILTER (WHERE a.act = 'changed') AS changed, count(*) FILTER (WHERE a.act = 'undone') AS undone,
           count(*) FILTER (WHERE a.act = 'flagged' AND a.undone_by IS NULL) AS flagged
    FROM review_acts a JOIN human_sample_queue q USING (item_id)
    WHERE (%(scope)s::text IS NULL OR q.scope = %(scope)s) AND a.act IN ('changed', 'undone', 'flagged')
    GROUP BY a.reviewer),
known AS (
    SELECT r.reviewer, count(*) AS gold, count(*) FILTER (WHERE is_right) AS gold_right
    FROM gold_results r JOIN human_sample_queue q USING (item_id)
    WHERE %(scope)s::text IS NULL OR q.scope = %(scope)s GROUP BY r.reviewer)
SELECT reviewer, coalesce(labels, 0) AS labels, median_seconds, coalesce(first, 0) AS first,
       coalesce(preferred, 0) AS preferred, coalesce(skipped, 0) AS skipped, coalesce(expired, 0) AS expired,
       coalesce(held, 0) AS held, coalesce(changed, 0) AS changed, coalesce(undone, 0) AS undone,
       coalesce(flagged, 0) AS flagged, coalesce(gold, 0) AS gold, coalesce(gold_right, 0) AS gold_right
FROM judged FULL JOIN held USING (reviewer) FULL JOIN acted USING (reviewer) FULL JOIN known USING (reviewer)
ORDER BY labels DESC, reviewer;
