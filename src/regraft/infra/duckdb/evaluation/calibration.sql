-- Judges beside people on the same items, and what their agreement comes to.

-- name: schema
-- The figures of each judge by task, category and theme. Everything here is made again from the truth.
CREATE TABLE IF NOT EXISTS judge_calibration (
    judge VARCHAR NOT NULL,                -- a judge's name, or a source with its annotator; 'people': each against the others
    judge_version VARCHAR NOT NULL,        -- '' for a source that was imported or reported
    source VARCHAR NOT NULL,               -- judge, imported, reported or people
    given_by VARCHAR NOT NULL,             -- model, program, person, or '' where that is not known
    model VARCHAR NOT NULL,                -- that a judge of ours asks; '' otherwise
    task VARCHAR NOT NULL,                 -- categories, preference or rating
    category VARCHAR NOT NULL,             -- '' but for the task categories
    theme VARCHAR,                         -- NULL: all themes together
    scope VARCHAR,                         -- the tenant whose items alone are compared; NULL: all together
    items INTEGER NOT NULL,                -- that people judged too
    components INTEGER NOT NULL,           -- sessions that they are from
    kappa DOUBLE,                          -- Cohen's; with quadratic weights for ratings; NULL: not defined
    kappa_low DOUBLE, kappa_high DOUBLE,   -- 95 % bootstrap interval over components
    agreement DOUBLE,                      -- what recipes ask for: of pairs the least kappa by side and by length, of ratings also among equal lengths
    accuracy DOUBLE, precision DOUBLE, recall DOUBLE,
    f1 DOUBLE, f1_low DOUBLE, f1_high DOUBLE,  -- of a category; the mean over labels otherwise
    labels VARCHAR[] NOT NULL,
    confusion BIGINT[][] NOT NULL,         -- people's label by the judge's
    flips DOUBLE,                          -- share of pairs on which the order of the answers changed the preference
    first_share DOUBLE,                    -- share of its decided votes for the answer that was shown first
    longer_share DOUBLE, people_longer_share DOUBLE,   -- of decided pairs of unequal length
    own_pairs INTEGER,                     -- pairs of which one answer is from the judge's model family
    own_share DOUBLE, people_own_share DOUBLE,         -- preferences for that answer
    judged INTEGER,                        -- items that the judge labelled, also where people did not
    prevalence DOUBLE,                     -- share of them to which it gives the category
    corrected_prevalence DOUBLE,           -- after Rogan and Gladen
    kappa_early DOUBLE, kappa_late DOUBLE, -- of the first and the second half of its judgements in time
    snapshots VARCHAR[] NOT NULL,          -- of the model, of the items
    stale VARCHAR NOT NULL);               -- '', rubric (another version is used now) or model (another snapshot answers now)
CREATE TABLE IF NOT EXISTS judge_comparison (
    judge VARCHAR NOT NULL,
    judge_version VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    theme VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    session_id UUID NOT NULL,
    node_id UUID NOT NULL,                 -- the unit, or side a
    other_node_id UUID,                    -- side b
    people VARCHAR NOT NULL,               -- their label
    said VARCHAR NOT NULL,                 -- the judge's
    judged_at TIMESTAMP);

CREATE TABLE IF NOT EXISTS judge_contrast (
    judge VARCHAR NOT NULL,
    judge_version VARCHAR NOT NULL,
    other VARCHAR NOT NULL,                -- another judge of the same items
    other_version VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    items BIGINT NOT NULL,                 -- that both judged, people or not
    kappa DOUBLE,                          -- Cohen's; with quadratic weights for ratings; NULL: not defined
    same DOUBLE NOT NULL);                 -- share of the items with one label from both
ALTER TABLE judge_contrast ADD COLUMN IF NOT EXISTS scope VARCHAR;   -- the tenant whose items alone count; NULL: all together

