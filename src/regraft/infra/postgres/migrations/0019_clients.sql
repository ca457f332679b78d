-- A session is also known by its opening together with the name that its client gave it in its own headers or body fields: equal
-- openings under different names are different sessions. `external_id` is that name, with the agent's behind a slash; the event's
-- `identity` keeps what it was read from. A purpose `side:...` is that of a call which a client made for itself (a title, a probe).
ALTER TABLE session DROP CONSTRAINT session_evidence_check;
ALTER TABLE session ADD CONSTRAINT session_evidence_check CHECK (evidence IN
    ('explicit_header', 'explicit_node', 'named_opening', 'opening')) NOT VALID;
ALTER TABLE session_lineage DROP CONSTRAINT session_lineage_filed_by_check;
ALTER TABLE session_lineage ADD CONSTRAINT session_lineage_filed_by_check CHECK (filed_by IN
    ('explicit_header', 'explicit_node', 'named_opening', 'opening')) NOT VALID;
