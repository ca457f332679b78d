-- Clusters of trajectories, as the last fit and the rule for later units give them. They can be made again from the truth.

-- name: schema
-- Their tables. `cluster_id` NULL is noise, or a unit that no cluster takes.
CREATE TABLE IF NOT EXISTS trajectory_cluster_run (   -- the fit that the other tables are of: one row, or none
    cluster_run_id UUID PRIMARY KEY,
    previous_run_id UUID,
    embedding_model VARCHAR NOT NULL,
    algorithm VARCHAR NOT NULL,
    parameters VARCHAR NOT NULL,           -- JSON
    seed BIGINT NOT NULL,
    units INTEGER NOT NULL,                -- in the fit
    noise INTEGER NOT NULL,                -- of them, at the default layer
    layers INTEGER NOT NULL,
    default_layer INTEGER NOT NULL,        -- 0 is the finest
    trustworthiness DOUBLE,                -- of the map, 0 to 1
    created_at TIMESTAMPTZ NOT NULL);
CREATE TABLE IF NOT EXISTS trajectory_clusters (
    cluster_run_id UUID NOT NULL,
    unit_id UUID NOT NULL,
    layer INTEGER NOT NULL,
    cluster_id UUID,
    strength FLOAT NOT NULL,               -- cosine to the centroid; 0 without a cluster
    assigned VARCHAR NOT NULL,             -- fit: it was in the fit; nearest: it came later; none: it came later and fits nowhere
    x FLOAT,                               -- on the map, -1 to 1; NULL: the unit says nothing
    y FLOAT,
    PRIMARY KEY (unit_id, layer));
CREATE TABLE IF NOT EXISTS trajectory_cluster_summaries (
    cluster_run_id UUID NOT NULL,
    layer INTEGER NOT NULL,
    cluster_id UUID PRIMARY KEY,
    parent_id UUID,                        -- of the next, coarser layer
    name VARCHAR NOT NULL,
    name_source VARCHAR NOT NULL,          -- words, model or human
    words VARCHAR[] NOT NULL,              -- the most telling first (c-TF-IDF)
    prototypes UUID[] NOT NULL,            -- the units nearest to the centroid
    units INTEGER NOT NULL,
    outcome_rate DOUBLE,                   -- mean of the outcomes that are known, 0 to 1
    outcomes INTEGER NOT NULL,             -- how many are
    error_rate DOUBLE NOT NULL,            -- share of units that end in a call that failed
    tool_error_rate DOUBLE,                -- share of tool calls that failed; NULL: no calls
    quality DOUBLE NOT NULL,               -- mean, 0 to 1
    turns DOUBLE NOT NULL,                 -- means of a unit
    prompt_tokens DOUBLE NOT NULL,
    completion_tokens DOUBLE NOT NULL,
    seconds DOUBLE NOT NULL,
    x FLOAT NOT NULL,                      -- of its middle on the map
    y FLOAT NOT NULL,
    over_represented VARCHAR NOT NULL);    -- JSON: feature, value, here, elsewhere, lift, p
CREATE TABLE IF NOT EXISTS trajectory_cluster_matches (
    cluster_run_id UUID NOT NULL,
    cluster_id UUID,                       -- NULL: merged into another, or gone
    previous_cluster_id UUID,              -- NULL: new
    jaccard DOUBLE NOT NULL,
    fate VARCHAR NOT NULL);                -- kept, split, merged, new or gone
CREATE VIEW IF NOT EXISTS unit_clusters AS  -- the cluster of each unit that has one, at the default layer
SELECT c.unit_id, c.cluster_id, c.strength, c.assigned, c.x, c.y
FROM trajectory_clusters c JOIN trajectory_cluster_run r
    ON r.cluster_run_id = c.cluster_run_id AND r.default_layer = c.layer
WHERE c.cluster_id IS NOT NULL;

-- name: needs
-- How many of the tables that clusters are made from are there.
SELECT count(*) AS tables FROM information_schema.tables
WHERE table_name IN ('trajectory_units', 'trajectory_embeddings');

-- name: vectors
-- The units that say something, with their vectors of a model, by id.
SELECT e.unit_id::VARCHAR AS unit_id, e.text_hash, e.vector
FROM trajectory_embeddings e JOIN trajectory_units u USING (unit_id)
WHERE e.model = $model AND len(e.vector) > 0 ORDER BY e.unit_id;

-- name: vectors_of
-- The same of given units.
SELECT e.unit_id::VARCHAR AS unit_id, e.vector FROM trajectory_embeddings e
WHERE e.model = $model AND len(e.vector) > 0 AND e.unit_id IN (SELECT unnest($units::UUID[])) ORDER BY e.unit_id;

