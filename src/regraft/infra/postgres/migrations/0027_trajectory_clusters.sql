-- Clusters of trajectories. Which unit a fit put where cannot be made again equal once units came or went, so it is kept
-- here; what follows from it (the clusters of later units, summaries) is in the workbench.

-- A fit. `input_digest`: of the units, their texts and the embedding model.
CREATE TABLE trajectory_cluster_runs (
    cluster_run_id   uuid PRIMARY KEY,
    previous_run_id  uuid REFERENCES trajectory_cluster_runs,
    embedding_model  text NOT NULL,
    algorithm        text NOT NULL,              -- with its version
    parameters       jsonb NOT NULL,
    seed             bigint NOT NULL,
    input_digest     bytea NOT NULL,
    units            integer NOT NULL,
    noise            integer NOT NULL,           -- at the default layer
    layers           integer NOT NULL,
    default_layer    integer NOT NULL,           -- the one with the clearest clusters; 0 is the finest
    trustworthiness  double precision,           -- of the map, 0 to 1; NULL: too few units to say
    created_at       timestamptz NOT NULL
);

-- The clusters of a fit. A cluster that a later fit finds again keeps its id there.
CREATE TABLE trajectory_cluster_centroids (
    cluster_run_id   uuid NOT NULL REFERENCES trajectory_cluster_runs ON DELETE CASCADE,
    cluster_id       uuid NOT NULL,
    layer            integer NOT NULL,
    parent_id        uuid,                       -- the cluster of the next layer that most of it is in; NULL: none
    units            integer NOT NULL,           -- when it was made
    centroid         bytea,                      -- little-endian 32-bit floats, of length 1; NULL: a member was erased,
                                                 -- so it is made again from those that are left
    floor            double precision NOT NULL,  -- least cosine to the centroid that makes a member
    x                double precision NOT NULL,  -- of its middle on the map
    y                double precision NOT NULL,
    PRIMARY KEY (cluster_run_id, cluster_id)
);

-- What a fit said of each unit. An erased unit is taken out.
CREATE TABLE trajectory_cluster_members (
    cluster_run_id   uuid NOT NULL REFERENCES trajectory_cluster_runs ON DELETE CASCADE,
    position         integer NOT NULL,
    unit_id          uuid NOT NULL,
    cluster_ids      uuid[] NOT NULL,            -- one a layer, from the finest; NULL is noise
    strengths        real[] NOT NULL,            -- cosine to the centroid of the other members; 0 of noise
    x                double precision NOT NULL,  -- on the map, -1 to 1
    y                double precision NOT NULL,
    PRIMARY KEY (cluster_run_id, position)
);
CREATE INDEX ON trajectory_cluster_members (unit_id);

-- How the clusters of a fit are those of the one before. A cluster that is `new` has no previous one, one that is `gone`
-- or `merged` into another has no cluster of its own id any more.
CREATE TABLE trajectory_cluster_matches (
    cluster_run_id       uuid NOT NULL REFERENCES trajectory_cluster_runs ON DELETE CASCADE,
    cluster_id           uuid,
    previous_cluster_id  uuid,
    jaccard              double precision NOT NULL,   -- of the units that both fits saw
    fate                 text NOT NULL CHECK (fate IN ('kept', 'split', 'merged', 'new', 'gone'))
);
CREATE INDEX ON trajectory_cluster_matches (cluster_run_id);

-- Names that were given to clusters. Append-only: the last one by a person counts, else the last one by a model.
CREATE TABLE trajectory_cluster_names (
    name_id          uuid PRIMARY KEY,
    cluster_id       uuid NOT NULL,
    name             text NOT NULL,
    source           text NOT NULL CHECK (source IN ('human', 'model')),
    given_by         text NOT NULL,
    given_at         timestamptz NOT NULL
);
CREATE INDEX ON trajectory_cluster_names (cluster_id);

CREATE VIEW current_trajectory_cluster_names AS
    SELECT DISTINCT ON (cluster_id) * FROM trajectory_cluster_names
    ORDER BY cluster_id, source = 'human' DESC, given_at DESC, name_id DESC;
