-- The conversation graph, derived from the execution log alone: same log + same projection version = same rows.

CREATE TABLE seed_themes (
    theme_id     uuid PRIMARY KEY,
    name         text NOT NULL,
    scope        text NOT NULL,
    description  text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    UNIQUE (scope, name)
);

CREATE TABLE conversation_sessions (
    session_id     uuid PRIMARY KEY REFERENCES session,
    scope          text NOT NULL,
    external_id    text,
    theme_id       uuid REFERENCES seed_themes,
    root_node_id   uuid NOT NULL,
    turns          integer NOT NULL,
    nodes          integer NOT NULL,
    started_at     timestamptz NOT NULL,
    last_turn_at   timestamptz NOT NULL,
    build          bigint NOT NULL                -- the build that last changed this session
);
CREATE INDEX conversation_sessions_build ON conversation_sessions (build);
CREATE INDEX conversation_sessions_recent ON conversation_sessions (last_turn_at DESC);

-- A turn's place in its session's tree. Each session has one root, which is the empty history and holds no answer.
CREATE TABLE conversation_branch_nodes (
    node_id              uuid PRIMARY KEY,
    session_id           uuid NOT NULL REFERENCES session,
    parent_node_id       uuid REFERENCES conversation_branch_nodes DEFERRABLE INITIALLY DEFERRED,
    turn_id              uuid REFERENCES session_turn,   -- the first run that gave this node; NULL at the root
    depth                integer NOT NULL CHECK (depth >= 0),
    turn_index           integer NOT NULL,               -- equal to depth; for display only, order comes from the tree
    branch_kind          text NOT NULL CHECK (branch_kind IN ('root', 'continuation', 'retry', 'model_variant',
                             'sampling_variant', 'prompt_variant', 'tool_variant', 'taskify_variant', 'compaction')),
    branch_reason        text NOT NULL,
    variant_config       jsonb NOT NULL,
    node_status          text NOT NULL,
    context_snapshot_id  bytea NOT NULL,                 -- the root's is the empty digest ''
    parent_evidence      text NOT NULL,                  -- root, explicit_header, prefix, longest_prefix, opening or unmatched
    runs                 integer NOT NULL,
    CHECK ((branch_kind = 'root') = (parent_node_id IS NULL)),
    CHECK ((branch_kind = 'root') = (depth = 0))
);
CREATE INDEX conversation_branch_nodes_parent ON conversation_branch_nodes (parent_node_id);
-- Places that a late arrival may still improve.
CREATE INDEX conversation_branch_nodes_unsettled ON conversation_branch_nodes (session_id)
    WHERE parent_evidence IN ('longest_prefix', 'unmatched');
CREATE INDEX conversation_branch_nodes_session ON conversation_branch_nodes (session_id, depth);

-- One execution fact per turn: an original and a replay have equally full records, both from the inbox.
CREATE TABLE execution_run_records (
    run_id               uuid PRIMARY KEY REFERENCES session_turn,
    session_id           uuid NOT NULL,
    node_id              uuid NOT NULL,
    event_id             uuid NOT NULL,
    purpose              text NOT NULL,
    theme_id             uuid,
    task_key             text,
    model                text NOT NULL,
    model_snapshot_id    text NOT NULL,
    backend              text NOT NULL,
    run_status           text NOT NULL,
    finish_reason        text,
    answer_id            bytea REFERENCES message,
    prompt_tokens        integer,
    completion_tokens    integer,
    cached_tokens        integer,
    usage                json,
    duration_ms          double precision NOT NULL,
    first_byte_ms        double precision,
    error                json,
    sampling             json NOT NULL,
    tools_id             bytea,
    tool_calls           integer NOT NULL,
    variant              json,
    taskification_id     uuid,
    started_at           timestamptz NOT NULL
);
CREATE INDEX execution_run_records_node ON execution_run_records (node_id);
CREATE INDEX execution_run_records_session ON execution_run_records (session_id);

