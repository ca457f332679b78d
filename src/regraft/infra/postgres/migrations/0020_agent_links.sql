-- A conversation of an agent that its client named is linked to the one that the agent was started from: the parent agent's, or
-- the main one, of the same session name.
ALTER TABLE turn_link DROP CONSTRAINT turn_link_evidence_check;
ALTER TABLE turn_link ADD CONSTRAINT turn_link_evidence_check CHECK (evidence IN
    ('explicit_parent', 'client_agent', 'task_text', 'result_text', 'trace')) NOT VALID;
CREATE INDEX session_client_name ON session (scope, external_id COLLATE "C") WHERE evidence = 'named_opening';
