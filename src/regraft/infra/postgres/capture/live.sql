-- Calls as they are stored: what a person who watches the traffic sees.

-- name: calls
-- Stored calls with numbers above `after`, up to `newest`, in their order; the latest of them when there are more than
-- `most`. The question is the last message of the request, if a person or a program wrote it.
SELECT * FROM (
    SELECT e.seq, e.event_id, e.received_at, e.started_at, e.duration_ms, e.first_byte_ms, e.scope, e.endpoint, e.upstream,
        e.purpose, coalesce(e.model_answered, e.model_requested, '') AS model, e.http_status, e.cut,
        e.error IS NOT NULL AS told_error, e.streamed, e.attempt, e.final,
        stored_text(e.identity, 'theme') AS theme, stored_text(e.identity, 'task') AS task,
        stored_text(e.identity, 'plan') AS plan, stored_text(e.identity, 'client') AS client,
        stored_text(e.identity, 'agent') AS agent,
        coalesce(usage_count(e.usage, 'prompt_tokens'),
                 usage_count(e.usage, 'input_tokens')
                 + coalesce(usage_count(e.usage, 'cache_read_input_tokens'), 0)
                 + coalesce(usage_count(e.usage, 'cache_creation_input_tokens'), 0)) AS prompt_tokens,
        coalesce(usage_count(e.usage, 'completion_tokens'), usage_count(e.usage, 'output_tokens')) AS completion_tokens,
        t.session_id, t.node_id, coalesce(t.tool_calls, 0) AS tool_calls,
        left(message_text(asked.body), %(longest)s) AS question
    FROM pipeline_event_inbox e
    LEFT JOIN LATERAL (
        SELECT session_id, node_id, tool_calls FROM session_turn WHERE event_id = e.event_id
        ORDER BY choice_index LIMIT 1) AS t ON true
    LEFT JOIN context c ON c.context_id = e.context_id
    LEFT JOIN message asked ON asked.message_id = c.message_id AND asked.role = 'user'
    WHERE e.seq > %(after)s AND e.seq <= %(newest)s AND (%(scope)s::text IS NULL OR e.scope = %(scope)s)
    ORDER BY e.seq DESC LIMIT %(most)s) AS latest
ORDER BY seq;

-- name: newest
-- The highest number that a stored call has; 0 while there is none.
SELECT coalesce(max(seq), 0) AS seq FROM pipeline_event_inbox;

-- name: numbers
-- Which numbers of a range are stored calls of a tenant.
SELECT seq FROM pipeline_event_inbox
WHERE seq > %(after)s AND seq <= %(newest)s AND (%(scope)s::text IS NULL OR scope = %(scope)s);

-- name: upstreams
-- The calls of a while, by model server: how many, how many failed or were cut, and how long they took in milliseconds.
-- Durations are of answers that came whole.
SELECT upstream, count(*) AS calls,
    count(*) FILTER (WHERE http_status NOT BETWEEN 200 AND 299 OR error IS NOT NULL) AS errors,
    count(*) FILTER (WHERE cut <> '') AS cut, count(*) FILTER (WHERE http_status = 429) AS limited,
    count(*) FILTER (WHERE NOT final) AS retried,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE http_status BETWEEN 200 AND 299 AND cut = '')
        AS median_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE http_status BETWEEN 200 AND 299 AND cut = '')
        AS p95_ms,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY first_byte_ms) FILTER (WHERE http_status BETWEEN 200 AND 299 AND cut = '')
        AS median_first_byte_ms,
    max(started_at) AS last_at,
    max(started_at) FILTER (WHERE http_status NOT BETWEEN 200 AND 299 OR error IS NOT NULL) AS last_error_at
FROM pipeline_event_inbox
WHERE seq > %(after)s AND received_at > now() - make_interval(secs => %(seconds)s)
    AND (%(scope)s::text IS NULL OR scope = %(scope)s)
GROUP BY upstream ORDER BY upstream;

-- name: traffic
-- The calls of a while, imports left out: how many, how many failed or were cut, how long whole answers took, and how
-- long ago the latest call of all was stored.
SELECT count(*) FILTER (WHERE recent) AS calls,
    count(*) FILTER (WHERE recent AND (http_status NOT BETWEEN 200 AND 299 OR error IS NOT NULL OR cut <> '')) AS failed,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms)
        FILTER (WHERE recent AND http_status BETWEEN 200 AND 299 AND cut = '') / 1000 AS p95_seconds,
    extract(epoch FROM now() - max(received_at))::float8 AS newest_seconds
FROM (SELECT *, received_at > now() - make_interval(secs => %(seconds)s) AS recent FROM pipeline_event_inbox
      WHERE seq > %(after)s AND purpose IS DISTINCT FROM 'import') AS calls;