-- name: prepare
-- Judgements by who gave them; the latest of one judge on one thing counts, and what clients report counts each time.
CREATE MACRO most(a, b, e, x) AS
    CASE WHEN a > b AND a > e AND a > x THEN 'a' WHEN b > a AND b > e AND b > x THEN 'b'
         WHEN x > a AND x > b AND x > e THEN 'both_bad' ELSE 'equal' END;
CREATE MACRO grade(share) AS greatest(1, least(5, 1 + floor(4 * share + 0.5)))::INTEGER::VARCHAR;
CREATE TABLE answer AS SELECT DISTINCT ON (node_id) * FROM answers ORDER BY node_id;
CREATE TABLE said AS
    SELECT f.node_id, k.rater, k.kind, k.source, n.basis, n.place, f.name,
           CASE WHEN f.comparison = '' THEN coalesce('anchor ' || x.anchor, '') ELSE f.comparison END AS comparison,
           avg(f.value) AS value, max(coalesce(f.scale_low, n.low)) AS low, max(coalesce(f.scale_high, n.high)) AS high,
           max(f.given_at) AS judged_at
    FROM (SELECT *, row_number() OVER (PARTITION BY turn_id, name, source, annotator, comparison, imported
                                       ORDER BY given_at DESC, feedback_id DESC) AS place FROM feedback) AS f
    JOIN raters k ON k.said_by = f.source AND k.annotator = f.annotator AND k.given_by = f.given_by AND k.imported = f.imported
    JOIN names n ON n.said_by = f.source AND n.name = f.name AND n.compared = (f.comparison <> '') AND n.imported = f.imported
    JOIN answer x ON x.node_id = f.node_id
    WHERE f.place = 1 OR NOT f.imported
    GROUP BY ALL;

-- name: pairs
-- What each judge says of two answers: preferences and ranks of one comparison; else the ratings of answers to one context.
CREATE TABLE best AS
    SELECT s.rater, a.anchor, min(s.place) AS place FROM said s JOIN answer a USING (node_id)
    WHERE s.basis = 'rating' AND a.anchor IS NOT NULL GROUP BY ALL;
CREATE TABLE told AS
    SELECT a.node_id AS node_a, b.node_id AS node_b, a.rater, a.kind, a.source, 0 AS weight,
           sign(CASE a.basis WHEN 'rank' THEN b.value - a.value ELSE a.value - b.value END) AS better,
           a.basis = 'preference' AND a.value <= 0 AND b.value <= 0 AS both_bad, a.judged_at
    FROM (SELECT *, max(value) OVER (PARTITION BY rater, basis, comparison) AS top FROM said
          WHERE basis IN ('preference', 'rank') AND comparison <> '') AS a
    JOIN said b ON b.rater = a.rater AND b.basis = a.basis AND b.comparison = a.comparison AND b.name = a.name
               AND b.node_id > a.node_id
    WHERE NOT (a.basis = 'preference' AND a.value <= 0 AND b.value <= 0 AND a.top > 0)
    UNION ALL
    SELECT a.node_id, b.node_id, a.rater, a.kind, a.source, 1, sign(a.value - b.value), false, a.judged_at
    FROM best
    JOIN answer x ON x.anchor = best.anchor
    JOIN said a ON a.node_id = x.node_id AND a.rater = best.rater AND a.basis = 'rating' AND a.place = best.place
    JOIN answer y ON y.anchor = best.anchor AND y.node_id > x.node_id
    JOIN said b ON b.node_id = y.node_id AND b.rater = a.rater AND b.basis = 'rating' AND b.name = a.name;
