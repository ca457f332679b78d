-- Agreement of people, contested themes, and adjudication.

-- name: label_state
-- Changes whenever a label of a person is added or taken back, or the graph is derived again.
SELECT concat_ws(' ', (SELECT count(*) FROM human_eval_labels), (SELECT count(*) FROM preference_labels WHERE source = 'human'),
                 (SELECT count(*) FROM label_retractions), (SELECT max(version) FROM projection)) AS state;

-- name: measured_state
-- The labels that agreement was last measured from, and the threshold.
SELECT state, min_agreement, min_judged FROM agreement_state;

-- name: lock
-- One measures at a time.
SELECT pg_advisory_xact_lock(7267426629);

-- name: judgements
-- What each person said of what was judged, adjudications left out: one row a label.
SELECT h.measure, h.scope, h.theme, h.subject_id, l.reviewer, l.session_id, l.value, l.categories
FROM human_label_themes h
JOIN (SELECT label_id, reviewer, session_id, rating::text AS value, categories
      FROM current_human_eval_labels WHERE NOT adjudicates
      UNION ALL
      SELECT p.label_id, p.decided_by, t.session_id, p.preference, NULL
      FROM current_preference_labels p JOIN session_turn t ON t.turn_id = p.anchor_turn_id
      WHERE p.source = 'human' AND NOT p.adjudicates) AS l USING (label_id)
WHERE %(scope)s::text IS NULL OR h.scope = %(scope)s
ORDER BY h.measure, h.scope, h.theme, h.subject_id, l.reviewer;

-- name: adjudicated
-- Paths and pairs that somebody adjudicated.
SELECT unit_id AS subject_id FROM current_human_eval_labels WHERE adjudicates
UNION SELECT pair_id FROM current_preference_labels WHERE adjudicates;

-- name: forget
-- Agreement is written whole.
DELETE FROM theme_agreement;

-- name: add
-- The agreement on a theme by a measure.
INSERT INTO theme_agreement (scope, theme, measure, alpha, low, high, subjects, labels, reviewers, disputed, contested,
                             measured_at)
VALUES (%(scope)s, %(theme)s, %(measure)s, %(alpha)s, %(low)s, %(high)s, %(subjects)s, %(labels)s, %(reviewers)s,
        %(disputed)s, %(contested)s, %(now)s);

-- name: save_state
-- What it was measured from.
INSERT INTO agreement_state AS s (only_row, state, min_agreement, min_judged, measured_at)
VALUES (true, %(state)s, %(min_agreement)s, %(min_judged)s, %(now)s)
ON CONFLICT (only_row) DO UPDATE SET state = excluded.state, min_agreement = excluded.min_agreement,
    min_judged = excluded.min_judged, measured_at = excluded.measured_at;

-- name: themes
-- The agreement on each theme, the lowest first.
SELECT scope, theme, measure, alpha, low, high, subjects, labels, reviewers, disputed, contested, measured_at
FROM theme_agreement WHERE %(scope)s::text IS NULL OR scope = %(scope)s
ORDER BY contested DESC, alpha NULLS LAST, scope, theme, measure;

-- name: disputes
-- Paths and pairs on which people differ and that nobody adjudicated: those of contested themes first, then those of
-- most judgements.
WITH said AS (
    SELECT h.scope, h.theme, h.measure, h.subject_id, count(*) AS people, array_agg(l.value ORDER BY l.value) AS said,
           array_agg(l.note ORDER BY l.value) FILTER (WHERE l.note <> '') AS notes
    FROM human_label_themes h
    JOIN (SELECT label_id, rating::text AS value, note FROM current_human_eval_labels WHERE NOT adjudicates
          UNION ALL
          SELECT label_id, preference, note FROM current_preference_labels
          WHERE source = 'human' AND NOT adjudicates) AS l USING (label_id)
    WHERE (%(scope)s::text IS NULL OR h.scope = %(scope)s) AND (%(theme)s::text IS NULL OR h.theme = %(theme)s)
      AND (%(measure)s::text IS NULL OR h.measure = %(measure)s)
      AND (%(subject_id)s::uuid IS NULL OR h.subject_id = %(subject_id)s)
    GROUP BY h.scope, h.theme, h.measure, h.subject_id HAVING count(*) > 1)
SELECT s.scope, s.theme, s.measure, s.subject_id, s.people, s.said, coalesce(s.notes, '{}') AS notes,
       coalesce(t.contested, false) AS contested
FROM said s LEFT JOIN theme_agreement t USING (scope, theme, measure)
WHERE CASE s.measure WHEN 'rating' THEN s.said[array_upper(s.said, 1)]::integer - s.said[1]::integer >= 2
          ELSE s.said[1] <> s.said[array_upper(s.said, 1)] END
  AND NOT EXISTS (SELECT FROM current_human_eval_labels a WHERE a.unit_id = s.subject_id AND a.adjudicates)
  AND NOT EXISTS (SELECT FROM current_preference_labels a WHERE a.pair_id = s.subject_id AND a.adjudicates)
  AND s.subject_id <> ALL(%(skip)s::uuid[])
ORDER BY contested DESC, s.people DESC, s.subject_id LIMIT %(limit)s;

-- name: sides
-- The sides of a pair that somebody judged, and the tenant of it.
SELECT p.anchor_turn_id, p.node_a, p.node_b, a.turn_id AS turn_a, b.turn_id AS turn_b, s.scope
FROM preference_labels p
JOIN conversation_branch_nodes a ON a.node_id = p.node_a JOIN conversation_branch_nodes b ON b.node_id = p.node_b
JOIN session s ON s.session_id = a.session_id
WHERE p.pair_id = %(pair_id)s LIMIT 1;