-- A run's answer as one of the alternatives under its anchor.
CREATE TABLE response_branch_records (
    turn_id                 uuid PRIMARY KEY REFERENCES session_turn,
    session_id              uuid NOT NULL,
    node_id                 uuid NOT NULL,
    parent_node_id          uuid NOT NULL,
    context_anchor_turn_id  uuid NOT NULL REFERENCES session_turn,
    branch_index            integer NOT NULL CHECK (branch_index >= 0),
    branch_kind             text NOT NULL,
    variant_config          jsonb NOT NULL,
    same_context            boolean NOT NULL,     -- made with the anchor's own history, not only grown from it
    same_tools              boolean NOT NULL,
    is_replay               boolean NOT NULL,
    UNIQUE (context_anchor_turn_id, branch_index) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX response_branch_records_node ON response_branch_records (node_id);
CREATE INDEX response_branch_records_session ON response_branch_records (session_id);

CREATE TABLE lineage_watermark (
    name                text PRIMARY KEY,
    build               bigint NOT NULL,
    turns_built         bigint NOT NULL,
    projection_version  integer NOT NULL,
    built_at            timestamptz NOT NULL
);

-- A batch of sessions handed to one orchestrated run.
CREATE TABLE pipeline_batch (
    batch_id    text PRIMARY KEY,
    pipeline    text NOT NULL,
    partitions  text[] NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------------------------------------------------------
-- What a person asks with psql.

-- The text of a message, or NULL where PostgreSQL cannot hold it as text (NUL, lone surrogates).
CREATE FUNCTION message_text(body json) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE json_typeof(body -> 'content')
        WHEN 'string' THEN body ->> 'content'
        WHEN 'array' THEN (SELECT string_agg(part ->> 'text', E'\n')
                           FROM json_array_elements(body -> 'content') AS part)
    END;
EXCEPTION WHEN untranslatable_character OR invalid_text_representation OR invalid_parameter_value
            OR character_not_in_repertoire THEN
    RETURN NULL;
END $$;

-- A context's messages from first to last, as a JSON array of exactly what crossed the wire.
CREATE FUNCTION context_messages(id bytea) RETURNS json LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH RECURSIVE up AS (
        SELECT c.context_id, c.parent_id, c.message_id, c.depth FROM context c WHERE c.context_id = id
        UNION ALL
        SELECT c.context_id, c.parent_id, c.message_id, c.depth FROM up JOIN context c ON c.context_id = up.parent_id)
    -- A look-up per message: the planner takes a join for one with the whole table.
    SELECT coalesce(json_agg((SELECT m.body FROM message m WHERE m.message_id = up.message_id) ORDER BY up.depth),
                    '[]'::json) FROM up
$$;

CREATE VIEW node_history AS
    SELECT n.node_id, n.session_id, context_messages(n.context_snapshot_id) AS message_history_json
    FROM conversation_branch_nodes n;

-- "Show me this session's tree": one line per node, in tree order.
CREATE FUNCTION session_tree(wanted uuid)
RETURNS TABLE (node_id uuid, parent_node_id uuid, depth integer, branch_kind text, model text, node_status text,
               runs integer, branch_reason text, answer text, tree text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE walk AS (
        SELECT n.node_id, ARRAY[]::text[] AS place FROM conversation_branch_nodes n
        WHERE n.session_id = wanted AND n.parent_node_id IS NULL
        UNION ALL
        SELECT n.node_id, walk.place || (to_char(t.started_at, 'YYYYMMDDHH24MISSUS') || n.node_id::text)
        FROM walk JOIN conversation_branch_nodes n ON n.parent_node_id = walk.node_id
        JOIN session_turn t ON t.turn_id = n.turn_id)
    SELECT n.node_id, n.parent_node_id, n.depth, n.branch_kind, r.model, n.node_status, n.runs, n.branch_reason,
           left(message_text(m.body), 100), repeat('  ', n.depth) || n.branch_kind
    FROM walk JOIN conversation_branch_nodes n USING (node_id)
    LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
    LEFT JOIN message m ON m.message_id = r.answer_id
    ORDER BY walk.place
$$;

-- Every run with its answer in words.
CREATE VIEW run_answers AS
    SELECT r.*, b.context_anchor_turn_id, b.branch_index, b.branch_kind, m.body AS answer, message_text(m.body) AS answer_text
    FROM execution_run_records r
    LEFT JOIN response_branch_records b ON b.turn_id = r.run_id
    LEFT JOIN message m ON m.message_id = r.answer_id;
