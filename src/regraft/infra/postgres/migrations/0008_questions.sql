-- What a person asks with psql: a view or a function for each question (docs/how-to/sql.md has an example of each),
-- and the indexes that keep them cheap.

CREATE INDEX feedback_session_claim ON feedback (session_claim) WHERE session_claim IS NOT NULL;
CREATE INDEX pipeline_event_inbox_failed ON pipeline_event_inbox (upstream, started_at)
    WHERE http_status NOT BETWEEN 200 AND 299 OR error IS NOT NULL OR cut <> '';
CREATE INDEX session_turn_calling ON session_turn (started_at) WHERE tool_calls > 0;
CREATE INDEX execution_run_records_task ON execution_run_records USING hash (task_key) WHERE task_key IS NOT NULL;
CREATE INDEX execution_run_records_replays ON execution_run_records (started_at) WHERE purpose = 'replay';
CREATE INDEX execution_run_records_duration ON execution_run_records (duration_ms DESC);
CREATE INDEX conversation_sessions_theme ON conversation_sessions (theme_id, last_turn_at DESC)
    WHERE theme_id IS NOT NULL;
-- Time goes up with the order of the rows, nearly: ranges of pages are enough, and cost the builder next to nothing.
CREATE INDEX execution_run_records_day ON execution_run_records USING brin (((started_at AT TIME ZONE 'UTC')::date));

-- A function with an exception handler opens a subtransaction, which a parallel query refuses, and which costs more than
-- reading the text: most messages are one string that PostgreSQL can hold, and need none.
ALTER FUNCTION message_text(json) RENAME TO message_text_with_care;
ALTER FUNCTION message_text_with_care(json) PARALLEL UNSAFE;
CREATE FUNCTION message_text(body json) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN strpos(body::text, '\u') = 0 AND json_typeof(body -> 'content') = 'string'
                THEN body ->> 'content' ELSE message_text_with_care(body) END
$$;
ALTER FUNCTION message_words(json) PARALLEL UNSAFE;

