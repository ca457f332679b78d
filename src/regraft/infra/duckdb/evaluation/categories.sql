-- Categories of paths, by who says so. Made again from the units, the pivots, and what the truth holds of people and judges.

-- name: schema
-- The tables. `layer` is rules, model, learned or human; layers never overwrite one another.
CREATE TABLE IF NOT EXISTS unit_category_labels (
    unit_id UUID NOT NULL,
    session_id UUID NOT NULL,
    category VARCHAR NOT NULL,
    layer VARCHAR NOT NULL,
    maker VARCHAR NOT NULL,                -- rules, people, learned, or a judge's name
    version VARCHAR NOT NULL,              -- of the maker: another taxonomy, rule, rubric or training is another one
    value DOUBLE,                          -- 0 to 1; NULL: no answer of the judge could be read
    decided BOOLEAN NOT NULL,              -- whether the category holds by this maker
    confidence DOUBLE NOT NULL,            -- 0 to 1
    votes INTEGER NOT NULL,                -- raters, or answers of a judge that could be read
    unparseable INTEGER NOT NULL,          -- answers that could not
    evidence VARCHAR NOT NULL,             -- a JSON list of texts
    model_snapshot VARCHAR,                -- of a judge
    PRIMARY KEY (unit_id, category, layer, maker));
CREATE TABLE IF NOT EXISTS category_states (session_id VARCHAR PRIMARY KEY, state VARCHAR NOT NULL);

-- name: units_there
-- Whether units were ever measured.
SELECT count(*) AS tables FROM information_schema.tables WHERE table_name = 'trajectory_units';

-- name: value_units
-- What rules look at, but for the answers' texts: the outcome of each path, those of the other answers to its last context,
-- and how paths from one context ended with and without a tool call.
CREATE TEMPORARY VIEW facts AS
WITH units AS (
    SELECT * EXCLUDE (text, outcome), coalesce(outcome, imported_outcome) AS outcome FROM trajectory_units),
siblings AS (
    SELECT anchor, list(outcome ORDER BY unit_id) AS outcomes FROM units WHERE outcome IS NOT NULL GROUP BY anchor
    HAVING count(*) > 1),
sides AS (
    SELECT anchor_turn_id, sum(mean * leaves) FILTER (WHERE tool_calls > 0) / sum(leaves) FILTER (WHERE tool_calls > 0) AS mean_with,
           sum(leaves) FILTER (WHERE tool_calls > 0) AS leaves_with,
           sum(mean * leaves) FILTER (WHERE tool_calls = 0) / sum(leaves) FILTER (WHERE tool_calls = 0) AS mean_without,
           sum(leaves) FILTER (WHERE tool_calls = 0) AS leaves_without
    FROM pivot_answers WHERE source = 'outcome' GROUP BY anchor_turn_id
    HAVING leaves_with > 0 AND leaves_without > 0),
through AS (
    SELECT step.unit_id, list({'anchor': a.anchor_turn_id::VARCHAR, 'calls': a.tool_calls > 0, 'mean_with': s.mean_with,
                               'leaves_with': s.leaves_with::BIGINT, 'mean_without': s.mean_without,
                               'leaves_without': s.leaves_without::BIGINT} ORDER BY a.anchor_turn_id) AS counterfactuals
    FROM (SELECT unit_id, unnest(path_nodes) AS node_id FROM trajectory_units) AS step
    JOIN pivot_answers a ON a.node_id = step.node_id AND a.source = 'outcome'
    JOIN sides s ON s.anchor_turn_id = a.anchor_turn_id
    GROUP BY step.unit_id)
SELECT u.unit_id::VARCHAR AS unit_id, u.session_id::VARCHAR AS session_id, u.node_status, u.finish_reasons[-1] AS finish_reason,
       u.answer_empty, u.turns, u.tool_calls, u.tool_errors, u.repeated_calls, u.recovered_calls, u.prompt_tokens,
       u.completion_tokens, u.seconds, u.answer_length, u.relative_length, u.repetition, u.quality, u.outcome,
       coalesce(s.outcomes, []) AS sibling_outcomes, coalesce(t.counterfactuals, []) AS counterfactuals
