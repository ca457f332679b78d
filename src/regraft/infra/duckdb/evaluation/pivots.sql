-- Contexts whose answers came to different ends. Made again from the units and the ratings.

-- name: schema
-- Its tables. `source` is human, outcome or judge; values are 0 to 1.
CREATE TABLE IF NOT EXISTS pivot_nodes (
    node_id UUID NOT NULL,                 -- the first answer to the context: the one to replay
    anchor_turn_id UUID NOT NULL,
    session_id UUID NOT NULL,
    scope VARCHAR NOT NULL,                -- the tenant
    theme VARCHAR NOT NULL,                -- '' is none
    source VARCHAR NOT NULL,
    answers INTEGER NOT NULL,              -- that have a value
    leaves INTEGER NOT NULL,               -- valued paths below them
    mean DOUBLE NOT NULL,                  -- of the answers' values
    spread DOUBLE NOT NULL,                -- their sample standard deviation
    error DOUBLE NOT NULL,                 -- standard error of the mean
    weight DOUBLE NOT NULL,                -- spread times leaves
    best UUID NOT NULL,                    -- the answer of the highest value
    highest DOUBLE NOT NULL,
    worst UUID NOT NULL,
    lowest DOUBLE NOT NULL,
    PRIMARY KEY (anchor_turn_id, source, session_id));  -- a replay may have put answers into another session
CREATE TABLE IF NOT EXISTS pivot_answers (
    anchor_turn_id UUID NOT NULL,
    source VARCHAR NOT NULL,
    session_id UUID NOT NULL,
    node_id UUID NOT NULL,
    mean DOUBLE NOT NULL,                  -- of what the paths through it came to
    leaves INTEGER NOT NULL,               -- those paths
    tool_calls INTEGER NOT NULL,           -- that the answer makes
    PRIMARY KEY (anchor_turn_id, source, node_id));
CREATE TABLE IF NOT EXISTS pivot_states (session_id VARCHAR PRIMARY KEY, state VARCHAR NOT NULL);

-- name: units_there
-- Whether units were ever measured.
SELECT count(*) AS tables FROM information_schema.tables WHERE table_name = 'trajectory_units';

-- name: value_paths
-- The value of each path by source: ratings of reviews and of judges before those of clients and imports.
CREATE TEMPORARY VIEW valued AS
SELECT u.unit_id, u.session_id, u.theme, u.path_nodes, u.path_anchors, coalesce(r.human, u.human_outcome, u.imported_human) AS human,
       coalesce(u.outcome, u.imported_outcome) AS outcome, coalesce(r.judge, u.judge_outcome, u.imported_judge) AS judge
FROM trajectory_units u LEFT JOIN ratings r ON r.unit_id = u.unit_id::VARCHAR
WHERE len(u.path_nodes) = len(u.path_anchors);

-- name: changed
-- Sessions whose paths or values are not what their pivots were made from.
SELECT coalesce(now.session_id, before.session_id) AS session_id, now.state
FROM (SELECT session_id::VARCHAR AS session_id,
             md5(string_agg(concat_ws(' ', unit_id, theme, md5(path_nodes::VARCHAR), coalesce(human, -1), coalesce(outcome, -1),
                                      coalesce(judge, -1)), ',' ORDER BY unit_id)) AS state
      FROM valued WHERE coalesce(human, outcome, judge) IS NOT NULL GROUP BY session_id) AS now
FULL JOIN pivot_states before USING (session_id)
WHERE now.state IS DISTINCT FROM before.state ORDER BY session_id;

-- name: paths
-- Valued paths of sessions.
SELECT session_id::VARCHAR AS session_id, path_nodes::VARCHAR[] AS path_nodes, path_anchors::VARCHAR[] AS path_anchors,
       human, outcome, judge
FROM valued
WHERE session_id IN (SELECT unnest($sessions::UUID[])) AND coalesce(human, outcome, judge) IS NOT NULL
ORDER BY session_id, unit_id;

-- name: forget
-- Take out the pivots of sessions that are valued again.
DELETE FROM pivot_nodes WHERE session_id IN (SELECT session_id::UUID FROM new_states);

-- name: forget_answers
-- And their answers.
DELETE FROM pivot_answers WHERE session_id IN (SELECT session_id::UUID FROM new_states);

-- name: forget_states
-- And what they were made from.
DELETE FROM pivot_states WHERE session_id IN (SELECT session_id FROM new_states);

-- name: add
-- Put in pivots.
INSERT INTO pivot_nodes BY NAME SELECT * FROM new_pivots;

-- name: add_answers
-- Put in their answers.
INSERT INTO pivot_answers BY NAME SELECT * FROM new_answers;

-- name: add_states
-- Remember what they were made from.
INSERT INTO pivot_states SELECT session_id, state FROM new_states WHERE state IS NOT NULL;

-- name: count
-- How many pivots there are.
SELECT count(*) AS pivots FROM pivot_nodes;

-- name: pivots
-- Pivots, the heaviest first.
SELECT * FROM pivot_nodes
WHERE ($source IS NULL OR source = $source) AND ($theme IS NULL OR theme = $theme)
  AND ($session IS NULL OR session_id = $session::UUID) AND ($scope IS NULL OR scope = $scope)
ORDER BY weight DESC, anchor_turn_id, source, session_id LIMIT $limit;

-- name: nodes
-- The nodes to replay, the heaviest first.
SELECT node_id FROM pivot_nodes GROUP BY node_id ORDER BY max(weight) DESC, min(anchor_turn_id);

-- name: answers
-- Answers under the pivots of a session.
SELECT node_id, source, mean, leaves FROM pivot_answers
WHERE session_id = $session::UUID ORDER BY node_id, source;

-- name: pivot_table
-- Pivots with ids as text, the heaviest first.
SELECT * REPLACE (node_id::VARCHAR AS node_id, anchor_turn_id::VARCHAR AS anchor_turn_id, session_id::VARCHAR AS session_id,
    best::VARCHAR AS best, worst::VARCHAR AS worst)
FROM pivot_nodes
WHERE ($theme IS NULL OR theme = $theme) AND ($session IS NULL OR session_id = $session::UUID)
ORDER BY weight DESC, pivot_nodes.anchor_turn_id, source, pivot_nodes.session_id;