-- One text inside a JSON value, or NULL where there is none or PostgreSQL cannot hold it (NUL, lone surrogates).
CREATE FUNCTION stored_text(body json, VARIADIC path text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN body #>> path;
EXCEPTION WHEN untranslatable_character OR invalid_text_representation OR character_not_in_repertoire THEN
    RETURN NULL;
END $$;

-- The function calls in a message, in order; NULLs for all of them where PostgreSQL cannot hold one as text.
CREATE FUNCTION message_calls(body json)
RETURNS TABLE ("position" integer, call_id text, name text, arguments text) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF json_typeof(body) = 'object' AND json_typeof(body -> 'tool_calls') = 'array' THEN
        RETURN QUERY
            SELECT one.at::integer, one.call ->> 'id',
                   coalesce(one.call -> 'function' ->> 'name', one.call -> 'custom' ->> 'name', one.call ->> 'name'),
                   coalesce(one.call -> 'function' ->> 'arguments', one.call -> 'custom' ->> 'input',
                            one.call ->> 'arguments', one.call ->> 'input')
            FROM json_array_elements(body -> 'tool_calls') WITH ORDINALITY AS one (call, at);
    ELSIF json_typeof(body) = 'object' AND json_typeof(body -> 'function_call') = 'object' THEN
        RETURN QUERY SELECT 1, NULL, body -> 'function_call' ->> 'name', body -> 'function_call' ->> 'arguments';
    END IF;
EXCEPTION WHEN untranslatable_character OR invalid_text_representation OR character_not_in_repertoire
            OR invalid_parameter_value THEN
    RETURN QUERY SELECT 1, NULL::text, NULL::text, NULL::text;
END $$;

-- ---------------------------------------------------------------------------------------------------------------
-- What came of it: the same verdicts as the views turn_outcome and session_outcome, found by index for one target.

CREATE FUNCTION outcome_of_turn(wanted uuid)
RETURNS TABLE (name text, reward double precision, comment text, source text, given_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT f.name, f.value, f.comment, f.source, f.given_at
    FROM session_turn t JOIN session s ON s.session_id = t.session_id
    JOIN feedback f ON f.turn_id = ANY(ARRAY[t.turn_id, t.node_id]) AND f.scope = s.scope
    WHERE t.turn_id = wanted AND f.name IN ('reward', 'rating')
      AND (f.turn_id = t.turn_id
           OR NOT EXISTS (SELECT FROM session_turn e WHERE e.node_id = t.node_id
                          AND (e.started_at, e.turn_id) < (t.started_at, t.turn_id)))
    ORDER BY f.name = 'reward' DESC, f.given_at DESC, f.feedback_id DESC LIMIT 1
$$;

CREATE FUNCTION outcome_of_session(wanted uuid)
RETURNS TABLE (name text, reward double precision, comment text, source text, given_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT f.name, f.value, f.comment, f.source, f.given_at
    FROM session s JOIN feedback f ON f.scope = s.scope AND f.turn_id IS NULL
        AND (f.session_id = s.session_id
             OR (f.session_claim = s.session_id
                 AND NOT EXISTS (SELECT FROM session n WHERE n.session_id = f.session_id AND n.scope = f.scope)))
    WHERE s.session_id = wanted AND f.name IN ('reward', 'rating')
    ORDER BY f.name = 'reward' DESC, f.given_at DESC, f.feedback_id DESC LIMIT 1
$$;

-- All rewards and ratings of a node's turns, and of a session as a whole, for who weighs them himself.
CREATE FUNCTION verdicts_of_node(wanted uuid)
RETURNS TABLE (feedback_id uuid, name text, value double precision, source text, given_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT f.feedback_id, f.name, f.value, f.source, f.given_at
    FROM session_turn t JOIN session s ON s.session_id = t.session_id
    JOIN feedback f ON f.turn_id = ANY(ARRAY[t.turn_id, t.node_id]) AND f.scope = s.scope
    WHERE t.node_id = wanted AND f.name IN ('reward', 'rating')
$$;

CREATE FUNCTION verdicts_of_session(wanted uuid)
RETURNS TABLE (feedback_id uuid, name text, value double precision, source text, given_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT f.feedback_id, f.name, f.value, f.source, f.given_at
    FROM session s JOIN feedback f ON f.scope = s.scope AND f.turn_id IS NULL
        AND (f.session_id = s.session_id
             OR (f.session_claim = s.session_id
                 AND NOT EXISTS (SELECT FROM session n WHERE n.session_id = f.session_id AND n.scope = f.scope)))
    WHERE s.session_id = wanted AND f.name IN ('reward', 'rating')
$$;

-- Everything that was said of a session and of its turns, the latest first.
CREATE FUNCTION session_feedback(wanted uuid)
RETURNS TABLE (turn_id uuid, node_id uuid, name text, value double precision, comment text, source text,
               given_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT NULL::uuid, NULL::uuid, f.name, f.value, f.comment, f.source, f.given_at
    FROM session s JOIN feedback f ON f.scope = s.scope AND f.turn_id IS NULL
        AND (f.session_id = s.session_id
             OR (f.session_claim = s.session_id
                 AND NOT EXISTS (SELECT FROM session n WHERE n.session_id = f.session_id AND n.scope = f.scope)))
    WHERE s.session_id = wanted
    UNION ALL
    SELECT t.turn_id, t.node_id, f.name, f.value, f.comment, f.source, f.given_at
    FROM session s JOIN session_turn t ON t.session_id = s.session_id
    JOIN feedback f ON f.turn_id = ANY(ARRAY[t.turn_id, t.node_id]) AND f.scope = s.scope
    WHERE s.session_id = wanted
      AND (f.turn_id = t.turn_id
           OR NOT EXISTS (SELECT FROM session_turn e WHERE e.node_id = t.node_id
                          AND (e.started_at, e.turn_id) < (t.started_at, t.turn_id)))
    ORDER BY 7 DESC, 3
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- "Show me this session's tree": one line per node, in tree order: a node, then all below it, siblings by time.
-- The walk numbers the nodes: a path as text per node would take the square of a long conversation.
DROP FUNCTION session_tree(uuid);
CREATE FUNCTION session_tree(wanted uuid)
RETURNS TABLE (node_id uuid, parent_node_id uuid, depth integer, branch_kind text, model text, node_status text,
               runs integer, branch_reason text, answer text, reward double precision, reward_source text, tree text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    ids     uuid[];
    above   integer[];      -- the number of a node's parent, 0 at the root
    child   integer[];      -- its first child
    sibling integer[];      -- its next sibling
    places  integer[] := '{}';
    at      integer;
    total   integer;
BEGIN
    WITH numbered AS MATERIALIZED (
        SELECT n.node_id AS id, n.parent_node_id AS parent,
               row_number() OVER (ORDER BY n.depth, t.started_at, n.node_id)::integer AS number
        FROM conversation_branch_nodes n LEFT JOIN session_turn t ON t.turn_id = n.turn_id
        WHERE n.session_id = wanted)
    SELECT array_agg(one.id ORDER BY one.number), array_agg(coalesce(p.number, 0) ORDER BY one.number)
    INTO ids, above FROM numbered AS one LEFT JOIN numbered AS p ON p.id = one.parent;
    total := coalesce(array_length(ids, 1), 0);
    IF total = 0 THEN
        RETURN;
    END IF;
    child := array_fill(0, ARRAY[total]);
    sibling := array_fill(0, ARRAY[total]);
    places := array_fill(0, ARRAY[total]);
    FOR number IN REVERSE total..2 LOOP
        at := above[number];
        sibling[number] := child[at];
        child[at] := number;
    END LOOP;
    at := 1;
    FOR place IN 1..total LOOP
        places[at] := place;
        EXIT WHEN place = total;
        IF child[at] > 0 THEN
            at := child[at];
        ELSE
            WHILE sibling[at] = 0 LOOP
                at := above[at];
            END LOOP;
            at := sibling[at];
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT n.node_id, n.parent_node_id, n.depth, n.branch_kind, r.model, n.node_status, n.runs, n.branch_reason,
               left(message_text(m.body), 100), o.reward, o.source,
               repeat('  ', least(n.depth, 40)) || n.branch_kind
        FROM unnest(ids, places) AS walk (id, place)
        JOIN conversation_branch_nodes n ON n.node_id = walk.id
        LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
        LEFT JOIN message m ON m.message_id = r.answer_id
        LEFT JOIN LATERAL outcome_of_turn(n.turn_id) AS o ON true
        ORDER BY walk.place;
END $$;

-- All alternatives under an anchor, with the model and the answer of each.
CREATE VIEW anchor_alternatives AS
    SELECT b.context_anchor_turn_id, b.branch_index, b.turn_id, b.node_id, b.session_id, b.branch_kind, b.is_replay,
           b.same_context, b.same_tools, r.model, r.model_snapshot_id, r.run_status, r.completion_tokens,
           r.duration_ms, o.reward, o.source AS reward_source, message_text(m.body) AS answer
    FROM response_branch_records b JOIN execution_run_records r ON r.run_id = b.turn_id
    LEFT JOIN message m ON m.message_id = r.answer_id
    LEFT JOIN LATERAL outcome_of_turn(b.turn_id) AS o ON true;

-- Tokens that are paid for: per day (UTC), model and purpose. Cached tokens are among those of the prompt.
CREATE VIEW usage_per_day AS
    SELECT (started_at AT TIME ZONE 'UTC')::date AS day, model, backend, purpose, count(*) AS runs,
           count(*) FILTER (WHERE usage IS NULL) AS runs_without_usage, sum(prompt_tokens) AS prompt_tokens,
           sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
           sum(duration_ms) / 1000 AS seconds
    FROM execution_run_records
    GROUP BY (started_at AT TIME ZONE 'UTC')::date, model, backend, purpose;

-- Calls that failed or were cut, attempts that were tried again among them.
CREATE VIEW failed_calls AS
    SELECT upstream, started_at, event_id, scope, coalesce(model_answered, model_requested) AS model, purpose,
           http_status, cut, attempt, final,
           coalesce(stored_text(error, 'message'), stored_text(error, 'error', 'message'), left(error::text, 200)) AS error
    FROM pipeline_event_inbox
    WHERE http_status NOT BETWEEN 200 AND 299 OR error IS NOT NULL OR cut <> '';

-- The same, counted per upstream and kind of failure.
CREATE VIEW errors_per_upstream AS
    SELECT upstream, http_status, cut, count(*) AS calls, count(*) FILTER (WHERE final) AS seen_by_the_client,
           min(started_at) AS first_at, max(started_at) AS last_at
    FROM pipeline_event_inbox
    WHERE http_status NOT BETWEEN 200 AND 299 OR error IS NOT NULL OR cut <> ''
    GROUP BY upstream, http_status, cut;

-- The tool calls of one answer with their results: those of the first call that goes on from that answer, found by
-- the id of the tool call, else by their order.
CREATE FUNCTION turn_tool_calls(wanted uuid)
RETURNS TABLE ("position" integer, call_id text, name text, arguments text, result text, result_turn_id uuid,
               seconds double precision)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE asked AS (
        SELECT t.session_id, t.answer_projection, t.started_at, e.duration_ms, m.body
        FROM session_turn t JOIN pipeline_event_inbox e USING (event_id) JOIN message m ON m.message_id = t.answer_id
        WHERE t.turn_id = wanted),
    next AS (
        SELECT n.turn_id, n.context_id,
               greatest(0, extract(epoch FROM n.started_at - a.started_at) - a.duration_ms / 1000) AS seconds
        FROM asked a JOIN session_lineage l ON l.session_id = a.session_id AND l.awaited_projection = a.answer_projection
        JOIN session_turn n ON n.turn_id = l.turn_id
        ORDER BY n.started_at, n.turn_id LIMIT 1),
    tail AS (
        SELECT c.parent_id, c.depth, m.role, m.body
        FROM next JOIN context c ON c.context_id = next.context_id JOIN message m USING (message_id)
        WHERE m.role <> 'assistant'
        UNION ALL
        SELECT c.parent_id, c.depth, m.role, m.body
        FROM tail JOIN context c ON c.context_id = tail.parent_id JOIN message m USING (message_id)
        WHERE m.role <> 'assistant'),
    results AS (
        SELECT row_number() OVER (ORDER BY depth) AS "position", stored_text(body, 'tool_call_id') AS call_id, body
        FROM tail WHERE role IN ('tool', 'function')),
    calls AS (
        SELECT c.* FROM asked CROSS JOIN LATERAL message_calls(asked.body) AS c)
    SELECT c."position", c.call_id, c.name, c.arguments, message_text(r.body),
           CASE WHEN r.body IS NOT NULL THEN next.turn_id END, CASE WHEN r.body IS NOT NULL THEN next.seconds END
    FROM calls c LEFT JOIN next ON true
    LEFT JOIN LATERAL (
        SELECT one.body FROM results one
        WHERE one.call_id = c.call_id
           OR (one."position" = c."position" AND NOT EXISTS (SELECT FROM results o JOIN calls k USING (call_id)))
        ORDER BY one.call_id = c.call_id DESC NULLS LAST, one."position" LIMIT 1) AS r ON true
    ORDER BY c."position"
$$;

-- Tool calls and their results. Ask for a session, a turn, or a time.
CREATE VIEW tool_calls AS
    SELECT t.session_id, t.node_id, t.turn_id, t.started_at, c."position", c.call_id, c.name, c.arguments, c.result,
           c.result_turn_id, c.seconds
    FROM session_turn t CROSS JOIN LATERAL turn_tool_calls(t.turn_id) AS c
    WHERE t.tool_calls > 0;

-- Runs by how long they took; ORDER BY duration_ms DESC LIMIT n walks an index.
CREATE VIEW slow_calls AS
    SELECT duration_ms, first_byte_ms, completion_tokens,
           completion_tokens * 1000 / nullif(duration_ms - coalesce(first_byte_ms, 0), 0) AS tokens_per_second,
           model, backend, purpose, run_status, started_at, run_id, node_id, session_id
    FROM execution_run_records;

-- Sessions with their theme and what came of them.
CREATE VIEW session_overview AS
    SELECT s.session_id, s.scope, s.external_id, t.name AS theme, run.tasks, s.turns, s.nodes, run.replays, run.errors,
           run.models, o.reward, o.source AS reward_source, s.started_at, s.last_turn_at
    FROM conversation_sessions s LEFT JOIN seed_themes t USING (theme_id)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE r.purpose = 'replay') AS replays,
               count(*) FILTER (WHERE r.run_status <> 'ok') AS errors,
               array_agg(DISTINCT r.model ORDER BY r.model) AS models,
               array_agg(DISTINCT r.task_key ORDER BY r.task_key) FILTER (WHERE r.task_key IS NOT NULL) AS tasks
        FROM execution_run_records r WHERE r.session_id = s.session_id) AS run
    LEFT JOIN LATERAL outcome_of_session(s.session_id) AS o ON true;

-- Attempts at one task, in whichever session, with what came of each.
CREATE VIEW task_attempts AS
    SELECT a.task_key, a.session_id, a.runs, a.models, a.first_at, o.reward, o.source AS reward_source
    FROM (SELECT task_key, session_id, count(*) AS runs, array_agg(DISTINCT model ORDER BY model) AS models,
                 min(started_at) AS first_at
          FROM execution_run_records WHERE task_key IS NOT NULL GROUP BY task_key, session_id) AS a
    LEFT JOIN LATERAL outcome_of_session(a.session_id) AS o ON true;

-- Replays: what each one changed, and the answer beside that of the turn it stands under.
CREATE VIEW replayed_answers AS
    SELECT r.started_at, r.run_id, r.node_id, r.session_id, b.context_anchor_turn_id, b.branch_index, b.branch_kind,
           r.variant::text AS variant, b.variant_config AS changed, r.model, r.run_status, o.reward,
           o.source AS reward_source, message_text(m.body) AS answer, message_text(am.body) AS anchor_answer
    FROM execution_run_records r JOIN response_branch_records b ON b.turn_id = r.run_id
    JOIN session_turn a ON a.turn_id = b.context_anchor_turn_id
    LEFT JOIN message m ON m.message_id = r.answer_id LEFT JOIN message am ON am.message_id = a.answer_id
    LEFT JOIN LATERAL outcome_of_turn(r.run_id) AS o ON true
    WHERE r.purpose = 'replay';

-- Who called whom in a session: callers are the purposes of calls, then models that call tools.
CREATE VIEW who_called_whom AS
    SELECT session_id, purpose AS caller, 'model' AS callee_kind, model AS callee, count(*) AS calls,
           sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
           sum(duration_ms) / 1000 AS seconds, count(*) FILTER (WHERE run_status NOT IN ('ok', 'refused')) AS errors
    FROM execution_run_records GROUP BY session_id, purpose, model
    UNION ALL
    SELECT r.session_id, r.model, 'tool', c.name, count(*), NULL, NULL, sum(c.seconds),
           count(*) FILTER (WHERE c.result_turn_id IS NULL)
    FROM execution_run_records r CROSS JOIN LATERAL turn_tool_calls(r.run_id) AS c
    WHERE r.tool_calls > 0 GROUP BY r.session_id, r.model, c.name;

-- What is in a snapshot.
CREATE VIEW snapshot_contents AS
    SELECT h.snapshot_id, h.row_id, h.part, h.node_id, h.session_id, n.branch_kind, n.depth, r.model,
           message_text(m.body) AS answer
    FROM dataset_snapshot_nodes h LEFT JOIN conversation_branch_nodes n USING (node_id)
    LEFT JOIN execution_run_records r ON r.run_id = n.turn_id LEFT JOIN message m ON m.message_id = r.answer_id;

-- Where a node went.
CREATE VIEW node_snapshots AS
    SELECT h.node_id, h.snapshot_id, h.row_id, h.part, s.dataset, s.kind, s.created_at, s.withdrawn_at
    FROM dataset_snapshot_nodes h JOIN dataset_snapshot_registry s USING (snapshot_id);
