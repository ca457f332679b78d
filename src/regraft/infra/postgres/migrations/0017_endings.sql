-- How answers end has more names: `paused` by the server until it is asked to go on, `ambiguous` where pieces of the answer cannot
-- be put together for certain, `unknown` where nobody knows what the server's word for the ending means.
ALTER TABLE session_turn DROP CONSTRAINT session_turn_node_status_check;
ALTER TABLE session_turn ADD CONSTRAINT session_turn_node_status_check CHECK (node_status IN
    ('ok', 'error', 'interrupted', 'filtered', 'refused', 'paused', 'ambiguous', 'unknown')) NOT VALID;
-- Answers that nobody may take for a success without a look.
CREATE INDEX session_turn_unsure ON session_turn (node_status) WHERE node_status IN ('ambiguous', 'unknown');
