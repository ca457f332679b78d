-- What a list of sessions is filtered, sorted and counted by is kept with each session: made by the builder from the
-- session's runs and nodes, so that a page of 100,000 sessions is an index scan.
ALTER TABLE conversation_sessions
    ADD COLUMN replays        integer NOT NULL DEFAULT 0,
    ADD COLUMN errors         integer NOT NULL DEFAULT 0,    -- runs that did not end well
    ADD COLUMN models         text[] NOT NULL DEFAULT '{}',
    ADD COLUMN purposes       text[] NOT NULL DEFAULT '{}',
    ADD COLUMN kinds          text[] NOT NULL DEFAULT '{}',  -- of its branches; not root and continuation
    ADD COLUMN is_side        boolean NOT NULL DEFAULT false, -- every call is a side call of a client, or one of a judge
    ADD COLUMN reward         double precision,              -- what outcome_of_session says
    ADD COLUMN reward_source  text;

-- What the runs, nodes and feedback of a session come to.
CREATE FUNCTION session_figures(wanted uuid)
RETURNS TABLE (replays integer, errors integer, models text[], purposes text[], kinds text[], is_side boolean,
               reward double precision, reward_source text)
LANGUAGE sql STABLE AS $$
    SELECT run.replays, run.errors, run.models, run.purposes, node.kinds, run.is_side, o.reward, o.source
    FROM (SELECT (count(*) FILTER (WHERE r.purpose = 'replay'))::integer AS replays,
              (count(*) FILTER (WHERE r.run_status <> 'ok'))::integer AS errors,
              coalesce(array_agg(DISTINCT r.model ORDER BY r.model), '{}') AS models,
              coalesce(array_agg(DISTINCT r.purpose ORDER BY r.purpose), '{}') AS purposes,
              coalesce(bool_and(left(r.purpose, 5) = 'side:' OR r.purpose = 'judge'), false) AS is_side
          FROM execution_run_records r WHERE r.session_id = wanted) AS run
    CROSS JOIN (SELECT coalesce(array_agg(DISTINCT n.branch_kind ORDER BY n.branch_kind)
                                FILTER (WHERE n.branch_kind NOT IN ('root', 'continuation')), '{}') AS kinds
                FROM conversation_branch_nodes n WHERE n.session_id = wanted) AS node
    LEFT JOIN LATERAL outcome_of_session(wanted) AS o ON true
$$;

UPDATE conversation_sessions s SET replays = f.replays, errors = f.errors, models = f.models, purposes = f.purposes,
    kinds = f.kinds, is_side = f.is_side, reward = f.reward, reward_source = f.reward_source
FROM conversation_sessions o CROSS JOIN LATERAL session_figures(o.session_id) AS f WHERE o.session_id = s.session_id;

-- Sessions whose outcome has to be looked up again, because feedback came, changed or went.
CREATE TABLE session_outcome_queue (session_id uuid NOT NULL);
CREATE FUNCTION queue_session_outcomes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_outcome_queue
    SELECT DISTINCT claimed.session_id
    FROM changed c CROSS JOIN LATERAL (VALUES (c.session_id), (c.session_claim)) AS claimed (session_id)
    WHERE c.turn_id IS NULL AND c.name IN ('reward', 'rating') AND claimed.session_id IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER feedback_came AFTER INSERT ON feedback REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION queue_session_outcomes();
CREATE TRIGGER feedback_changed AFTER UPDATE ON feedback REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION queue_session_outcomes();
CREATE TRIGGER feedback_went AFTER DELETE ON feedback REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION queue_session_outcomes();

-- Which conditions of a filter a session does not meet, as bits: 0 is all met. A facet counts the sessions that miss none
-- but its own condition. `f` holds what is asked for; a key that is not there asks for nothing.
CREATE FUNCTION session_misses(s conversation_sessions, f jsonb) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN f -> 'themes' IS NULL OR (f -> 'themes') ? coalesce(s.theme_id::text, '') THEN 0 ELSE 1 END
         | CASE WHEN f -> 'models' IS NULL OR (f -> 'models') ?| s.models THEN 0 ELSE 2 END
         | CASE WHEN f -> 'purposes' IS NULL OR (f -> 'purposes') ?| s.purposes THEN 0 ELSE 4 END
         | CASE WHEN f -> 'kinds' IS NULL OR (f -> 'kinds') ?| s.kinds THEN 0 ELSE 8 END
         | CASE WHEN f -> 'side' IS NULL OR (f ->> 'side')::boolean = s.is_side THEN 0 ELSE 16 END
         | CASE WHEN f -> 'errors' IS NULL OR (f ->> 'errors')::boolean = (s.errors > 0) THEN 0 ELSE 32 END
         | CASE WHEN f -> 'replays' IS NULL OR (f ->> 'replays')::boolean = (s.replays > 0) THEN 0 ELSE 64 END
         | CASE WHEN (f -> 'least' IS NULL OR s.reward >= (f ->> 'least')::double precision)
                 AND (f -> 'most' IS NULL OR s.reward <= (f ->> 'most')::double precision)
                 AND (f -> 'judged' IS NULL OR (f ->> 'judged')::boolean = (s.reward IS NOT NULL)) THEN 0 ELSE 128 END
         | CASE WHEN (f -> 'since' IS NULL OR s.last_turn_at >= to_timestamp((f ->> 'since')::double precision))
                 AND (f -> 'until' IS NULL OR s.last_turn_at < to_timestamp((f ->> 'until')::double precision))
                THEN 0 ELSE 256 END
$$;

DROP INDEX conversation_sessions_recent;
CREATE INDEX conversation_sessions_recent ON conversation_sessions (last_turn_at, session_id);
CREATE INDEX conversation_sessions_started ON conversation_sessions (started_at, session_id);
CREATE INDEX conversation_sessions_turns ON conversation_sessions (turns, session_id);
CREATE INDEX conversation_sessions_errors ON conversation_sessions (errors, session_id);
CREATE INDEX conversation_sessions_reward ON conversation_sessions (reward, session_id) WHERE reward IS NOT NULL;
