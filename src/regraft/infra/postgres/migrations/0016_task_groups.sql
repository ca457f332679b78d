-- Attempts at one task are known by the task that was named, or else by the theme and what the user first asked in it.
-- A group of attempts is no shared context: they may be compared and ranked, but pairs for training need one context.
CREATE OR REPLACE VIEW task_attempts AS
    WITH attempt AS (
        SELECT r.task_key, r.session_id, count(*) AS runs, array_agg(DISTINCT r.model ORDER BY r.model) AS models,
            min(r.started_at) AS first_at, 'task' AS grouped_by
        FROM execution_run_records r WHERE r.task_key IS NOT NULL GROUP BY r.task_key, r.session_id
        UNION ALL
        SELECT h.name || ':' || encode(substr(opening.user_digest, 1, 8), 'hex'), s.session_id, count(*),
            array_agg(DISTINCT r.model ORDER BY r.model), min(r.started_at), 'theme_and_prompt'
        FROM conversation_sessions s JOIN seed_themes h USING (theme_id)
        CROSS JOIN LATERAL (
            SELECT t.user_digest FROM conversation_branch_nodes n JOIN session_turn t USING (turn_id)
            WHERE n.parent_node_id = s.root_node_id ORDER BY t.started_at, t.turn_id LIMIT 1) AS opening
        JOIN execution_run_records r ON r.session_id = s.session_id AND r.task_key IS NULL
        GROUP BY h.name, opening.user_digest, s.session_id)
    SELECT a.task_key, a.session_id, a.runs, a.models, a.first_at, o.reward, o.source AS reward_source, a.grouped_by
    FROM attempt a LEFT JOIN LATERAL outcome_of_session(a.session_id) AS o ON true;
