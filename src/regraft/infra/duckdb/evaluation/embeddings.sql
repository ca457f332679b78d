-- Vectors of trajectories: representations, never labels. They can be made again.

-- name: schema
-- Its table. A unit has one vector per model; `text_hash` says which text it stands for.
CREATE TABLE IF NOT EXISTS trajectory_embeddings (
    unit_id UUID NOT NULL,
    model VARCHAR NOT NULL,                -- the embedder, and what pins it
    text_hash VARCHAR NOT NULL,            -- SHA-256 of the unit's text
    vector FLOAT[] NOT NULL,               -- of length 1; empty: the text says nothing
    PRIMARY KEY (unit_id, model));
-- Vectors of pieces of long texts: a conversation that grew is embedded from where it ended. Not carried over an erasure.
CREATE TABLE IF NOT EXISTS embedding_pieces (
    model VARCHAR NOT NULL,
    piece_hash VARCHAR NOT NULL,           -- SHA-256 of the piece, in the form that the embedder has it
    vector FLOAT[] NOT NULL,
    used BIGINT NOT NULL,                  -- goes up with each use
    PRIMARY KEY (model, piece_hash));

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

-- name: find_pieces
-- The vectors of pieces that are known.
SELECT piece_hash, vector FROM embedding_pieces
WHERE model = $model AND piece_hash IN (SELECT unnest($hashes::VARCHAR[]));

-- name: keep_pieces
-- Pieces that were used now.
INSERT OR REPLACE INTO embedding_pieces BY NAME
SELECT $model AS model, piece_hash, vector, (SELECT coalesce(max(used), 0) + 1 FROM embedding_pieces) AS used FROM new_pieces;

-- name: forget_pieces
-- All but the $most that were used last, and those that were used with the last of these.
DELETE FROM embedding_pieces
WHERE used < (SELECT used FROM embedding_pieces ORDER BY used DESC LIMIT 1 OFFSET $most);

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

-- name: vectors
-- All vectors of a model, but for texts that say nothing.
SELECT e.unit_id::VARCHAR AS unit_id, u.session_id::VARCHAR AS session_id, e.text_hash, e.vector
FROM trajectory_embeddings e JOIN trajectory_units u USING (unit_id)
WHERE e.model = $model AND len(e.vector) > 0 ORDER BY e.unit_id;

-- name: vectors_of
-- Those of some units.
SELECT e.unit_id::VARCHAR AS unit_id, u.session_id::VARCHAR AS session_id, e.text_hash, e.vector
FROM trajectory_embeddings e JOIN trajectory_units u USING (unit_id)
WHERE e.model = $model AND len(e.vector) > 0 AND e.unit_id IN (SELECT unnest($units::UUID[])) ORDER BY e.unit_id;

-- name: vector_keys
-- Which those are, without the vectors.
SELECT e.unit_id::VARCHAR AS unit_id, u.session_id::VARCHAR AS session_id, e.text_hash
FROM trajectory_embeddings e JOIN trajectory_units u USING (unit_id)
WHERE e.model = $model AND len(e.vector) > 0;

-- name: vector_state
-- Their number, their length, and a digest of which they are.
SELECT count(*) AS vectors, max(len(e.vector)) AS dimensions,
       format('{}-{}', count(*), bit_xor(hash(e.unit_id, u.session_id, e.text_hash))) AS state
FROM trajectory_embeddings e JOIN trajectory_units u USING (unit_id)
WHERE e.model = $model AND len(e.vector) > 0;

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
