-- Fits of trajectory clusters, and the names that clusters were given.

-- name: lock
-- One fit is saved at a time.
SELECT pg_advisory_xact_lock(7267426631);

-- name: current_run
-- The last fit.
SELECT cluster_run_id, previous_run_id, embedding_model, algorithm, parameters::text AS parameters, seed, input_digest,
    units, noise, layers, default_layer, trustworthiness, created_at
FROM trajectory_cluster_runs ORDER BY created_at DESC, cluster_run_id DESC LIMIT 1;

-- name: runs
-- Fits, the latest first.
SELECT cluster_run_id, previous_run_id, embedding_model, algorithm, parameters::text AS parameters, seed, units, noise,
    layers, default_layer, trustworthiness, created_at
FROM trajectory_cluster_runs ORDER BY created_at DESC, cluster_run_id DESC LIMIT %(limit)s;

-- name: add_run
-- A fit.
INSERT INTO trajectory_cluster_runs (cluster_run_id, previous_run_id, embedding_model, algorithm, parameters, seed,
    input_digest, units, noise, layers, default_layer, trustworthiness, created_at)
VALUES (%(cluster_run_id)s, %(previous_run_id)s, %(embedding_model)s, %(algorithm)s, %(parameters)s, %(seed)s,
    %(input_digest)s, %(units)s, %(noise)s, %(layers)s, %(default_layer)s, %(trustworthiness)s, %(created_at)s);

-- name: analyze
-- A fit is many rows at once, and is read before the server would look at them.
ANALYZE trajectory_cluster_members, trajectory_cluster_centroids;

-- name: centroids
-- The clusters of a fit, from the finest layer.
SELECT cluster_id, layer, parent_id, units, centroid, floor, x, y FROM trajectory_cluster_centroids
WHERE cluster_run_id = %(run)s ORDER BY layer, cluster_id;

-- name: set_centroid
-- A centroid that was made again.
UPDATE trajectory_cluster_centroids SET centroid = %(centroid)s
WHERE cluster_run_id = %(run)s AND cluster_id = %(cluster)s AND centroid IS NULL;

-- name: units_of_cluster
-- The members of a cluster that are left.
SELECT DISTINCT unit_id::text AS unit_id FROM trajectory_cluster_members
WHERE cluster_run_id = %(run)s AND %(cluster)s = ANY(cluster_ids) ORDER BY unit_id;

-- name: matches
-- What became of the clusters of the fit before.
SELECT cluster_id, previous_cluster_id, jaccard, fate FROM trajectory_cluster_matches WHERE cluster_run_id = %(run)s
ORDER BY fate, cluster_id, previous_cluster_id;

-- name: names
-- The names that count.
SELECT cluster_id, name, source FROM current_trajectory_cluster_names ORDER BY cluster_id;

-- name: name_history
-- All names of a cluster, the latest first.
SELECT name, source, given_by, given_at FROM trajectory_cluster_names WHERE cluster_id = %(cluster)s
ORDER BY given_at DESC, name_id DESC;

-- name: add_name
-- A name for a cluster.
INSERT INTO trajectory_cluster_names (name_id, cluster_id, name, source, given_by, given_at)
VALUES (%(name_id)s, %(cluster_id)s, %(name)s, %(source)s, %(given_by)s, %(given_at)s);

-- name: own_sessions
-- The sessions of a tenant.
SELECT session_id::text AS session_id FROM session WHERE scope = %(scope)s;
