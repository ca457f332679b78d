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
