-- Vectors of trajectories: representations, never labels. They can be made again.

-- name: schema
-- Its table. A unit has one vector per model; `text_hash` says which text it stands for.
CREATE TABLE IF NOT EXISTS trajectory_embeddings (
    unit_id UUID NOT NULL,
    model VARCHAR NOT NULL,                -- the embedder, and what pins it
    text_hash VARCHAR NOT NULL,            -- SHA-256 of the unit's text
    vector FLOAT[] NOT NULL,               -- of length 1; empty: the text says nothing
    PRIMARY KEY (unit_id, model));

-- name: units_there
-- Whether units were ever measured.
SELECT count(*) AS tables FROM information_schema.tables WHERE table_name = 'trajectory_units';

-- name: forget_changed
-- Take out vectors of units that are gone, or that read differently now.
DELETE FROM trajectory_embeddings e WHERE NOT EXISTS (
    SELECT 1 FROM trajectory_units u WHERE u.unit_id = e.unit_id AND sha256(u.text) = e.text_hash);

-- name: copy_known
-- A text that another unit has a vector for needs none of its own.
INSERT INTO trajectory_embeddings BY NAME
SELECT u.unit_id, $model AS model, sha256(u.text) AS text_hash, any_value(known.vector) AS vector
FROM trajectory_units u
JOIN trajectory_embeddings known ON known.model = $model AND known.text_hash = sha256(u.text)
WHERE NOT EXISTS (SELECT 1 FROM trajectory_embeddings e WHERE e.unit_id = u.unit_id AND e.model = $model)
GROUP BY u.unit_id, u.text;

-- name: missing
-- For each text without a vector of this model a unit that reads so, session by session: its paths begin alike.
SELECT min(u.unit_id) AS unit_id, sha256(u.text) AS text_hash, length(u.text) AS characters, count(*) AS units
FROM trajectory_units u
WHERE NOT EXISTS (SELECT 1 FROM trajectory_embeddings e WHERE e.unit_id = u.unit_id AND e.model = $model)
GROUP BY u.text ORDER BY min(u.session_id), unit_id;

-- name: texts
-- How units read.
SELECT unit_id, text FROM trajectory_units WHERE unit_id IN (SELECT unnest($units::UUID[]));

-- name: add
-- Vectors of units.
INSERT OR IGNORE INTO trajectory_embeddings BY NAME
SELECT unit_id::UUID AS unit_id, $model AS model, text_hash, vector FROM new_vectors;

-- name: count
-- How many units have a vector of this model.
SELECT count(*) AS units FROM trajectory_embeddings WHERE model = $model;

-- name: candidates
-- All vectors of a model that have this length, but for units whose path goes through a node.
SELECT e.unit_id::VARCHAR AS unit_id, e.vector
FROM trajectory_embeddings e JOIN trajectory_units u USING (unit_id)
WHERE e.model = $model AND len(e.vector) = $length AND NOT list_contains(u.path_nodes, $node::UUID)
    AND ($elsewhere_than IS NULL OR u.session_id <> $elsewhere_than::UUID)
ORDER BY e.unit_id;

-- name: described
-- What is shown of units.
SELECT unit_id, session_id, theme, task_key, model, purpose, turns, quality, text FROM trajectory_units
WHERE unit_id IN (SELECT unnest($units::UUID[]));

-- name: carry_schema
-- The table of vectors in another workbench.
CREATE TABLE IF NOT EXISTS draft.trajectory_embeddings (
    unit_id UUID NOT NULL, model VARCHAR NOT NULL, text_hash VARCHAR NOT NULL, vector FLOAT[] NOT NULL,
    PRIMARY KEY (unit_id, model));

-- name: carry_over
-- Vectors of units that read the same there.
INSERT OR IGNORE INTO draft.trajectory_embeddings BY NAME
SELECT e.* FROM trajectory_embeddings e JOIN draft.trajectory_units u
    ON u.unit_id = e.unit_id AND sha256(u.text) = e.text_hash;

-- name: carried
-- How many that are.
SELECT count(*) FROM draft.trajectory_embeddings;