FROM units u LEFT JOIN siblings s ON s.anchor = u.anchor LEFT JOIN through t ON t.unit_id = u.unit_id;

-- name: changed
-- Sessions whose units are not what their labels were made from, or by other rules.
SELECT coalesce(now.session_id, before.session_id) AS session_id, now.state
FROM (SELECT session_id, md5($version || string_agg(facts::VARCHAR, ',' ORDER BY unit_id)) AS state
      FROM facts GROUP BY session_id) AS now
FULL JOIN category_states before USING (session_id)
WHERE now.state IS DISTINCT FROM before.state ORDER BY session_id;

-- name: facts
-- What rules look at, of sessions; `tail` is the end of the last answer.
SELECT facts.*, right(u.text, $tail) AS tail
FROM facts JOIN trajectory_units u ON u.unit_id = facts.unit_id::UUID
WHERE u.session_id IN (SELECT unnest($sessions::UUID[])) ORDER BY facts.unit_id;

-- name: forget_rules
-- Remove labels of sessions by rules.
DELETE FROM unit_category_labels WHERE layer = 'rules' AND session_id IN (SELECT session_id::UUID FROM new_states);

-- name: forget_states
-- And what that was made from.
DELETE FROM category_states WHERE session_id IN (SELECT session_id FROM new_states);

-- name: add_states
-- Remember what labels were made from.
INSERT INTO category_states SELECT session_id, state FROM new_states WHERE state IS NOT NULL;

-- name: forget_vanished
-- Take out labels of units that are no longer there.
DELETE FROM unit_category_labels WHERE unit_id NOT IN (SELECT unit_id FROM trajectory_units);

-- name: forget_layer
-- Take out a layer.
DELETE FROM unit_category_labels WHERE layer = $layer;

-- name: add
-- Put in labels of units that are there.
INSERT INTO unit_category_labels BY NAME
SELECT n.* REPLACE (n.unit_id::UUID AS unit_id), u.session_id FROM new_labels n JOIN trajectory_units u ON u.unit_id = n.unit_id::UUID;

-- name: coverage
-- How many units each maker says something of, and of how many it decides that a category holds.
SELECT category, layer, maker, any_value(version) AS version, count(*) AS labels, count(*) FILTER (WHERE decided) AS decided,
       count(*) FILTER (WHERE value IS NULL) AS unreadable
FROM unit_category_labels WHERE $sessions IS NULL OR session_id IN (SELECT unnest($sessions::UUID[]))
GROUP BY category, layer, maker ORDER BY category, layer, maker;

-- name: covered
-- How many units there are, and how many of them each layer says something of; the layer '' is any.
SELECT coalesce(layer, '') AS layer, count(DISTINCT unit_id) AS labelled, (SELECT count(*) FROM trajectory_units) AS units
FROM unit_category_labels GROUP BY ROLLUP (layer) ORDER BY layer;

-- name: labels
-- Labels, those that decide first, then by value.
SELECT l.*, u.theme, u.model FROM unit_category_labels l JOIN trajectory_units u USING (unit_id)
WHERE ($category IS NULL OR l.category = $category) AND ($layer IS NULL OR l.layer = $layer)
  AND ($maker IS NULL OR l.maker = $maker) AND ($theme IS NULL OR u.theme = $theme)
  AND ($unit IS NULL OR l.unit_id = $unit::UUID) AND ($decided IS NULL OR l.decided = $decided)
ORDER BY l.decided DESC, l.value DESC NULLS LAST, l.confidence DESC, l.unit_id, l.category, l.layer, l.maker LIMIT $limit;

-- name: label_page
-- Labels after one, with ids as text.
SELECT * REPLACE (unit_id::VARCHAR AS unit_id, session_id::VARCHAR AS session_id, evidence::JSON::VARCHAR[] AS evidence)
FROM unit_category_labels
WHERE ($after IS NULL OR (unit_id, category, layer, maker) > ($after::UUID, $category, $layer, $maker))
  AND ($theme IS NULL OR unit_id IN (SELECT unit_id FROM trajectory_units WHERE theme = $theme))
  AND ($session IS NULL OR session_id = $session::UUID)
ORDER BY unit_category_labels.unit_id, category, layer, maker LIMIT $limit;
