-- Who holds an item of the review queue, and what became of it.

-- name: expired
-- Leases that have run out.
SELECT lease_id, item_id FROM review_leases
WHERE ended IS NULL AND expires_at < %(now)s ORDER BY item_id LIMIT 500;

-- name: lock_items
-- Items are locked in the order of their ids, before their leases.
SELECT item_id FROM human_sample_queue WHERE item_id = ANY(%(items)s::uuid[]) ORDER BY item_id FOR UPDATE;

-- name: lock_subject
-- The items for a subject.
SELECT item_id FROM human_sample_queue WHERE subject_id = %(subject_id)s AND kind = %(kind)s ORDER BY item_id FOR UPDATE;

-- name: expire
-- End leases that have run out and were not renewed meanwhile.
UPDATE review_leases SET ended = 'expired', ended_at = %(now)s
WHERE lease_id = ANY(%(leases)s::uuid[]) AND ended IS NULL AND expires_at < %(now)s;

-- name: recount
-- Count what became of locked items. A complete item is closed, as is one that too many would not judge; one that lacks
-- a judgement again is open.
UPDATE human_sample_queue q
SET done = c.done, leased = c.leased, skips = c.skips,
    closed_because = n.because, closed_at = CASE WHEN n.because IS NOT NULL THEN coalesce(q.closed_at, %(now)s) END
FROM (
    SELECT i.item_id,
        CASE i.kind
            WHEN 'unit' THEN (SELECT count(DISTINCT reviewer) FROM current_human_eval_labels l
                              WHERE l.unit_id = i.subject_id AND NOT l.adjudicates)
            ELSE (SELECT count(DISTINCT decided_by) FROM current_preference_labels l
                  WHERE l.pair_id = i.subject_id AND l.source = 'human' AND NOT l.adjudicates) END AS done,
        (SELECT count(*) FROM review_leases l WHERE l.item_id = i.item_id AND l.ended IS NULL) AS leased,
        (SELECT count(DISTINCT reviewer) FROM review_leases l WHERE l.item_id = i.item_id AND l.ended = 'skipped') AS skips
    FROM human_sample_queue i WHERE i.item_id = ANY(%(items)s::uuid[])) AS c
CROSS JOIN LATERAL (
    SELECT CASE WHEN o.closed_because IN ('gone', 'gold', 'withdrawn', 'erased') THEN o.closed_because
                WHEN o.share = 'gold' THEN NULL
                WHEN c.done >= o.needed THEN 'complete'
                WHEN c.skips >= %(max_skips)s AND c.done = 0 THEN 'skipped' END AS because
    FROM human_sample_queue o WHERE o.item_id = c.item_id) AS n
WHERE q.item_id = c.item_id;

-- name: begin_claim
-- Claims of one reviewer wait for one another: two pages of theirs are not given the same item. A claim need not be on
-- disk when it ends: one that a crash loses is claimed again. Says whether a lease has run out.
SELECT pg_advisory_xact_lock(7267426, hashtext(%(reviewer)s)), set_config('synchronous_commit', 'off', true),
       EXISTS (SELECT FROM review_leases WHERE ended IS NULL AND expires_at < %(now)s) AS found;

-- name: held
-- What a reviewer holds, the oldest first.
SELECT l.lease_id, l.expires_at, l.shown_first, l.draft, q.*,
       EXISTS (SELECT FROM review_acts a WHERE a.item_id = l.item_id AND a.reviewer = l.reviewer AND a.act = 'flagged'
               AND a.undone_by IS NULL) AS flagged
FROM review_leases l JOIN human_sample_queue q USING (item_id)
WHERE l.reviewer = %(reviewer)s AND l.ended IS NULL AND (%(scope)s::text IS NULL OR q.scope = %(scope)s)
ORDER BY l.claimed_at, l.lease_id;