-- name: vectors_without_cluster
-- Units without a label yet, with their vectors.
SELECT e.unit_id::VARCHAR AS unit_id, e.vector
FROM trajectory_embeddings e JOIN trajectory_units u USING (unit_id)
WHERE e.model = $model AND len(e.vector) > 0
    AND NOT EXISTS (SELECT 1 FROM trajectory_clusters c WHERE c.unit_id = e.unit_id)
ORDER BY e.unit_id;

-- name: forget_other_runs
-- Take out what another fit said.
DELETE FROM trajectory_clusters WHERE cluster_run_id <> $run;

-- name: forget_gone
-- Take out units that are no more, or that have another text.
DELETE FROM trajectory_clusters c WHERE NOT EXISTS (
    SELECT 1 FROM trajectory_units u JOIN trajectory_embeddings e USING (unit_id)
    WHERE u.unit_id = c.unit_id AND e.model = $model AND len(e.vector) > 0);

-- name: add_units
-- Labels of units: one row a layer.
INSERT INTO trajectory_clusters BY NAME
SELECT $run AS cluster_run_id, unit_id::UUID AS unit_id, unnest(range(len(cluster_ids)))::INTEGER AS layer,
    unnest(cluster_ids)::UUID AS cluster_id, unnest(strengths)::FLOAT AS strength,
    CASE WHEN fitted THEN 'fit' WHEN unnest(cluster_ids) IS NULL THEN 'none' ELSE 'nearest' END AS assigned, x, y
FROM new_units;

-- name: forget_run
-- Take out which fit the tables are of.
DELETE FROM trajectory_cluster_run;

-- name: add_run
-- The fit that the tables are of.
INSERT INTO trajectory_cluster_run VALUES ($cluster_run_id, $previous_run_id, $embedding_model, $algorithm, $parameters,
    $seed, $units, $noise, $layers, $default_layer, $trustworthiness, $created_at);

-- name: forget_matches
-- They are written whole.
DELETE FROM trajectory_cluster_matches;

-- name: add_matches
-- What became of the clusters of the fit before.
INSERT INTO trajectory_cluster_matches
SELECT $run, cluster_id::UUID, previous_cluster_id::UUID, jaccard, fate FROM new_matches;

-- name: run
-- The fit that the tables are of.
SELECT * FROM trajectory_cluster_run;

-- name: counts
-- At the default layer: how many units, and how many came after the fit and have a cluster, or none.
SELECT count(*) AS units, count(*) FILTER (c.cluster_id IS NULL) AS without,
    count(*) FILTER (c.assigned <> 'fit') AS later, count(*) FILTER (c.assigned = 'none') AS unassigned
FROM trajectory_clusters c JOIN trajectory_cluster_run r
    ON r.cluster_run_id = c.cluster_run_id AND r.default_layer = c.layer;

-- name: forget_summaries
-- They are written whole.
DELETE FROM trajectory_cluster_summaries;

-- name: add_summaries
-- What clusters are about.
INSERT INTO trajectory_cluster_summaries BY NAME
SELECT * REPLACE (cluster_run_id::UUID AS cluster_run_id, cluster_id::UUID AS cluster_id, parent_id::UUID AS parent_id,
    prototypes::UUID[] AS prototypes) FROM new_summaries;

-- name: summaries
-- All clusters, the largest first.
SELECT s.*, r.default_layer = s.layer AS is_default FROM trajectory_cluster_summaries s
JOIN trajectory_cluster_run r USING (cluster_run_id)
WHERE $layer IS NULL OR s.layer = $layer ORDER BY s.layer, s.units DESC, s.cluster_id;

-- name: resolve
-- Clusters whose id starts like this, or whose name is this: those of the default layer if there are any. Two at most.
SELECT s.cluster_id AS id FROM trajectory_cluster_summaries s JOIN trajectory_cluster_run r USING (cluster_run_id)
WHERE starts_with(s.cluster_id::VARCHAR, $start) OR s.name = $name
QUALIFY (s.layer = r.default_layer) = bool_or(s.layer = r.default_layer) OVER ()
ORDER BY s.cluster_id LIMIT 2;

-- name: set_name
-- The name of a cluster.
UPDATE trajectory_cluster_summaries SET name = $name, name_source = $source WHERE cluster_id = $cluster;

-- name: matches
-- What became of the clusters of the fit before.
SELECT cluster_id, previous_cluster_id, jaccard, fate FROM trajectory_cluster_matches
ORDER BY fate, cluster_id, previous_cluster_id;

-- name: members
-- The units of a cluster, those nearest to its middle first.
SELECT c.unit_id, c.strength, c.assigned, u.session_id, u.theme, u.model, u.turns, u.outcome, u.quality, u.text
FROM trajectory_clusters c JOIN trajectory_units u USING (unit_id)
WHERE c.cluster_id = $cluster ORDER BY c.strength DESC, c.unit_id LIMIT $limit;

