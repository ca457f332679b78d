-- What clusters of trajectories are about: counted over their units, in steps. Sums are of decimals, which are the same in
-- any order, so that a workbench that is made again is equal.

-- name: members
-- Each unit of each cluster, those nearest to the middle first; of noise (`cluster_id` NULL) in the order of ids.
CREATE TEMPORARY TABLE member AS
SELECT layer, cluster_id, unit_id, strength,
    row_number() OVER (PARTITION BY layer, cluster_id ORDER BY strength DESC, unit_id) AS place
FROM trajectory_clusters JOIN trajectory_units USING (unit_id);

-- name: figures
-- Per cluster: counts, rates and means.
SELECT layer, cluster_id::VARCHAR AS cluster_id, count(*) AS units,
    sum(outcome::DECIMAL(18, 9))::DOUBLE / nullif(count(outcome), 0) AS outcome_rate, count(outcome) AS outcomes,
    count(*) FILTER (node_status = 'error') / count(*) AS error_rate,
    sum(tool_errors) / nullif(sum(tool_calls), 0) AS tool_error_rate,
    sum(quality::DECIMAL(18, 9))::DOUBLE / count(*) AS quality, sum(turns) / count(*) AS turns,
    sum(prompt_tokens) / count(*) AS prompt_tokens, sum(completion_tokens) / count(*) AS completion_tokens,
    sum(seconds::DECIMAL(18, 6))::DOUBLE / count(*) AS seconds,
    list(unit_id::VARCHAR ORDER BY place) FILTER (place <= $prototypes) AS prototypes
FROM member JOIN trajectory_units USING (unit_id) WHERE cluster_id IS NOT NULL
GROUP BY layer, cluster_id ORDER BY layer, cluster_id;

-- name: spoken
-- The different words of typical units, of their beginnings and ends. Runs of Han and Katakana characters are words.
CREATE TEMPORARY TABLE spoken AS
WITH typical AS (SELECT DISTINCT unit_id FROM member WHERE place <= $units),
every AS (
    SELECT unit_id, unnest(list_distinct(regexp_extract_all(
        lower(left(text, $characters) || ' ' || right(text, $characters)),
        '\p{Han}+|\p{Katakana}+|[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Hangul}\p{Devanagari}\p{Thai}\pN_]+'
    ))) AS word
    FROM typical JOIN trajectory_units USING (unit_id))
SELECT unit_id, word FROM every
WHERE length(word) BETWEEN CASE WHEN regexp_matches(word, '^[\p{Han}\p{Katakana}]') THEN 2 ELSE 3 END AND 25
    AND NOT regexp_matches(word, '^[\pN_]');

-- name: words
-- Per cluster its most telling words: the share of its typical units that say a word, times the logarithm of the number
-- of clusters plus one over the sum of those shares (Grootendorst 2022, "BERTopic: Neural topic modeling with a
-- class-based TF-IDF procedure", with shares of units for counts of words: one long unit does not speak for all).
WITH typical AS (SELECT * FROM member WHERE place <= $units),
sizes AS (SELECT layer, cluster_id, count(*) AS units FROM typical GROUP BY ALL),
classes AS (SELECT layer, count(*) AS classes FROM sizes GROUP BY layer),
said AS (
    SELECT t.layer, t.cluster_id, s.word, count(*) AS units FROM typical t JOIN spoken s USING (unit_id) GROUP BY ALL),
shares AS (
    SELECT said.layer, said.cluster_id, said.word, said.units AS found, (said.units / sizes.units)::DECIMAL(18, 9) AS share
    FROM said JOIN sizes ON sizes.layer = said.layer AND sizes.cluster_id IS NOT DISTINCT FROM said.cluster_id),
spread AS (SELECT layer, word, sum(share) AS share FROM shares GROUP BY ALL),
weights AS (
    SELECT h.layer, h.cluster_id, h.word, h.share * ln((1 + k.classes) / w.share::DOUBLE) AS weight
    FROM shares h JOIN spread w USING (layer, word) JOIN classes k USING (layer)
    WHERE h.cluster_id IS NOT NULL AND h.found >= $least)
SELECT layer, cluster_id::VARCHAR AS cluster_id, list(word ORDER BY weight DESC, word)[:$words] AS words
FROM weights GROUP BY layer, cluster_id ORDER BY layer, cluster_id;

-- name: features
-- What is known of each unit, as values of features.
CREATE TEMPORARY TABLE feature AS
SELECT unit_id, one.feature, one.value FROM (
    SELECT unit_id, unnest(
        [{'feature': 'model', 'value': model}, {'feature': 'theme', 'value': theme}, {'feature': 'purpose', 'value': purpose},
         {'feature': 'status', 'value': node_status}, {'feature': 'finish reason', 'value': finish_reasons[-1]},
         {'feature': 'tools', 'value': CASE WHEN tool_errors > 0 THEN 'with errors' WHEN tool_calls > 0 THEN 'used' END},
         {'feature': 'repeated calls', 'value': CASE WHEN repeated_calls > 0 THEN 'yes' END},
         {'feature': 'answer', 'value': CASE WHEN answer_empty THEN 'empty' END},
         {'feature': 'turns', 'value': CASE WHEN turns = 1 THEN '1' WHEN turns < 5 THEN '2 to 4' WHEN turns < 10 THEN '5 to 9'
                                       ELSE '10 or more' END}]
        || list_transform(list_distinct(kinds), lambda kind: {'feature': 'branch kind', 'value': kind})) AS one
    FROM trajectory_units WHERE unit_id IN (SELECT unit_id FROM member)) AS every
WHERE one.value <> '';

-- name: feature_counts
-- Per cluster and value of a feature: in how many units it is, of how many, here and elsewhere, where it is more frequent
-- here; and how many values there are.
WITH sizes AS (SELECT layer, cluster_id, count(*) AS units FROM member GROUP BY ALL),
every AS (SELECT layer, sum(units) AS units FROM sizes GROUP BY layer),
everywhere AS (SELECT feature, value, count(*) AS units FROM feature GROUP BY ALL),
here AS (
    SELECT m.layer, m.cluster_id, f.feature, f.value, count(*) AS units FROM member m JOIN feature f USING (unit_id)
    WHERE m.cluster_id IS NOT NULL GROUP BY ALL)
SELECT h.layer, h.cluster_id::VARCHAR AS cluster_id, h.feature, h.value, h.units AS here, s.units AS here_units,
    a.units - h.units AS elsewhere, e.units - s.units AS elsewhere_units, (SELECT count(*) FROM everywhere) AS "values"
FROM here h JOIN sizes s USING (layer, cluster_id) JOIN every e USING (layer) JOIN everywhere a USING (feature, value)
WHERE h.units >= 3 AND h.units * (e.units - s.units) > (a.units - h.units) * s.units
ORDER BY h.layer, h.cluster_id, h.feature, h.value;