CREATE TABLE verdict AS
    SELECT node_a, node_b, rater, kind, source, '' AS judge_version, '' AS snapshot,
           CASE WHEN bool_and(both_bad) THEN 'both_bad' WHEN sum(better) > 0 THEN 'a' WHEN sum(better) < 0 THEN 'b'
                ELSE 'equal' END AS preference, max(judged_at) AS judged_at
    FROM (SELECT *, min(weight) OVER (PARTITION BY node_a, node_b, rater) AS least FROM told) AS t
    WHERE weight = least GROUP BY ALL
    UNION ALL
    SELECT p.node_a, p.node_b, CASE WHEN p.source = 'human' THEN 'review: ' || p.decided_by ELSE p.decided_by END,
           CASE p.source WHEN 'human' THEN 'person' WHEN 'model' THEN 'model' ELSE '' END,
           CASE WHEN p.judge_version IS NOT NULL THEN 'judge' WHEN p.source = 'imported' THEN 'imported' ELSE 'reported' END,
           coalesce(p.judge_version, ''), coalesce(v.snapshot, ''), p.preference, p.created_at
    FROM preferences p
    LEFT JOIN (SELECT judge_version, node_a, node_b, max(model_snapshot) AS snapshot FROM pair_votes GROUP BY ALL) AS v
        ON v.judge_version = p.judge_version AND v.node_a = p.node_a AND v.node_b = p.node_b;
CREATE TABLE ballot AS
    SELECT node_a, node_b, count(*) FILTER (WHERE preference = 'a') AS a, count(*) FILTER (WHERE preference = 'b') AS b,
           count(*) FILTER (WHERE preference = 'equal') AS e, count(*) FILTER (WHERE preference = 'both_bad') AS x,
           count(*) AS raters
    FROM verdict WHERE kind = 'person' GROUP BY ALL;
CREATE TABLE compared AS
    SELECT v.rater AS judge, v.judge_version, v.source, v.kind AS given_by, 'preference' AS task, '' AS category, v.node_a, v.node_b,
           most(o.a, o.b, o.e, o.x) AS people, v.preference AS said, v.judged_at, v.snapshot
    FROM verdict v JOIN ballot o USING (node_a, node_b) WHERE v.kind <> 'person'
    UNION ALL
    SELECT 'people', '', 'people', 'person', 'preference', '', v.node_a, v.node_b,
           most(o.a - (v.preference = 'a')::INTEGER, o.b - (v.preference = 'b')::INTEGER, o.e - (v.preference = 'equal')::INTEGER,
                o.x - (v.preference = 'both_bad')::INTEGER), v.preference, v.judged_at, ''
    FROM verdict v JOIN ballot o USING (node_a, node_b) WHERE v.kind = 'person' AND o.raters > 1;

-- name: units
-- What judges say of paths beside people: categories, where one that a rater did not name counts as no; and ratings.
CREATE TABLE named AS
    SELECT unit_id, count(*) AS raters, flatten(list(from_json(categories, '["VARCHAR"]'))) AS named
    FROM human_ratings GROUP BY ALL;
INSERT INTO compared
    SELECT v.judge, l.judge_version, 'judge', 'model', 'categories', l.category, l.unit_id, NULL,
           CASE WHEN 2 * len(list_filter(h.named, lambda one: one = l.category)) > h.raters THEN 'yes' ELSE 'no' END,
           CASE WHEN l.value > 0.5 THEN 'yes' ELSE 'no' END, l.judged_at, l.model_snapshot
    FROM judge_labels l JOIN versions v USING (judge_version) JOIN named h USING (unit_id)
    WHERE l.value <> 0.5 AND 2 * len(list_filter(h.named, lambda one: one = l.category)) <> h.raters;
CREATE TABLE graded AS
    SELECT unit_id AS node_id, 'review: ' || reviewer AS rater, 'person' AS kind, 'people' AS source, '' AS judge_version, (rating - 1) / 4.0 AS share,
           created_at AS judged_at, '' AS snapshot
    FROM human_ratings
    UNION ALL
    SELECT r.unit_id, v.judge, 'model', 'judge', r.judge_version, (r.rating - 1) / 4.0, r.judged_at, r.model_snapshot
    FROM judge_ratings r JOIN versions v USING (judge_version)
    UNION ALL
    SELECT node_id, rater, kind, source, '', avg((value - low) / (high - low)), max(judged_at), ''
    FROM (SELECT *, min(place) OVER (PARTITION BY node_id, rater) AS least FROM said WHERE basis = 'rating') AS s
    WHERE place = least AND high > low AND value BETWEEN low AND high
    GROUP BY ALL;
