-- Judges and their votes. Append-only: a vote that is there is never asked for again.

-- name: lock_version
-- Whether this process alone runs this version of a judge, until the connection ends.
SELECT pg_try_advisory_lock(hashtextextended(%(judge_version)s, 7267426623)) AS locked;

-- name: use_version
-- A version is used, perhaps for the first time.
INSERT INTO judge_versions (judge_version, judge, task, model, categories, definition, first_used, last_used)
VALUES (%(judge_version)s, %(judge)s, %(task)s, %(model)s, %(categories)s, %(definition)s, %(now)s, %(now)s)
ON CONFLICT (judge_version) DO UPDATE SET last_used = EXCLUDED.last_used;

-- name: versions
-- Every version of every judge with its votes, the one last used first; of a tenant those that voted there.
SELECT d.judge_version, d.judge, d.task, d.model, d.categories, d.definition, d.first_used, d.last_used,
       d.judge_version = c.judge_version AS current, count(v.vote_id) AS votes,
       count(v.vote_id) FILTER (WHERE v.value IS NULL) AS unparseable,
       count(DISTINCT coalesce(v.unit_id, v.pair_id)) AS items
FROM judge_versions d JOIN current_judge_versions c USING (judge) 
LEFT JOIN judge_votes v ON v.judge_version = d.judge_version
    AND (%(scope)s::text IS NULL OR EXISTS (SELECT FROM session s WHERE s.session_id = v.session_id AND s.scope = %(scope)s))
GROUP BY d.judge_version, c.judge_version
HAVING %(scope)s::text IS NULL OR count(v.vote_id) > 0
ORDER BY d.judge, d.last_used DESC, d.judge_version;

-- name: votes_there
-- The votes of a version that are there.
SELECT coalesce(unit_id, pair_id) AS subject, shown_first, vote_index FROM judge_votes
WHERE judge_version = %(judge_version)s;

-- name: units_that_people_judged
-- Paths that people rated here.
SELECT DISTINCT unit_id AS subject FROM current_human_eval_labels;

-- name: pairs_that_people_judged
-- Pairs that people decided here.
SELECT DISTINCT pair_id AS subject FROM current_preference_labels WHERE source = 'human';

-- name: shown_unit
-- What a judge of a path is shown: the first run of its last node; nothing where it was erased.
SELECT n.node_id, n.session_id, context_messages(n.context_snapshot_id)::text AS history, m.body::text AS answer
FROM conversation_branch_nodes n
JOIN session_turn t ON t.turn_id = n.turn_id
JOIN pipeline_event_inbox e ON e.event_id = t.event_id AND e.erased_at IS NULL
LEFT JOIN message m ON m.message_id = t.answer_id
WHERE n.node_id = %(unit_id)s;

-- name: shown_turns
-- What a judge of a pair is shown: two turns with their history; one that was erased is left out.
SELECT t.turn_id, context_messages(t.context_id)::text AS history, m.body::text AS answer
FROM session_turn t
JOIN pipeline_event_inbox e ON e.event_id = t.event_id AND e.erased_at IS NULL
LEFT JOIN message m ON m.message_id = t.answer_id
WHERE t.turn_id = ANY(%(turn_ids)s);

-- name: add_vote
-- One vote, as it came.
INSERT INTO judge_votes (vote_id, judge_version, session_id, unit_id, pair_id, anchor_turn_id, node_a, node_b, shown_first,
    vote_index, turn_id, model_snapshot, answer, value, evidence, problem, shown_hash, created_at)
VALUES (%(vote_id)s, %(judge_version)s, %(session_id)s, %(unit_id)s, %(pair_id)s, %(anchor_turn_id)s, %(node_a)s, %(node_b)s,
    %(shown_first)s, %(vote_index)s, %(turn_id)s, %(model_snapshot)s, %(answer)s, %(value)s, %(evidence)s, %(problem)s,
    %(shown_hash)s, %(created_at)s)
ON CONFLICT DO NOTHING;

-- name: pairs_to_settle
-- The pairs of a version that have as many votes as it is asked for, with what was last made of them.
SELECT v.pair_id, v.anchor_turn_id, v.node_a, v.node_b,
       json_agg(json_build_array(v.shown_first, v.value ->> 'preference') ORDER BY v.shown_first, v.vote_index) AS votes,
       string_agg(encode(v.shown_hash, 'hex'), '' ORDER BY v.shown_first, v.vote_index) AS shown,
       (SELECT p.note FROM current_preference_labels p
        WHERE p.pair_id = v.pair_id AND p.source = 'model' AND p.judge_version = %(judge_version)s) AS note
FROM judge_votes v WHERE v.judge_version = %(judge_version)s AND v.pair_id IS NOT NULL
GROUP BY v.pair_id, v.anchor_turn_id, v.node_a, v.node_b
HAVING count(*) >= %(votes)s
ORDER BY v.pair_id;

-- name: votes_on
-- All votes on a path or a pair, or on what a node is part of, by judge.
SELECT v.judge, v.judge_version, v.task, v.pair_id, v.node_a, v.node_b, v.shown_first, v.vote_index, v.value, v.evidence, v.problem, v.answer,
       v.snapshot AS model_snapshot, v.turn_id, v.created_at, c.judge_version IS NOT NULL AS current
FROM judge_votes_with_snapshots v LEFT JOIN current_judge_versions c USING (judge_version)
WHERE v.vote_id IN (SELECT vote_id FROM judge_votes WHERE unit_id = %(subject)s
                    UNION SELECT vote_id FROM judge_votes WHERE pair_id = %(subject)s
                    UNION SELECT p.vote_id FROM conversation_branch_nodes n JOIN judge_votes p ON p.session_id = n.session_id
                    WHERE n.node_id = %(subject)s AND %(subject)s IN (p.node_a, p.node_b))
ORDER BY v.judge, v.created_at, v.shown_first, v.vote_index;
