-- name: make_role
-- The role that dashboards read with, where the server has none.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'regraft_grafana') THEN
        CREATE ROLE regraft_grafana LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT CONNECTION LIMIT 20;
    END IF;
END $$;

-- name: is_there
-- Whether the role is there, and has a password of its own to keep.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'regraft_grafana') AS found;

-- name: bound
-- What keeps a slow or forgotten dashboard from hindering others. Read-only is what it starts with; what it may read is decided by grants.
ALTER ROLE regraft_grafana SET default_transaction_read_only = on;
ALTER ROLE regraft_grafana SET statement_timeout = '15s';
ALTER ROLE regraft_grafana SET lock_timeout = '2s';
ALTER ROLE regraft_grafana SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE regraft_grafana SET jit = off;

-- name: revoke
-- Take back what the role was granted before: by an earlier version, or by hand.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM regraft_grafana;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM regraft_grafana;
REVOKE ALL ON SCHEMA public FROM regraft_grafana;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO regraft_grafana', current_database()); END $$;

-- name: grant
-- Columns that dashboards need: ids, times, numbers, and names of models, themes, judges and datasets. No message, no body of a call,
-- no setting of a request, no name that a client gave its session, no key, no reviewer, no note. Columns and not views: a view
-- would stand in the way of migrations that change its tables.
GRANT USAGE ON SCHEMA public TO regraft_grafana;
GRANT SELECT (session_id, scope, theme_id, root_node_id, turns, nodes, started_at, last_turn_at, replays, errors, models, purposes,
    kinds, is_side, reward) ON conversation_sessions TO regraft_grafana;
GRANT SELECT (theme_id, name, scope) ON seed_themes TO regraft_grafana;
GRANT SELECT (node_id, session_id, parent_node_id, turn_id, depth, branch_kind, node_status, parent_evidence, runs)
    ON conversation_branch_nodes TO regraft_grafana;
GRANT SELECT (run_id, session_id, node_id, purpose, theme_id, model, backend, run_status, finish_reason, prompt_tokens,
    completion_tokens, cached_tokens, duration_ms, first_byte_ms, tool_calls, taskification_id, started_at)
    ON execution_run_records TO regraft_grafana;
GRANT SELECT (to_turn_id, evidence, from_turn_id) ON turn_link TO regraft_grafana;
GRANT SELECT (plan_id, created_at, started_at, ended_at, stopped) ON replay_plan TO regraft_grafana;
GRANT SELECT (plan_id, number, model, state, prompt_tokens, completion_tokens, cached_tokens, started_at, ended_at)
    ON replay_job TO regraft_grafana;
GRANT SELECT (rollout_id, session_id, policy, simulated_user, stop_reason, steps, fidelity, created_at) ON rollout TO regraft_grafana;
GRANT SELECT (label_id, rating, seconds, supersedes, created_at) ON human_eval_labels TO regraft_grafana;
GRANT SELECT (label_id, source, preference, judge_version, seconds, supersedes, created_at) ON preference_labels TO regraft_grafana;
GRANT SELECT (judge_version, judge, task, model, first_used, last_used) ON judge_versions TO regraft_grafana;
GRANT SELECT (judge_version, created_at) ON judge_votes TO regraft_grafana;
GRANT SELECT (item_id, kind, scope, theme, share, needed, done, leased, skips, created_at, closed_at)
    ON human_sample_queue TO regraft_grafana;
GRANT SELECT (scope, theme, measure, alpha, low, high, subjects, labels, reviewers, disputed, contested, measured_at)
    ON theme_agreement TO regraft_grafana;
GRANT SELECT (snapshot_id, dataset, kind, code_version, lineage_build, row_counts, refused, created_at, withdrawn_at, successor)
    ON dataset_snapshot_registry TO regraft_grafana;
