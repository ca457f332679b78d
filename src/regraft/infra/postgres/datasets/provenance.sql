-- Where a row of a frozen dataset came from, and what was judged of it.

-- name: row_nodes
-- The nodes of a row with what the graph says of them, from the root down. A node that the graph has no more, because it
-- was derived again, has no depth.
SELECT d.node_id, d.session_id, d.part, n.depth, n.branch_kind, n.node_status, n.turn_id, n.runs, r.model,
    r.model_snapshot_id, r.purpose, r.task_key, r.finish_reason, r.started_at, b.is_replay, b.fidelity,
    t.name AS theme, s.external_id
FROM dataset_snapshot_nodes d
LEFT JOIN conversation_branch_nodes n USING (node_id)
LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
LEFT JOIN response_branch_records b ON b.turn_id = n.turn_id
LEFT JOIN conversation_sessions c ON c.session_id = d.session_id
LEFT JOIN seed_themes t ON t.theme_id = c.theme_id
LEFT JOIN session s ON s.session_id = d.session_id
WHERE d.snapshot_id = %(snapshot_id)s AND d.row_id = %(row_id)s
ORDER BY n.depth, d.part = 'history' DESC, d.part, d.node_id;

-- name: row_judgements
-- What counts today of what people, clients, imports and judges said of the nodes that a row was made from, the latest
-- first. A preference names two nodes.
WITH own AS MATERIALIZED (
    SELECT DISTINCT node_id FROM dataset_snapshot_nodes
    WHERE snapshot_id = %(snapshot_id)s AND row_id = %(row_id)s AND part <> 'history')
SELECT 'rating' AS kind, l.unit_id AS node_id, NULL::uuid AS other_node_id, 'rating' AS name,
    l.rating::double precision AS value, 1.0::double precision AS scale_low, 5.0::double precision AS scale_high,
    NULL AS preference, 'human' AS source, l.reviewer AS decided_by, 'person' AS given_by, l.categories, l.note,
    l.created_at AS given_at
FROM current_human_eval_labels l JOIN own ON own.node_id = l.unit_id
UNION ALL
SELECT 'preference', p.node_a, p.node_b, 'preference', NULL, NULL, NULL, p.preference, p.source, p.decided_by,
    CASE p.source WHEN 'human' THEN 'person' WHEN 'model' THEN 'model' END, '{}', p.note, p.created_at
FROM current_preference_labels p
WHERE p.node_a IN (SELECT node_id FROM own) OR p.node_b IN (SELECT node_id FROM own)
UNION ALL
SELECT 'judgement', own.node_id, NULL, j.name, j.value, j.scale_low, j.scale_high, NULL, j.source, j.annotator,
    j.given_by, '{}', '', j.given_at
FROM own CROSS JOIN LATERAL judgements_of_node(own.node_id) AS j
UNION ALL
SELECT 'vote', v.unit_id, NULL, c.key, CASE WHEN jsonb_typeof(c.value) = 'number' THEN c.value::double precision END,
    CASE c.key WHEN 'rating' THEN 1.0 ELSE 0.0 END, CASE c.key WHEN 'rating' THEN 5.0 ELSE 1.0 END, NULL, 'model', v.judge,
    'model', '{}', coalesce(v.evidence ->> c.key, ''), v.created_at
FROM own JOIN judge_votes_with_snapshots v ON v.unit_id = own.node_id JOIN current_judge_versions USING (judge_version)
CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(v.value) = 'object' THEN v.value ELSE '{}' END) AS c
ORDER BY given_at DESC, kind, name;
