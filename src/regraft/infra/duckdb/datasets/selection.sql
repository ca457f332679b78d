-- A temporary database of one freeze: candidates, copied from the workbench, and the rows that are planned from them.

-- name: schema
-- One line a candidate. Ids are text, as kinds give them.
CREATE TABLE plan (
    row_id VARCHAR PRIMARY KEY,
    kind VARCHAR, parts VARCHAR[], turns VARCHAR[], theme VARCHAR, stratum VARCHAR, task VARCHAR, anchor VARCHAR, label VARCHAR,
    label_source VARCHAR, margin DOUBLE, score DOUBLE, rank DOUBLE, length INTEGER, own_group VARCHAR, refusal VARCHAR,
    negative VARCHAR, evidence VARCHAR, agreement DOUBLE,
    human DOUBLE, outcome DOUBLE, judge DOUBLE, signals DOUBLE);
CREATE TABLE entry (row_id VARCHAR, in_group VARCHAR);

-- name: keep_units
-- Paths of other sessions than the kept ones are no candidates.
DELETE FROM unit WHERE session_id::VARCHAR NOT IN (SELECT session_id FROM kept_sessions);

-- name: keep_pairs
-- Nor are their pairs.
DELETE FROM pair WHERE session_id::VARCHAR NOT IN (SELECT session_id FROM kept_sessions);

-- name: units
-- The copied paths, by id.
SELECT * FROM unit ORDER BY unit_id;

-- name: pairs
-- The copied pairs, by id.
SELECT * FROM pair ORDER BY pair_id;

-- name: add_plans
-- Candidates arrive.
INSERT INTO plan BY NAME SELECT * EXCLUDE (groups) FROM new_plans;

-- name: add_entries
-- The groups in which they compete.
INSERT INTO entry SELECT row_id, unnest(groups) FROM new_plans;

-- name: remove_losers
-- The candidates that are not among the best $k of their own group; of equal ones the longer path comes first.
DELETE FROM plan USING (
    SELECT p.row_id, p.own_group = e.in_group AS own,
           row_number() OVER (PARTITION BY e.in_group ORDER BY p.rank DESC, p.length DESC, p.row_id) AS place
    FROM entry e JOIN plan p USING (row_id)) AS placed
WHERE plan.row_id = placed.row_id AND placed.own AND placed.place > $k;

-- name: ranked
-- What is left, the best first.
SELECT * EXCLUDE (length) FROM plan ORDER BY rank DESC, row_id;

-- name: count
-- How many are left.
SELECT count(*) FROM plan;