-- name: claim
-- Give a reviewer the next item of a share that has room and that they did not judge or skip. Items that others are
-- being given at this moment are passed over. Leases are counted, and not joined, so that each is one probe of an index
-- whatever the planner knows of a table that grows all day.
WITH next AS (
    SELECT q.item_id FROM human_sample_queue q
    WHERE q.closed_at IS NULL AND q.share = %(share)s AND q.done + q.leased < q.needed
      AND (%(scope)s::text IS NULL OR q.scope = %(scope)s) AND (%(kind)s::text IS NULL OR q.kind = %(kind)s)
      AND (%(theme)s::text IS NULL OR q.theme = %(theme)s)
      AND (%(session_id)s::uuid IS NULL OR q.session_id = %(session_id)s)
      AND (%(cluster_id)s::text IS NULL OR starts_with(q.cluster_id, %(cluster_id)s))
      AND (%(category)s::text IS NULL OR q.category = %(category)s)
      AND (SELECT count(*) FROM review_leases l
           WHERE l.item_id = q.item_id AND l.reviewer = %(reviewer)s
             AND (l.ended IS NULL OR l.ended IN ('submitted', 'skipped'))) = 0
    ORDER BY q.place, q.item_id LIMIT 1 FOR UPDATE OF q SKIP LOCKED),
taken AS (
    UPDATE human_sample_queue q SET leased = leased + 1 FROM next WHERE q.item_id = next.item_id RETURNING q.*),
lease AS (
    INSERT INTO review_leases (lease_id, item_id, reviewer, claimed_at, expires_at, shown_first)
    SELECT %(lease_id)s, item_id, %(reviewer)s, %(now)s, %(expires_at)s, %(shown_first)s FROM taken
    RETURNING lease_id, expires_at, shown_first, draft)
SELECT lease.*, false AS flagged, taken.* FROM lease CROSS JOIN taken;

-- name: item_of_lease
-- The item that a lease is of.
SELECT l.item_id, l.reviewer, q.scope FROM review_leases l JOIN human_sample_queue q USING (item_id)
WHERE l.lease_id = %(lease_id)s;

-- name: lease
-- A lease with its item.
SELECT l.lease_id, l.reviewer, l.claimed_at, l.expires_at, l.shown_first, l.shown_hash, l.draft, l.ended, l.ended_at,
       l.label_id, q.*,
       EXISTS (SELECT FROM review_acts a WHERE a.item_id = l.item_id AND a.reviewer = l.reviewer AND a.act = 'flagged'
               AND a.undone_by IS NULL) AS flagged
FROM review_leases l JOIN human_sample_queue q USING (item_id) WHERE l.lease_id = %(lease_id)s FOR UPDATE OF l;

-- name: holds_another
-- Whether the reviewer has a lease of the same item that counts, beside this one.
SELECT EXISTS (SELECT FROM review_leases o JOIN review_leases l USING (item_id, reviewer)
               WHERE l.lease_id = %(lease_id)s AND o.lease_id <> l.lease_id
                 AND (o.ended IS NULL OR o.ended IN ('submitted', 'skipped'))) AS found;

-- name: show
-- What was shown with a lease.
UPDATE review_leases SET shown_hash = %(shown_hash)s
WHERE lease_id = %(lease_id)s AND shown_hash IS DISTINCT FROM %(shown_hash)s;

-- name: end_lease
-- A lease ends.
UPDATE review_leases SET ended = %(ended)s, ended_at = %(now)s, label_id = %(label_id)s, draft = NULL
WHERE lease_id = %(lease_id)s;

-- name: reopen_lease
-- A lease is held again, with what its reviewer said as the draft.
UPDATE review_leases SET ended = NULL, ended_at = NULL, label_id = NULL, expires_at = %(expires_at)s, draft = %(draft)s
WHERE lease_id = %(lease_id)s;

-- name: renew
-- Hold a lease for longer.
UPDATE review_leases SET expires_at = %(expires_at)s WHERE lease_id = %(lease_id)s;

-- name: save_draft
-- An unfinished answer; the lease is held for longer.
UPDATE review_leases SET draft = %(draft)s, expires_at = %(expires_at)s WHERE lease_id = %(lease_id)s;

-- name: held_leases
-- Leases that a reviewer holds, or all.
SELECT lease_id, item_id, reviewer FROM review_leases
WHERE ended IS NULL AND (%(reviewer)s::text IS NULL OR reviewer = %(reviewer)s) ORDER BY item_id;

-- name: add_act
-- What a reviewer did.
INSERT INTO review_acts (act_id, act, item_id, lease_id, label_id, reviewer, reason, note, at)
VALUES (%(act_id)s, %(act)s, %(item_id)s, %(lease_id)s, %(label_id)s, %(reviewer)s, %(reason)s, %(note)s, %(at)s);

