-- The workbench: everything here can be made again from the truth.

-- name: schema
-- Its tables.
CREATE TABLE IF NOT EXISTS label_states (session_id VARCHAR PRIMARY KEY, state VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS trajectory_units (
    unit_id UUID PRIMARY KEY,              -- the terminal node
    session_id UUID NOT NULL,
    turn_id UUID NOT NULL,                 -- the terminal node's first run
    anchor UUID,                           -- the context anchor of the last answer
    theme VARCHAR NOT NULL,                -- '' is none
    task_key VARCHAR,
    purpose VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    node_status VARCHAR NOT NULL,
    path_nodes UUID[] NOT NULL,            -- from first turn to terminal node
    path_anchors UUID[] NOT NULL,
    kinds VARCHAR[] NOT NULL,
    finish_reasons VARCHAR[] NOT NULL,
    turns INTEGER NOT NULL,
    tool_calls INTEGER NOT NULL,
    tool_errors INTEGER NOT NULL,
    repeated_calls INTEGER NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    seconds DOUBLE NOT NULL,
    answer_empty BOOLEAN NOT NULL,
    answer_length INTEGER NOT NULL,        -- characters
    relative_length DOUBLE NOT NULL,       -- over the median sibling
    repetition DOUBLE NOT NULL,            -- 0 to 1
    quality DOUBLE NOT NULL,               -- 0 to 1, from the signals alone
    text VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS candidate_preference_pairs (
    pair_id UUID PRIMARY KEY,
    anchor_turn_id UUID NOT NULL,
    session_id UUID NOT NULL,
    theme VARCHAR NOT NULL,
    node_a UUID NOT NULL,
    node_b UUID NOT NULL,
    turn_a UUID NOT NULL,
    turn_b UUID NOT NULL,
    kind_a VARCHAR NOT NULL,
    kind_b VARCHAR NOT NULL,
    model_a VARCHAR NOT NULL,
    model_b VARCHAR NOT NULL,
    purpose_a VARCHAR NOT NULL,
    purpose_b VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,              -- legal or refused
    reason VARCHAR NOT NULL,               -- '' when legal
    source VARCHAR NOT NULL,               -- human, imported, ratings, outcome, model, signals or none
    margin DOUBLE NOT NULL,                -- twice the probability that the better one wins, less one
    chosen UUID,
    rejected UUID,
    tools_digest VARCHAR,                  -- hexadecimal; NULL: no tools, or not the same
    human_a DOUBLE,
    human_b DOUBLE,
    signals_a DOUBLE,
    signals_b DOUBLE);
-- What was reported of paths and answers; a file that was made before these columns gets them here.
CREATE TABLE IF NOT EXISTS outcome_states (station VARCHAR NOT NULL, session_id VARCHAR NOT NULL, state VARCHAR NOT NULL);
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS outcome DOUBLE;            -- 0 to 1, by what was neither person nor model
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS outcome_source VARCHAR;    -- who said so
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS human_outcome DOUBLE;      -- 0 to 1, by a person through a client
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS judge_outcome DOUBLE;      -- 0 to 1, by a model
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS fidelity DOUBLE;           -- 0 to 1, of a rollout's tool results; NULL: no rollout, or no tools
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS outcome_a DOUBLE;
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS outcome_b DOUBLE;
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS judge_a DOUBLE;
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS judge_b DOUBLE;
-- Of judgements that came with imported data.
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS basis VARCHAR;       -- preference, rank, rating or strengths
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS decided_by VARCHAR;  -- sources, with their annotators
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS given_by VARCHAR;    -- person or model; '' is not known
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS imported_human DOUBLE;         -- 0 to 1, by people
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS imported_outcome DOUBLE;       -- 0 to 1, by whom is not known, or by a program
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS imported_judge DOUBLE;         -- 0 to 1, by models
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS imported_rank DOUBLE;          -- 1 is the best of those ranked with it
-- Which models judged, by the names that they are calibrated under (JSON).
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS deciders VARCHAR;    -- [judge, version, task, preference], those that decided
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS judge_source VARCHAR;          -- who gave the judge_outcome
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS imported_judges VARCHAR;       -- [judge, version, task], those behind imported_judge
-- When the calls began (UTC); NULL: measured before times were kept, so it is measured again.
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS started_at TIMESTAMP;          -- of the last answer
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS started_a TIMESTAMP;
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS started_b TIMESTAMP;
ALTER TABLE trajectory_units ADD COLUMN IF NOT EXISTS recovered_calls INTEGER;       -- failed calls whose tool succeeded later
-- In the logarithm of odds, where votes over several answers decided.
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS strength_a DOUBLE;
ALTER TABLE candidate_preference_pairs ADD COLUMN IF NOT EXISTS strength_b DOUBLE;

-- name: units_without_time
-- How many units were measured before times or recovered calls were kept.
SELECT count(*) AS found FROM trajectory_units WHERE started_at IS NULL OR recovered_calls IS NULL;

-- name: pairs_without_time
-- How many pairs were.
SELECT count(*) AS found FROM candidate_preference_pairs WHERE started_a IS NULL OR started_b IS NULL;

-- name: forget_units
-- Take out the units of sessions that are measured again.
DELETE FROM trajectory_units WHERE session_id IN (SELECT session_id::UUID FROM wanted_sessions);

-- name: add_units
-- Put in measured units.
INSERT INTO trajectory_units BY NAME SELECT * FROM new_units;

-- name: measured_sessions
-- How many sessions have units.
SELECT count(DISTINCT session_id) AS sessions FROM trajectory_units;

-- name: forget_vanished_units
-- Take out the units of sessions that the graph no longer has.
DELETE FROM trajectory_units WHERE session_id NOT IN (SELECT session_id::UUID FROM present_sessions);

-- name: forget_vanished_pairs
-- And their pairs.
DELETE FROM candidate_preference_pairs WHERE session_id NOT IN (SELECT session_id::UUID FROM present_sessions);

-- name: forget_pairs
-- Take out the pairs of sessions and anchors that are compared again.
DELETE FROM candidate_preference_pairs
WHERE session_id IN (SELECT session_id::UUID FROM wanted_sessions)
   OR anchor_turn_id IN (SELECT anchor::UUID FROM wanted_anchors);

-- name: add_pairs
-- Put in compared pairs.
INSERT INTO candidate_preference_pairs BY NAME SELECT * FROM new_pairs;

-- name: label_states
-- The judgements that pairs were last made with.
SELECT session_id, state FROM label_states ORDER BY session_id;

-- name: forget_label_states
-- They are written whole.
DELETE FROM label_states;

-- name: add_label_states
-- The judgements that pairs are made with now.
INSERT INTO label_states SELECT session_id, state FROM new_states;

-- name: outcome_states
-- What had been reported when a station last looked.
SELECT session_id, state FROM outcome_states WHERE station = $station ORDER BY session_id;

-- name: forget_outcome_states
-- They are written whole.
DELETE FROM outcome_states WHERE station = $station;

-- name: add_outcome_states
-- What has been reported now.
INSERT INTO outcome_states SELECT $station, session_id, state FROM new_states;

-- name: units
-- All units but their texts.
SELECT * EXCLUDE (text) FROM trajectory_units ORDER BY unit_id;

-- name: unit_page
-- Units after an id, with ids as text.
SELECT * EXCLUDE (text) REPLACE (unit_id::VARCHAR AS unit_id, session_id::VARCHAR AS session_id, turn_id::VARCHAR AS turn_id,
    anchor::VARCHAR AS anchor, path_nodes::VARCHAR[] AS path_nodes, path_anchors::VARCHAR[] AS path_anchors)
FROM trajectory_units
WHERE ($after IS NULL OR unit_id > $after::UUID) AND ($theme IS NULL OR theme = $theme)
  AND ($session IS NULL OR session_id = $session::UUID)
ORDER BY trajectory_units.unit_id LIMIT $limit;

-- name: pair_page
-- Pairs after an id, with ids as text.
SELECT * REPLACE (pair_id::VARCHAR AS pair_id, anchor_turn_id::VARCHAR AS anchor_turn_id, session_id::VARCHAR AS session_id,
    node_a::VARCHAR AS node_a, node_b::VARCHAR AS node_b, turn_a::VARCHAR AS turn_a, turn_b::VARCHAR AS turn_b,
    chosen::VARCHAR AS chosen, rejected::VARCHAR AS rejected)
FROM candidate_preference_pairs
WHERE ($after IS NULL OR pair_id > $after::UUID) AND ($theme IS NULL OR theme = $theme)
  AND ($session IS NULL OR session_id = $session::UUID) AND ($verdict IS NULL OR verdict = $verdict)
ORDER BY candidate_preference_pairs.pair_id LIMIT $limit;

-- name: unit_text
-- How one unit reads.
SELECT text FROM trajectory_units WHERE unit_id = $unit_id;

-- name: pairs
-- All pairs.
SELECT * FROM candidate_preference_pairs ORDER BY pair_id;

-- name: pair
-- One pair.
SELECT * FROM candidate_preference_pairs WHERE pair_id = $pair_id;

-- name: pairs_between
-- The pairs whose sides are these, the smaller node id first.
SELECT p.* FROM candidate_preference_pairs p
JOIN (SELECT unnest($first) AS node_a, unnest($second) AS node_b) AS w
    ON p.node_a = w.node_a::UUID AND p.node_b = w.node_b::UUID
ORDER BY p.pair_id;

-- name: resolve_unit
-- Units whose id starts like this, two at most.
SELECT unit_id AS id FROM trajectory_units WHERE starts_with(unit_id::VARCHAR, $start) ORDER BY unit_id LIMIT 2;

-- name: resolve_pair
-- Pairs whose id starts like this, two at most.
SELECT pair_id AS id FROM candidate_preference_pairs WHERE starts_with(pair_id::VARCHAR, $start) ORDER BY pair_id LIMIT 2;

-- name: copy_units
-- Paths for a selection file, without what no recipe asks for.
CREATE TABLE selection.unit AS
SELECT unit_id::VARCHAR AS unit_id, session_id::VARCHAR AS session_id, turn_id::VARCHAR AS turn_id, anchor::VARCHAR AS anchor,
       theme, task_key, purpose, model, node_status, path_nodes::VARCHAR[] AS path_nodes,
       path_anchors::VARCHAR[] AS path_anchors, finish_reasons, turns, tool_calls, tool_errors, repeated_calls, answer_empty,
       repetition, quality, outcome, outcome_source, human_outcome, judge_outcome, imported_human, imported_outcome,
       imported_judge, imported_rank, judge_source, imported_judges, fidelity, started_at,
       (length(text) - length(replace(text, '�', ''))) / greatest(length(text), 1) AS garbled, c.cluster
FROM trajectory_units LEFT JOIN clusters c USING (unit_id);

-- name: has_vectors
-- Whether trajectories were ever embedded.
SELECT count(*) AS tables FROM information_schema.tables WHERE table_name = 'trajectory_embeddings';

-- name: vectors
-- The vectors of the model that has most of them; of several the first by name.
CREATE TEMPORARY TABLE vectors AS
SELECT unit_id, vector FROM trajectory_embeddings
WHERE len(vector) > 0
  AND model = (SELECT model FROM trajectory_embeddings GROUP BY model ORDER BY count(*) DESC, model LIMIT 1);

-- name: no_vectors
-- Nothing was embedded.
CREATE TEMPORARY TABLE vectors (unit_id UUID, vector FLOAT[]);

-- name: has_clusters
-- Whether trajectories were ever clustered.
SELECT count(*) AS tables FROM information_schema.tables WHERE table_name = 'unit_clusters';

-- name: clusters
-- The cluster of each unit that has one.
CREATE TEMPORARY TABLE clusters AS SELECT unit_id, cluster_id::VARCHAR AS cluster FROM unit_clusters;

-- name: no_clusters
-- Nothing was clustered.
CREATE TEMPORARY TABLE clusters (unit_id UUID, cluster VARCHAR);

-- name: node_clusters
-- The cluster of each answer: that of most paths that go through it, the first by id of several.
CREATE TEMPORARY TABLE node_clusters AS
SELECT node, min_by(cluster, (-paths, cluster)) AS cluster FROM (
    SELECT node, cluster, count(*) AS paths FROM (
        SELECT unnest(u.path_nodes) AS node, c.cluster FROM trajectory_units u JOIN clusters c USING (unit_id)) AS passed
    GROUP BY ALL) AS counted
GROUP BY node;

-- name: copy_pairs
-- Pairs for a selection file.
CREATE TABLE selection.pair AS
SELECT p.*, list_cosine_similarity(a.vector, b.vector) AS similarity, x.cluster AS cluster_a, y.cluster AS cluster_b
FROM candidate_preference_pairs p
LEFT JOIN vectors a ON a.unit_id = p.node_a
LEFT JOIN vectors b ON b.unit_id = p.node_b
LEFT JOIN node_clusters x ON x.node = p.node_a
LEFT JOIN node_clusters y ON y.node = p.node_b;
