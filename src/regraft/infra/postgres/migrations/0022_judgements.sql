-- Judgements that came with imported data: who gave each, over which answers it was made, and on which scale.

ALTER TABLE feedback
    ADD COLUMN imported    boolean NOT NULL DEFAULT false,
    ADD COLUMN annotator   text,                        -- who judged, as the source calls them
    ADD COLUMN given_by    text CHECK (given_by IN ('person', 'model', 'program')),   -- NULL: the source does not say
    ADD COLUMN comparison  text,                        -- judgements of one comparison were made over the same answers
    ADD COLUMN scale_low   double precision,            -- the lowest and the highest that the source can give
    ADD COLUMN scale_high  double precision;

-- What was imported before: feedback on the turn of an imported call by anybody but a client.
UPDATE feedback f SET imported = true
FROM session_turn t JOIN pipeline_event_inbox i ON i.event_id = t.event_id
WHERE f.turn_id = t.turn_id AND i.upstream LIKE 'import:%' AND f.source <> 'client';

-- Everything that was judged of a node's turns. Of what was imported the latest of one judge on one thing counts.
CREATE FUNCTION judgements_of_node(wanted uuid)
RETURNS TABLE (feedback_id uuid, name text, value double precision, source text, annotator text, given_by text,
               comparison text, scale_low double precision, scale_high double precision, imported boolean,
               given_at timestamptz)
LANGUAGE sql STABLE AS $$
    WITH given AS (
        SELECT DISTINCT f.* FROM session_turn t JOIN session s ON s.session_id = t.session_id
        JOIN feedback f ON f.turn_id = ANY(ARRAY[t.turn_id, t.node_id]) AND f.scope = s.scope
        WHERE t.node_id = wanted),
    numbered AS (
        SELECT given.*, row_number() OVER (PARTITION BY turn_id, name, source, annotator, comparison, imported
                                           ORDER BY given_at DESC, feedback_id DESC) AS place FROM given)
    SELECT feedback_id, name, value, source, annotator, given_by, comparison, scale_low, scale_high, imported, given_at
    FROM numbered WHERE place = 1 OR NOT imported
$$;

-- Judgements with the node that each is about: what the agreement of judges is counted from. `superseded`: the same judge
-- said something else of the same thing later.
CREATE VIEW judgements AS
    SELECT t.node_id, t.turn_id, t.session_id, f.scope, f.name, f.value, f.source, f.annotator, f.given_by,
           f.comparison, f.scale_low, f.scale_high, f.imported, f.comment, f.given_at, f.feedback_id,
           f.imported AND f.place > 1 AS superseded
    FROM (SELECT feedback.*, row_number() OVER (PARTITION BY turn_id, name, source, annotator, comparison, imported, scope
                                                ORDER BY given_at DESC, feedback_id DESC) AS place
          FROM feedback WHERE turn_id IS NOT NULL) AS f
    CROSS JOIN LATERAL (
        SELECT found.turn_id, found.node_id, found.session_id FROM session_turn found
        JOIN session ON session.session_id = found.session_id AND session.scope = f.scope
        WHERE found.turn_id = f.turn_id OR found.node_id = f.turn_id
        ORDER BY found.turn_id = f.turn_id DESC, found.started_at, found.turn_id LIMIT 1) AS t;
