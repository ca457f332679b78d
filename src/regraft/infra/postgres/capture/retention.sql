-- Raw bytes that reconstruct nothing else, by their age.

-- name: resolved
-- Calls that were in quarantine and are stored by now: the copy that was kept of them.
SELECT count(*) AS rows, coalesce(sum(octet_length(event)), 0)::bigint AS bytes FROM quarantine
WHERE resolved_at < %(before)s AND dismissed_because IS NULL AND octet_length(event) > 0;

-- name: drop_resolved
-- See resolved; a batch.
UPDATE quarantine SET event = '' WHERE event_id IN (
    SELECT event_id FROM quarantine
    WHERE resolved_at < %(before)s AND dismissed_because IS NULL AND octet_length(event) > 0
    ORDER BY event_id LIMIT %(limit)s);

-- name: unreadable
-- Calls that cannot be read and wait for nothing: there is no other copy of them.
SELECT count(*) AS rows, coalesce(sum(octet_length(event)), 0)::bigint AS bytes FROM quarantine
WHERE (resolved_at IS NULL OR dismissed_because IS NOT NULL) AND waits_for IS NULL AND received_at < %(before)s
  AND octet_length(event) > 0;

-- name: drop_unreadable
-- See unreadable; a batch.
UPDATE quarantine SET event = '', reason = 'removed by age', resolved_at = now() WHERE event_id IN (
    SELECT event_id FROM quarantine
    WHERE (resolved_at IS NULL OR dismissed_because IS NOT NULL) AND waits_for IS NULL AND received_at < %(before)s
  AND octet_length(event) > 0
    ORDER BY event_id LIMIT %(limit)s);

-- name: answers
-- What servers wrote around their answers (ids, timings, logprobs): no history, replay or data set is made from it.
-- The keys that keep it are looked for as text: ``->`` fails where a text has half a surrogate pair.
SELECT count(*) AS rows, coalesce(sum(octet_length(answer_rest::text)), 0)::bigint AS bytes FROM pipeline_event_inbox
WHERE started_at < %(before)s AND octet_length(answer_rest::text) > 2
  AND answer_rest::text !~ '"(import|unattributed|removed|erased)":';

-- name: drop_answers
-- See answers; a batch. What an importer noted there stays, as it says what is missing of a history, and so do
-- pieces of answers that could not be put in their place: there is no other copy of them.
UPDATE pipeline_event_inbox SET answer_rest = '{"removed":"age"}' WHERE event_id IN (
    SELECT event_id FROM pipeline_event_inbox
    WHERE started_at < %(before)s AND octet_length(answer_rest::text) > 2
      AND answer_rest::text !~ '"(import|unattributed|removed|erased)":'
    ORDER BY started_at LIMIT %(limit)s);
