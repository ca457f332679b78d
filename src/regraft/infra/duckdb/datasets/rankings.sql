-- Which trajectories a recipe ranks first and last. Everything here can be made again from the truth.

-- name: schema
-- The best of each stratum, and the worst with what is wrong with them.
CREATE TABLE IF NOT EXISTS positive_topk_trajectories (
    recipe VARCHAR NOT NULL,               -- the recipe's name
    stratum VARCHAR NOT NULL,
    place INTEGER NOT NULL,                -- from 1, the best
    unit_id VARCHAR NOT NULL,              -- the terminal node
    turn_id VARCHAR NOT NULL,
    score DOUBLE NOT NULL,                 -- 0 to 1, by the recipe's weights and labels
    human DOUBLE, outcome DOUBLE, judge DOUBLE, signals DOUBLE,   -- its parts; NULL: unknown
    label_source VARCHAR NOT NULL,         -- the best part that is known
    why VARCHAR NOT NULL,
    PRIMARY KEY (recipe, unit_id));
CREATE TABLE IF NOT EXISTS negative_bottomk_trajectories (
    recipe VARCHAR NOT NULL,
    stratum VARCHAR NOT NULL,
    place INTEGER NOT NULL,                -- from 1, the worst
    unit_id VARCHAR NOT NULL,
    turn_id VARCHAR NOT NULL,
    score DOUBLE NOT NULL,
    human DOUBLE, outcome DOUBLE, judge DOUBLE, signals DOUBLE,
    label_source VARCHAR NOT NULL,
    type VARCHAR NOT NULL,                 -- hard_negative, tool_misuse, hallucination, noise_reject, suppression_candidate
    why VARCHAR NOT NULL,                  -- the evidence
    PRIMARY KEY (recipe, unit_id));

-- name: forget_positives
-- A recipe's ranks are written whole.
DELETE FROM positive_topk_trajectories WHERE recipe = $recipe;

-- name: forget_negatives
-- A recipe's ranks are written whole.
DELETE FROM negative_bottomk_trajectories WHERE recipe = $recipe;

-- name: add_positives
-- The best.
INSERT INTO positive_topk_trajectories BY NAME SELECT * EXCLUDE (type) FROM new_ranks;

-- name: add_negatives
-- The worst.
INSERT INTO negative_bottomk_trajectories BY NAME SELECT * FROM new_ranks;

-- name: positives
-- The best of each stratum of a recipe.
SELECT * FROM positive_topk_trajectories WHERE recipe = $recipe ORDER BY stratum, place LIMIT $n;

-- name: negatives
-- The worst of each stratum of a recipe.
SELECT * FROM negative_bottomk_trajectories WHERE recipe = $recipe ORDER BY stratum, place LIMIT $n;
