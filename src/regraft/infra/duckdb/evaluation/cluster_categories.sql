-- What the categories of its paths say of a cluster. Made again from clusters and labels.

-- name: schema
-- One row for each cluster, category and maker. `layer` is that of the clusters; `source` is the layer of the labels.
CREATE TABLE IF NOT EXISTS cluster_category_labels (
    cluster_run_id UUID NOT NULL,
    layer INTEGER NOT NULL,
    cluster_id UUID NOT NULL,
    category VARCHAR NOT NULL,
    source VARCHAR NOT NULL,               -- rules, model, learned or human
    maker VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    units INTEGER NOT NULL,                -- paths of the cluster
    labelled INTEGER NOT NULL,             -- of them, those that the maker judged; rules look at all of them
    decided INTEGER NOT NULL,              -- of them, those that the category holds for
    share DOUBLE NOT NULL,                 -- decided of labelled
    share_low DOUBLE NOT NULL,             -- 95 % interval (Wilson 1927)
    share_high DOUBLE NOT NULL,
    overall DOUBLE NOT NULL,               -- the share over all paths, in clusters or not
    lift DOUBLE,                           -- share over overall; NULL: it holds nowhere
    evidence UUID[] NOT NULL,              -- the paths that it holds for most clearly, five at most
    PRIMARY KEY (layer, cluster_id, category, source, maker));

-- name: ready
-- Whether there are clusters and labels.
SELECT count(*) = 3 AS ready FROM information_schema.tables
WHERE table_name IN ('trajectory_clusters', 'trajectory_cluster_summaries', 'unit_category_labels');

-- name: forget
-- They are written whole.
DELETE FROM cluster_category_labels;

-- name: label
-- Count labels by cluster.
INSERT INTO cluster_category_labels BY NAME
WITH makers AS (
    SELECT category, layer AS source, maker, any_value(version) AS version, count(*) FILTER (WHERE value IS NOT NULL) AS said,
           count(*) FILTER (WHERE decided) AS decided
    FROM unit_category_labels GROUP BY ALL),
overall AS (
    SELECT *, decided / greatest(1, CASE source WHEN 'rules' THEN (SELECT count(*) FROM trajectory_units) ELSE said END)
               AS overall
    FROM makers),
sizes AS (
    SELECT cluster_run_id, layer, cluster_id, count(*) AS units FROM trajectory_clusters
    WHERE cluster_id IS NOT NULL GROUP BY ALL),
counted AS (
    SELECT c.layer, c.cluster_id, l.category, l.layer AS source, l.maker, count(*) FILTER (WHERE l.value IS NOT NULL) AS said,
           count(*) FILTER (WHERE l.decided) AS decided,
           list(l.unit_id ORDER BY l.value DESC, l.unit_id) FILTER (WHERE l.decided) AS holds_for
    FROM trajectory_clusters c JOIN unit_category_labels l USING (unit_id)
    WHERE c.cluster_id IS NOT NULL GROUP BY ALL),
shares AS (
    SELECT s.cluster_run_id, s.layer, s.cluster_id, o.category, o.source, o.maker, o.version, s.units, o.overall,
           CASE o.source WHEN 'rules' THEN s.units ELSE coalesce(n.said, 0) END AS labelled, coalesce(n.decided, 0) AS decided,
           coalesce(n.holds_for[1:5], []) AS evidence
    FROM sizes s CROSS JOIN overall o
    LEFT JOIN counted n ON n.layer = s.layer AND n.cluster_id = s.cluster_id AND n.category = o.category
        AND n.source = o.source AND n.maker = o.maker),
wilson AS (
    SELECT *, decided / labelled AS share, 1.959963984540054 AS z, share + z * z / (2 * labelled) AS centre,
           z * sqrt(share * (1 - share) / labelled + z * z / (4 * labelled * labelled)) AS reach, 1 + z * z / labelled AS scale
    FROM shares WHERE labelled > 0)
SELECT cluster_run_id, layer, cluster_id, category, source, maker, version, units, labelled, decided, share,
       greatest(0, (centre - reach) / scale) AS share_low, least(1, (centre + reach) / scale) AS share_high, overall,
       CASE WHEN overall > 0 THEN share / overall END AS lift, evidence
FROM wilson;

-- name: labels
-- Labels of clusters, by how far the interval lies above the rest of the log.
SELECT l.*, coalesce(s.name, '') AS cluster
FROM cluster_category_labels l LEFT JOIN trajectory_cluster_summaries s USING (cluster_id)
WHERE ($category IS NULL OR category = $category) AND ($source IS NULL OR source = $source)
  AND ($layer IS NULL OR l.layer = $layer) AND ($cluster IS NULL OR cluster_id = $cluster::UUID)
ORDER BY CASE WHEN overall > 0 THEN share_low / overall END DESC NULLS LAST, lift DESC NULLS LAST, l.units DESC, cluster_id, category, source, maker LIMIT $limit;

-- name: count
-- How many rows, clusters and categories there are.
SELECT count(*) AS labels, count(DISTINCT cluster_id) AS clusters FROM cluster_category_labels;