-- name: last_act
-- The latest act of a reviewer that can be undone: one that was not, of a lease if one is given.
SELECT a.act_id, a.act, a.lease_id, a.item_id, a.label_id FROM review_acts a
JOIN human_sample_queue q USING (item_id)
WHERE a.reviewer = %(reviewer)s AND a.act IN ('submitted', 'changed', 'skipped') AND a.undone_by IS NULL
  AND (%(lease_id)s::uuid IS NULL OR a.lease_id = %(lease_id)s) AND (%(scope)s::text IS NULL OR q.scope = %(scope)s)
ORDER BY a.at DESC, a.act_id DESC LIMIT 1;

-- name: mark_undone
-- An act was undone.
UPDATE review_acts SET undone_by = %(by)s WHERE act_id = %(act_id)s AND undone_by IS NULL;

-- name: withdraw_flags
-- The flags of a reviewer on an item do not count any more.
UPDATE review_acts SET undone_by = %(by)s
WHERE item_id = %(item_id)s AND reviewer = %(reviewer)s AND act = 'flagged' AND undone_by IS NULL;

-- name: my_progress
-- What one reviewer did, and how many items wait for them.
SELECT count(*) FILTER (WHERE l.ended = 'submitted') AS submitted,
       count(*) FILTER (WHERE l.ended = 'submitted' AND l.ended_at >= %(since)s) AS submitted_today,
       count(*) FILTER (WHERE l.ended = 'skipped') AS skipped,
       count(*) FILTER (WHERE l.ended IS NULL) AS held,
       (SELECT count(*) FROM review_acts a JOIN human_sample_queue i USING (item_id)
        WHERE a.reviewer = %(reviewer)s AND a.act = 'flagged' AND a.undone_by IS NULL
          AND (%(scope)s::text IS NULL OR i.scope = %(scope)s)) AS flagged
FROM review_leases l JOIN human_sample_queue q USING (item_id)
WHERE l.reviewer = %(reviewer)s AND (%(scope)s::text IS NULL OR q.scope = %(scope)s);

-- name: waiting
-- By kind and theme: how many items are open for a reviewer. Gold items are among them only while they are unanswered.
SELECT q.kind, q.theme, count(*) AS waiting FROM human_sample_queue q
WHERE q.closed_at IS NULL AND q.share <> 'gold' AND q.done + q.leased < q.needed
  AND (%(scope)s::text IS NULL OR q.scope = %(scope)s) AND (%(kind)s::text IS NULL OR q.kind = %(kind)s)
  AND (%(theme)s::text IS NULL OR q.theme = %(theme)s)
  AND (%(session_id)s::uuid IS NULL OR q.session_id = %(session_id)s)
  AND (%(cluster_id)s::text IS NULL OR starts_with(q.cluster_id, %(cluster_id)s))
  AND (%(category)s::text IS NULL OR q.category = %(category)s)
  AND NOT EXISTS (SELECT FROM review_leases l WHERE l.item_id = q.item_id AND l.reviewer = %(reviewer)s
                  AND (l.ended IS NULL OR l.ended IN ('submitted', 'skipped')))
GROUP BY q.kind, q.theme ORDER BY q.kind, q.theme;

-- name: close_item
-- An item that must not be given to anybody.
UPDATE human_sample_queue SET closed_at = %(now)s, closed_because = %(because)s WHERE item_id = %(item_id)s;

-- name: release
-- Held leases end without an answer.
UPDATE review_leases SET ended = 'released', ended_at = %(now)s
WHERE lease_id = ANY(%(leases)s::uuid[]) AND ended IS NULL;

-- name: settle_held
-- A reviewer judged items without their leases: what they held or had answered of them is answered now.
UPDATE review_leases SET ended = 'submitted', ended_at = %(now)s, label_id = %(label_id)s, draft = NULL
WHERE item_id = ANY(%(items)s::uuid[]) AND reviewer = %(reviewer)s
  AND (ended IS NULL OR ended IN ('submitted', 'skipped'));

-- name: settle
-- And items that they had no lease of.
INSERT INTO review_leases (lease_id, item_id, reviewer, claimed_at, expires_at, shown_first, ended_at, ended, label_id)
SELECT gen_random_uuid(), item_id, %(reviewer)s, %(now)s, %(now)s, 'a', %(now)s, 'submitted', %(label_id)s
FROM unnest(%(items)s::uuid[]) AS i (item_id) ON CONFLICT DO NOTHING;