INSERT INTO compared
    WITH people AS (SELECT node_id, sum(share) AS total, count(*) AS raters FROM graded WHERE kind = 'person' GROUP BY ALL)
    SELECT g.rater, g.judge_version, g.source, g.kind, 'rating', '', g.node_id, NULL, grade(p.total / p.raters), grade(g.share),
           g.judged_at, g.snapshot
    FROM graded g JOIN people p USING (node_id) WHERE g.kind <> 'person'
    UNION ALL
    SELECT 'people', '', 'people', 'person', 'rating', '', g.node_id, NULL, grade((p.total - g.share) / (p.raters - 1)),
           grade(g.share), g.judged_at, ''
    FROM graded g JOIN people p USING (node_id) WHERE g.kind = 'person' AND p.raters > 1;

-- name: items
-- Each comparison with what it may depend on: the lengths and models of both answers. Ordered by judge, then in time.
SELECT dense_rank() OVER (ORDER BY c.task, c.judge, c.judge_version, c.source, c.given_by, c.category) - 1 AS judge_group,
       c.judge, c.judge_version, c.source, c.given_by, coalesce(v.model, '') AS model, c.task, c.category, a.theme, a.scope,
       a.session_id, dense_rank() OVER (ORDER BY a.session_id) - 1 AS component, c.node_a AS node_id, c.node_b AS other_node_id,
       c.people, c.said, c.judged_at, c.snapshot,
       coalesce(a.characters, 0) AS characters,
       CASE WHEN a.characters > b.characters THEN 'a' WHEN b.characters > a.characters THEN 'b' ELSE '' END AS longer,
       CASE WHEN (fa.family = fj.family) = (fb.family = fj.family) THEN '' WHEN fa.family = fj.family THEN 'a' ELSE 'b' END
           AS own
FROM compared c JOIN answer a ON a.node_id = c.node_a LEFT JOIN answer b ON b.node_id = c.node_b
LEFT JOIN versions v ON v.judge_version = c.judge_version AND c.judge_version <> ''
LEFT JOIN families fa ON fa.name = a.model LEFT JOIN families fb ON fb.name = b.model
LEFT JOIN families fj ON fj.name = coalesce(v.model, c.judge) AND fj.family <> ''
ORDER BY judge_group, c.judged_at NULLS FIRST, c.node_a, c.node_b, c.said, c.people;

-- name: contrasts
-- How often each two judges gave which labels to the same item, in all and by tenant; of judges of ours the versions in
-- use.
WITH given AS (
    SELECT rater AS judge, judge_version, 'preference' AS task, '' AS category, node_a, node_b, preference AS label
    FROM verdict WHERE kind <> 'person'
    UNION ALL
    SELECT v.judge, l.judge_version, 'categories', l.category, l.unit_id, '', CASE WHEN l.value > 0.5 THEN 'yes' ELSE 'no' END
    FROM judge_labels l JOIN versions v USING (judge_version) WHERE l.value <> 0.5
    UNION ALL
    SELECT rater, judge_version, 'rating', '', node_id, '', grade(share) FROM graded WHERE kind <> 'person'),
used AS (
    SELECT g.* FROM given g LEFT JOIN versions v USING (judge_version) WHERE g.judge_version = '' OR v.current)
SELECT x.judge, x.judge_version, y.judge AS other, y.judge_version AS other_version, x.task, x.category, x.label,
       y.label AS other_label, CASE WHEN grouping(a.scope) = 0 THEN a.scope END AS scope, count(*) AS items
