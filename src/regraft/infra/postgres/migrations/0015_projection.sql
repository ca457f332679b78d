-- Which version of the projection the log is in. No row: nothing was stored yet, and the newest will be taken.
CREATE TABLE projection (
    version   integer NOT NULL,
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO projection (version) SELECT max(projection_version) FROM pipeline_event_inbox HAVING count(*) > 0;

-- How each turn found its session, so that it is filed again by the same rule under another projection.
ALTER TABLE session_lineage ADD COLUMN filed_by text NOT NULL DEFAULT 'opening'
    CHECK (filed_by IN ('explicit_header', 'explicit_node', 'opening'));
UPDATE session_lineage l SET filed_by = s.evidence
FROM session s, session_turn t, pipeline_event_inbox e
WHERE s.session_id = l.session_id AND t.turn_id = l.turn_id AND e.event_id = t.event_id AND s.evidence <> 'opening'
  AND (s.evidence = 'explicit_header' OR l.parent_claim IS NOT NULL OR l.replay_claim IS NOT NULL
       OR e.identity::text LIKE '%"session"%');

-- Ids that nodes and sessions had under other projections, each with its first turn: what somebody said of such a node
-- is of that turn's node now.
CREATE TABLE former_node (
    node_id  uuid PRIMARY KEY,
    turn_id  uuid NOT NULL REFERENCES session_turn
);
CREATE TABLE former_session (
    session_id  uuid PRIMARY KEY,
    turn_id     uuid NOT NULL REFERENCES session_turn
);

-- What a row named at first, where that has another id now: it is named so again when the id comes back.
CREATE TABLE former_reference (
    place     text NOT NULL,            -- table.column
    row_key   text NOT NULL,
    original  uuid NOT NULL,
    PRIMARY KEY (place, row_key)
);

-- Let a column name nodes, or sessions, by the ids that they have now. `row_key` is an expression: a row's key as text.
CREATE FUNCTION follow_former(tab text, col text, row_key text, of_sessions boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    here text := tab || '.' || col;
    changed bigint;
BEGIN
    DROP TABLE IF EXISTS followed;
    EXECUTE format(
        'CREATE TEMP TABLE followed ON COMMIT DROP AS
         SELECT named.*, coalesce(t.%s, named.original) AS now
         FROM (SELECT %s AS row_key, x.%I AS held, coalesce(o.original, x.%I) AS original
               FROM %I x LEFT JOIN former_reference o ON o.place = %L AND o.row_key = %s
               WHERE x.%I IS NOT NULL) AS named
         LEFT JOIN %I f ON f.%I = named.original LEFT JOIN session_turn t ON t.turn_id = f.turn_id',
        CASE WHEN of_sessions THEN 'session_id' ELSE 'node_id' END, row_key, col, col, tab, here, row_key, col,
        CASE WHEN of_sessions THEN 'former_session' ELSE 'former_node' END,
        CASE WHEN of_sessions THEN 'session_id' ELSE 'node_id' END);
    EXECUTE format('UPDATE %I x SET %I = f.now FROM followed f WHERE f.row_key = %s AND f.now <> f.held',
                   tab, col, row_key);
    GET DIAGNOSTICS changed = ROW_COUNT;
    DELETE FROM former_reference o USING followed f
    WHERE o.place = here AND o.row_key = f.row_key AND f.now = f.original;
    INSERT INTO former_reference AS o (place, row_key, original)
    SELECT here, f.row_key, f.original FROM followed f WHERE f.now <> f.original
    ON CONFLICT DO NOTHING;
    RETURN changed;
END $$;