-- name: points
-- The map: units with their places, and their clusters at a layer, by id, after an id; all, or those of some sessions.
SELECT c.unit_id, c.cluster_id, c.strength, c.assigned, c.x, c.y, u.session_id, u.theme, u.outcome, u.quality
FROM trajectory_clusters c JOIN trajectory_units u USING (unit_id)
WHERE c.layer = $layer AND c.x IS NOT NULL AND ($after IS NULL OR c.unit_id > $after::UUID)
    AND ($every OR u.session_id IN (SELECT session_id::UUID FROM some_sessions))
ORDER BY c.unit_id LIMIT $limit;

-- name: figures_of
-- Per cluster of a layer (NULL: none), counts, rates and means over the units of some sessions.
SELECT c.cluster_id, count(*) AS units, list(c.unit_id ORDER BY c.strength DESC, c.unit_id)[:5] AS prototypes,
    avg(u.outcome) AS outcome_rate, count(u.outcome) AS outcomes,
    count(*) FILTER (u.node_status = 'error') / count(*) AS error_rate,
    sum(u.tool_errors) / nullif(sum(u.tool_calls), 0) AS tool_error_rate,
    avg(u.quality) AS quality, avg(u.turns) AS turns, avg(u.prompt_tokens) AS prompt_tokens,
    avg(u.completion_tokens) AS completion_tokens, avg(u.seconds) AS seconds, avg(c.x) AS x, avg(c.y) AS y
FROM trajectory_clusters c JOIN trajectory_units u USING (unit_id)
WHERE c.layer = $layer AND u.session_id IN (SELECT session_id::UUID FROM some_sessions)
GROUP BY c.cluster_id ORDER BY units DESC, c.cluster_id;

-- name: page
-- Units with their clusters at the default layer, after an id; ids are text.
SELECT c.unit_id::VARCHAR AS unit_id, u.session_id::VARCHAR AS session_id, u.theme, c.cluster_id::VARCHAR AS cluster_id,
    s.name, c.strength, c.assigned, c.x, c.y
FROM trajectory_clusters c JOIN trajectory_cluster_run r
    ON r.cluster_run_id = c.cluster_run_id AND r.default_layer = c.layer
JOIN trajectory_units u USING (unit_id) LEFT JOIN trajectory_cluster_summaries s ON s.cluster_id = c.cluster_id
WHERE ($after IS NULL OR c.unit_id > $after::UUID) AND ($theme IS NULL OR u.theme = $theme)
    AND ($session IS NULL OR u.session_id = $session::UUID)
ORDER BY c.unit_id LIMIT $limit;

-- name: map_columns
-- The map as small numbers: places in 32,767ths, values in 254ths (255: not known), by cluster, then by id.
SELECT round(c.x * 32767)::SMALLINT AS x, round(c.y * 32767)::SMALLINT AS y, coalesce(c.cluster_id::VARCHAR, '') AS cluster,
    CASE WHEN u.outcome IS NULL THEN 255 ELSE round(greatest(0, least(1, u.outcome)) * 254) END::UTINYINT AS outcome,
    round(greatest(0, least(1, u.quality)) * 254)::UTINYINT AS quality, u.theme, c.assigned <> 'fit' AS late
FROM trajectory_clusters c JOIN trajectory_units u USING (unit_id)
WHERE c.layer = $layer AND c.x IS NOT NULL AND ($every OR u.session_id IN (SELECT session_id::UUID FROM some_sessions))
ORDER BY c.cluster_id NULLS LAST, c.unit_id LIMIT $limit;

-- name: map_ids
-- Which units and sessions these are, in the same order.
SELECT c.unit_id::VARCHAR AS unit_id, u.session_id::VARCHAR AS session_id
FROM trajectory_clusters c JOIN trajectory_units u USING (unit_id)
WHERE c.layer = $layer AND c.x IS NOT NULL AND ($every OR u.session_id IN (SELECT session_id::UUID FROM some_sessions))
ORDER BY c.cluster_id NULLS LAST, c.unit_id LIMIT $limit;

-- name: units_of
-- The units of a cluster from a place on: the nearest to its middle first, or the worst by outcome, then by quality.
SELECT c.unit_id, c.strength, c.assigned, u.session_id, u.outcome, u.quality, u.node_status, u.seconds, u.prompt_tokens,
    u.completion_tokens
FROM trajectory_clusters c JOIN trajectory_units u USING (unit_id)
WHERE c.cluster_id = $cluster AND ($every OR u.session_id IN (SELECT session_id::UUID FROM some_sessions))
ORDER BY CASE WHEN $worst THEN u.outcome END NULLS LAST, CASE WHEN $worst THEN u.quality END, c.strength DESC, c.unit_id
LIMIT $limit OFFSET $start;