FROM used x JOIN used y USING (task, category, node_a, node_b) JOIN answer a ON a.node_id = x.node_a
WHERE x.judge < y.judge
GROUP BY GROUPING SETS (
    (x.judge, x.judge_version, y.judge, y.judge_version, x.task, x.category, x.label, y.label),
    (x.judge, x.judge_version, y.judge, y.judge_version, x.task, x.category, x.label, y.label, a.scope))
ORDER BY ALL;

-- name: positions
-- Of each version of a judge: pairs asked about in both orders, those on which the order changed the preference, decided
-- votes, and those for the answer that was shown first.
WITH sides AS (
    SELECT judge_version, pair_id, shown_first,
           most(count(*) FILTER (WHERE preference = 'a'), count(*) FILTER (WHERE preference = 'b'),
                count(*) FILTER (WHERE preference = 'equal'), count(*) FILTER (WHERE preference = 'both_bad')) AS preference
    FROM pair_votes GROUP BY ALL),
orders AS (
    SELECT judge_version, pair_id, count(*) AS orders, count(DISTINCT preference) AS preferences FROM sides GROUP BY ALL),
flips AS (
    SELECT judge_version, count(*) FILTER (WHERE orders = 2) AS pairs,
           count(*) FILTER (WHERE orders = 2 AND preferences = 2) AS flipped
    FROM orders GROUP BY ALL),
votes AS (
    SELECT judge_version, count(*) FILTER (WHERE preference IN ('a', 'b')) AS decided,
           count(*) FILTER (WHERE preference = shown_first) AS first
    FROM pair_votes GROUP BY ALL)
SELECT * FROM flips JOIN votes USING (judge_version);

-- name: prevalences
-- Of each version of a judge: the paths that it labelled, and those to which it gives a category; by theme, and in all.
SELECT l.judge_version, l.category, CASE WHEN grouping(a.theme) = 0 THEN a.theme END AS theme, count(*) AS judged,
       avg(CASE WHEN l.value > 0.5 THEN 1.0 WHEN l.value < 0.5 THEN 0.0 ELSE 0.5 END) AS prevalence
FROM judge_labels l JOIN answer a ON a.node_id = l.unit_id
GROUP BY GROUPING SETS ((l.judge_version, l.category), (l.judge_version, l.category, a.theme));

-- name: replace_figures
-- The figures are written whole.
DELETE FROM judge_calibration;
INSERT INTO judge_calibration BY NAME SELECT * FROM new_figures;
DELETE FROM judge_comparison;
INSERT INTO judge_comparison BY NAME
SELECT judge, judge_version, source, task, category, theme, scope, session_id::UUID AS session_id, node_id::UUID AS node_id,
       other_node_id::UUID AS other_node_id, people, said, judged_at
FROM new_items;

-- name: replace_contrasts
-- The contrasts are written whole.
DELETE FROM judge_contrast;
INSERT INTO judge_contrast BY NAME SELECT * FROM new_contrasts;

-- name: all_contrasts
-- Each two judges of the same items, of all tenants or of one; those that differ most first.
SELECT * FROM judge_contrast WHERE scope IS NOT DISTINCT FROM $scope ORDER BY task, kappa NULLS LAST, judge, other, category;

-- name: figures
-- All figures: of each judge in all, then by theme; or those of a tenant.
SELECT * FROM judge_calibration WHERE scope IS NOT DISTINCT FROM $scope
ORDER BY task, source = 'people', judge, judge_version, category, theme IS NOT NULL, theme;

-- name: disagreements
-- Items on which a judge and people differ, the latest first; all judges' where none is named.
SELECT * FROM judge_comparison
WHERE people <> said AND ($judge IS NULL OR judge = $judge) AND ($theme IS NULL OR theme = $theme)
  AND ($category IS NULL OR category = $category) AND ($scope IS NULL OR scope = $scope) AND source <> 'people'
ORDER BY judged_at DESC NULLS LAST, judge, node_id, other_node_id, category LIMIT $n;
