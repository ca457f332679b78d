-- Queries of the quarantine: calls that could not be read, and calls that wait for another.

-- name: any_waits
-- Whether any call waits at all: one look at an index, so that a batch pays nothing for an empty waiting room.
SELECT EXISTS (SELECT FROM quarantine WHERE resolved_at IS NULL AND waits_for IS NOT NULL) AS waits;

-- name: waiting_for
-- Calls that wait for one of these; another process's are left to it.
SELECT event_id, event, received_at FROM quarantine
WHERE waits_for = ANY(%(keys)s::text[]) AND resolved_at IS NULL
ORDER BY received_at, event_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: due
-- Calls whose time for another try has come: for those that were stored beside what they wait for, and for old ones.
SELECT event_id, event, received_at FROM quarantine
WHERE waits_for IS NOT NULL AND resolved_at IS NULL AND next_try_at <= now()
ORDER BY next_try_at, event_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: unresolved
-- Calls in quarantine behind an id, in the order of ids: all of them, or only those that wait.
SELECT event_id, event, received_at FROM quarantine
WHERE resolved_at IS NULL AND (%(everything)s OR waits_for IS NOT NULL) AND event_id > %(after)s
ORDER BY event_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: any_slow
-- Whether any call is to be read with more time.
SELECT EXISTS (
    SELECT FROM quarantine WHERE resolved_at IS NULL AND waits_for IS NULL AND reason LIKE 'slow:%%' AND tries < 3
) AS slow;

-- name: take_slow
-- The oldest call that is to be read with more time, counted before it is tried: it may end the process that reads it.
UPDATE quarantine SET tries = tries + 1
WHERE event_id = (
    SELECT event_id FROM quarantine
    WHERE resolved_at IS NULL AND waits_for IS NULL AND reason LIKE 'slow:%%' AND tries < 3
    ORDER BY tries, received_at, event_id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING event_id, event, received_at;

-- name: resolve
-- These are stored now.
UPDATE quarantine SET resolved_at = now(), waits_for = NULL, next_try_at = NULL
WHERE event_id = ANY(%(events)b::uuid[]);

-- name: postpone
-- These still wait, each time for twice as long, up to ten minutes. What a call waits for may have become another.
UPDATE quarantine q SET reason = still.reason, waits_for = still.waits_for, tries = q.tries + 1,
    next_try_at = now() + least(interval '5 seconds' * power(2, least(q.tries + 1, 10)), interval '10 minutes')
FROM unnest(%(events)b::uuid[], %(reasons)s::text[], %(keys)s::text[]) AS still (event_id, reason, waits_for)
WHERE q.event_id = still.event_id;

-- name: refuse
-- These cannot be read, and wait no longer.
UPDATE quarantine q SET reason = refused.reason, waits_for = NULL, next_try_at = NULL, tries = q.tries + 1
FROM unnest(%(events)b::uuid[], %(reasons)s::text[]) AS refused (event_id, reason)
WHERE q.event_id = refused.event_id;

-- name: dismiss
-- These are looked at, and are counted no longer; calls that wait for another are left alone.
UPDATE quarantine SET resolved_at = now(), dismissed_because = %(because)s
WHERE resolved_at IS NULL AND waits_for IS NULL
  AND (%(events)s::uuid[] IS NULL OR event_id = ANY(%(events)s::uuid[]));

-- name: resolve_id
-- Unreadable calls whose id starts like this, two at most.
SELECT event_id FROM quarantine
WHERE resolved_at IS NULL AND waits_for IS NULL AND starts_with(event_id::text, %(start)s) ORDER BY event_id LIMIT 2;

-- name: listing
-- What is in quarantine, or was dismissed from it, the latest first.
SELECT event_id, reason, waits_for, received_at, tries, next_try_at, octet_length(event) AS bytes, dismissed_because
FROM quarantine
WHERE CASE WHEN %(dismissed)s THEN dismissed_because IS NOT NULL ELSE resolved_at IS NULL END
  AND (NOT %(waiting)s OR waits_for IS NOT NULL)
ORDER BY received_at DESC, event_id LIMIT %(limit)s;

-- name: reasons
-- How much is in quarantine, by the beginning of its reason.
SELECT CASE WHEN waits_for IS NULL AND reason LIKE 'refused:%%' THEN 'refused by the model server'
            WHEN waits_for IS NULL AND NOT (reason LIKE 'slow:%%' AND tries < 3) THEN 'unreadable'
            ELSE split_part(reason, ' ', 1) END AS code, count(*) AS calls
FROM quarantine WHERE resolved_at IS NULL GROUP BY 1 ORDER BY 2 DESC, 1;
