-- Conversations that go on after their history was replaced, and conversations that others started.

-- What a message can be recognised by elsewhere, as 64-bit keys. The lowest two bits say of what: 0 its text, 1 an id of
-- a tool call, 2 a long text among the arguments of one, 3 what a tool gave back. NULL: nothing, as in short messages.
ALTER TABLE message ADD COLUMN anchors bigint[];
CREATE INDEX message_anchors ON message USING gin (anchors) WHERE anchors IS NOT NULL;
CREATE INDEX message_results ON message USING gin (anchors)
    WHERE role IN ('tool', 'function') AND anchors IS NOT NULL;
CREATE INDEX message_told ON message (role) WHERE role IN ('tool', 'function') AND anchors IS NOT NULL;

-- Places that a late arrival may still improve. `session_id` is the session of the node's calls in the log, which may
-- differ from the tree it hangs in; `anchors` are what its history may be recognised by.
CREATE TABLE unsettled_node (
    node_id     uuid PRIMARY KEY,
    session_id  uuid NOT NULL,
    anchors     bigint[] NOT NULL
);
CREATE INDEX unsettled_node_session ON unsettled_node (session_id);
CREATE INDEX unsettled_node_anchors ON unsettled_node USING gin (anchors);
INSERT INTO unsettled_node (node_id, session_id, anchors)
    SELECT n.node_id, n.session_id, '{}' FROM conversation_branch_nodes n
    WHERE n.parent_evidence IN ('longest_prefix', 'unmatched');
DROP INDEX conversation_branch_nodes_unsettled;

COMMENT ON COLUMN conversation_branch_nodes.parent_evidence IS
    'root, opening, prefix, longest_prefix, unmatched, explicit_header or compaction_anchor';
COMMENT ON COLUMN conversation_branch_nodes.session_id IS
    'the tree that the node hangs in; session_turn.session_id is where its calls were filed';

-- A conversation that another one started: the turn that started it, and a turn of the other. Linked, never merged.
CREATE TABLE turn_link (
    to_turn_id    uuid NOT NULL REFERENCES session_turn,
    evidence      text NOT NULL CHECK (evidence IN ('explicit_parent', 'task_text', 'result_text', 'trace')),
    from_turn_id  uuid NOT NULL REFERENCES session_turn,
    call_id       text,                      -- of the tool call that started it, where one is known
    detail        text NOT NULL,             -- in words
    PRIMARY KEY (to_turn_id, evidence)
);
CREATE INDEX turn_link_from ON turn_link (from_turn_id);
CREATE INDEX pipeline_event_inbox_trace ON pipeline_event_inbox (scope, substr(traceparent, 4, 32))
    WHERE length(traceparent) >= 55;

-- Links between sessions: the first turn of each pair for each kind of evidence.
CREATE VIEW session_link AS
    SELECT DISTINCT ON (started.session_id, made.session_id, l.evidence)
        started.session_id AS from_session_id, started.node_id AS from_node_id, l.from_turn_id, l.call_id AS tool_call_id,
        made.session_id AS to_session_id, made.node_id AS to_node_id, l.to_turn_id, 'sub_agent' AS kind, l.evidence,
        l.detail, t.started_at
    FROM turn_link l
    JOIN response_branch_records started ON started.turn_id = l.from_turn_id
    JOIN response_branch_records made ON made.turn_id = l.to_turn_id
    JOIN session_turn t ON t.turn_id = l.to_turn_id
    WHERE started.session_id <> made.session_id
    ORDER BY started.session_id, made.session_id, l.evidence, t.started_at, l.to_turn_id;
