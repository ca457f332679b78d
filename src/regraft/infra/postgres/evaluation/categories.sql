-- What the truth holds of categories, through ADBC: parameters are $n, ids come as text, lists as JSON.

-- name: people
-- Per path that people rated and category: the share of them that named it. The categories are those given and those that
-- people named anywhere; who rated a path and did not name a category said no.
WITH known AS (
    SELECT json_array_elements_text($1::json) AS category
    UNION SELECT unnest(categories) FROM current_human_eval_labels)
SELECT l.unit_id::text AS unit_id, known.category, avg((known.category = ANY(l.categories))::int)::float8 AS value,
       count(*) AS votes,
       coalesce(json_agg(l.reviewer ORDER BY l.reviewer) FILTER (WHERE known.category = ANY(l.categories)), '[]')::text AS evidence
FROM deciding_human_eval_labels l CROSS JOIN known
GROUP BY l.unit_id, known.category ORDER BY l.unit_id, known.category;

-- name: judges
-- What each judge's version of today says of paths.
SELECT unit_id::text AS unit_id, category, judge, judge_version, value, votes, unparseable, model_snapshot,
       evidence::text AS evidence
FROM current_judge_labels ORDER BY unit_id, category, judge;
