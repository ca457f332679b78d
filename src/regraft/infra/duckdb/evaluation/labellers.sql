-- What the learned labeller is trained on, and what it is worth. Made again from units, vectors and people's labels.

-- name: schema
-- The figures of each category's labeller on held-out labels. `reason` '' says that it decides.
CREATE TABLE IF NOT EXISTS category_labellers (
    category VARCHAR PRIMARY KEY,
    version VARCHAR NOT NULL,
    embedding_model VARCHAR NOT NULL,
    labels INTEGER NOT NULL,               -- of people
    positives INTEGER NOT NULL,
    components INTEGER NOT NULL,           -- unrelated conversations that they are of
    majority DOUBLE NOT NULL,              -- accuracy of always giving the more frequent label
    accuracy DOUBLE,                       -- of held-out labels, as all that follows; NULL: it was not trained
    kappa DOUBLE,
    precision DOUBLE,
    recall DOUBLE,
    f1 DOUBLE,
    auc DOUBLE,
    certainty DOUBLE,                      -- share of resamples in which it beats the majority class
    strength DOUBLE,                       -- inverse of the regularisation
    reason VARCHAR NOT NULL);              -- why it decides nothing
CREATE TABLE IF NOT EXISTS category_labeller_state (state VARCHAR NOT NULL);

-- name: vectors_there
-- Whether trajectories were ever embedded.
SELECT count(*) AS tables FROM information_schema.tables WHERE table_name = 'trajectory_embeddings';

-- name: learnable
-- Units with a vector of the model that has most of them, and their signals: what was measured, and what rules say of it.
CREATE TEMPORARY VIEW learnable AS
WITH ruled AS (
    SELECT unit_id, map(list(category), list(value)) AS said FROM unit_category_labels WHERE layer = 'rules' GROUP BY unit_id),
known AS (
    SELECT list(DISTINCT category ORDER BY category) AS categories FROM unit_category_labels WHERE layer = 'rules')
SELECT u.unit_id, u.session_id, u.task_key, e.model, e.text_hash, e.vector,
       [ln(1 + u.turns), ln(1 + u.tool_calls), ln(1 + u.tool_errors), ln(1 + u.repeated_calls), ln(1 + u.recovered_calls),
        ln(1 + u.prompt_tokens), ln(1 + u.completion_tokens), ln(1 + u.seconds), ln(1 + u.answer_length),
        ln(greatest(u.relative_length, 0.01)), u.repetition, u.quality,
        coalesce(u.outcome, u.imported_outcome, 0.5)]::DOUBLE[]
           || list_transform(coalesce(known.categories, []), lambda c: coalesce(ruled.said[c], 0.0)) AS signals
FROM trajectory_units u JOIN trajectory_embeddings e USING (unit_id) CROSS JOIN known LEFT JOIN ruled USING (unit_id)
WHERE len(e.vector) > 0 AND e.model = (
    SELECT model FROM trajectory_embeddings WHERE len(vector) > 0 GROUP BY model ORDER BY count(*) DESC, model LIMIT 1);

-- name: state
-- A digest of what labels are learned from.
SELECT md5(concat_ws('|', $version,
                     (SELECT md5(string_agg(concat_ws(' ', unit_id, model, text_hash, signals, session_id, task_key), ','
                                            ORDER BY unit_id)) FROM learnable),
                     (SELECT md5(string_agg(concat_ws(' ', unit_id, category, value), ',' ORDER BY unit_id, category))
                      FROM unit_category_labels WHERE layer = 'human'))) AS state;

-- name: known_state
-- The digest of what they were learned from last.
SELECT state FROM category_labeller_state;

-- name: units
-- The units with vectors and signals.
SELECT unit_id::VARCHAR AS unit_id, session_id::VARCHAR AS session_id, coalesce(task_key, '') AS task_key, model, text_hash,
       vector, signals
FROM learnable ORDER BY unit_id;

-- name: people
-- What people say of units that have a vector, but where as many said yes as no.
SELECT l.category, l.unit_id::VARCHAR AS unit_id, l.value > 0.5 AS holds
FROM unit_category_labels l JOIN learnable u USING (unit_id)
WHERE l.layer = 'human' AND l.value <> 0.5 ORDER BY l.category, l.unit_id;

-- name: forget_labels
-- Take out what was learned.
DELETE FROM unit_category_labels WHERE layer = 'learned';

-- name: forget_figures
-- And what it was worth.
DELETE FROM category_labellers;

-- name: forget_state
-- And what it was learned from.
DELETE FROM category_labeller_state;

-- name: add_labels
-- Put in learned labels.
INSERT INTO unit_category_labels BY NAME
SELECT n.unit_id::UUID AS unit_id, u.session_id, n.category, 'learned' AS layer, 'learned' AS maker, n.version, n.value, n.decided,
       greatest(n.value, 1 - n.value) AS confidence, 1 AS votes, 0 AS unparseable, n.evidence, NULL AS model_snapshot
FROM new_labels n JOIN trajectory_units u ON u.unit_id = n.unit_id::UUID;

-- name: add_figures
-- Put in figures.
INSERT INTO category_labellers BY NAME SELECT * FROM new_figures;

-- name: add_state
-- Remember what they were learned from.
INSERT INTO category_labeller_state VALUES ($state);

-- name: figures
-- What each labeller is worth.
SELECT * FROM category_labellers ORDER BY category;
