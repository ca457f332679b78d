-- Queries of staleness: what was made with what, what is superseded, and what would be made again.

-- name: rule_versions
-- The versions of taskify rules that plans were made with.
SELECT DISTINCT taskify_rule_version FROM taskification_results;

-- The next queries count what each change makes stale over the whole graph: the rules of regraft.domain.staleness as
-- sets. Each leaves a table of its transaction for the next, because only rows that are there tell the planner whether
-- there are three of them or a million. `change` numbers a model snapshot that was replaced (1, 2 ..), a rule version
-- that was (-1, -2 ..), the changed conditions of nodes (0), or what was made again before (NULL).

-- name: overview_settings
-- A sort of a million runs in memory; and pages of a database that is used are in memory too.
SELECT set_config('work_mem', '64MB', true), set_config('random_page_cost', '1.1', true);

-- name: overview_plans
-- Plans that do not hold; `due` are those that were not made again. `plans` are others, told by the caller.
CREATE TEMP TABLE stale_plan ON COMMIT DROP AS
WITH gone AS (
    SELECT supersedes AS id FROM generations
    UNION
    SELECT supersedes FROM taskification_results WHERE supersedes IS NOT NULL)
SELECT t.taskification_id, -o.number AS change, g.id IS NULL AS due
FROM taskification_results t LEFT JOIN gone g ON g.id = t.taskification_id
LEFT JOIN unnest(%(rules)s::text[]) WITH ORDINALITY AS o (rule, number) ON o.rule = t.taskify_rule_version
WHERE g.id IS NOT NULL OR o.number IS NOT NULL OR t.taskification_id = ANY(%(plans)s::uuid[]);

-- name: overview_marked
-- Runs that are stale of themselves, or carry out a plan that does not hold, and those that were made again (`gone`).
CREATE TEMP TABLE stale_marked ON COMMIT DROP AS
WITH few AS (
    SELECT run_id, min(change) AS change, bool_or(after) AS after, bool_or(gone) AS gone
    FROM (
        SELECT r.run_id, 0::bigint AS change, false AS after, false AS gone
        FROM current_condition_changes c JOIN execution_run_records r USING (node_id)
        WHERE r.started_at < c.changed_at
        UNION ALL
        SELECT r.run_id, p.change, true, false
        FROM stale_plan p JOIN execution_run_records r USING (taskification_id)
        UNION ALL
        SELECT supersedes, NULL, false, true FROM generations WHERE stage = 'execution_run_records') AS found
    GROUP BY run_id)
SELECT r.run_id, r.node_id, r.session_id, true AS replay, false AS kept, o.number AS change, false AS after, false AS gone
FROM unnest(%(backends)s::text[], %(models)s::text[], %(snapshots)s::text[], %(firsts)s::timestamptz[],
            %(lasts)s::timestamptz[])
    WITH ORDINALITY AS o (backend, model, model_snapshot_id, first_seen, last_seen, number)
JOIN execution_run_records r USING (backend, model, model_snapshot_id)
WHERE r.purpose = 'replay' AND r.started_at BETWEEN o.first_seen AND o.last_seen
    AND NOT EXISTS (SELECT FROM few WHERE few.run_id = r.run_id)
UNION ALL
SELECT r.run_id, r.node_id, r.session_id, r.purpose = 'replay',
    r.purpose NOT IN ('replay', 'taskify', 'worker', 'judge')
        AND NOT (r.purpose = 'orchestrator' AND r.taskify_step IS DISTINCT FROM 'answer'),
    few.change, few.after, few.gone
FROM few JOIN execution_run_records r USING (run_id);

-- name: look_marked
-- So that the planner knows how many there are.
ANALYZE stale_marked (run_id, node_id);

-- name: overview_children
-- What grew from the places of these runs.
CREATE TEMP TABLE stale_child ON COMMIT DROP AS
SELECT c.node_id, m.node_id AS parent_node_id, m.change, m.runs
FROM (SELECT node_id, min(change) AS change, count(*) AS runs FROM stale_marked GROUP BY node_id) AS m
JOIN conversation_branch_nodes c ON c.parent_node_id = m.node_id;

-- name: look_children
-- The same.
ANALYZE stale_child (parent_node_id);

-- name: overview_lost
-- A place falls with the last of the runs that gave it, and all that grew there falls with it.
CREATE TEMP TABLE stale_lost ON COMMIT DROP AS
WITH RECURSIVE lost AS (
    SELECT c.node_id, c.change
    FROM stale_child c JOIN conversation_branch_nodes p ON p.node_id = c.parent_node_id
    WHERE c.runs >= p.runs
    UNION
    SELECT below.node_id, lost.change
    FROM lost CROSS JOIN LATERAL (
        SELECT n.node_id FROM conversation_branch_nodes n WHERE n.parent_node_id = lost.node_id OFFSET 0) AS below)
SELECT node_id, min(change) AS change FROM lost GROUP BY node_id;

-- name: look_lost
-- The same.
ANALYZE stale_lost (node_id);

-- name: overview_counts
-- Of each change: what would be made again, what would go with that, what stays, and in how many sessions.
SELECT 'runs' AS what, change, sum(again)::bigint AS again, sum(follow)::bigint AS follow, sum(keep)::bigint AS keep,
       count(*) AS sessions
FROM (
SELECT change, count(*) FILTER (WHERE again) AS again, count(*) FILTER (WHERE NOT again AND NOT kept) AS follow,
       count(*) FILTER (WHERE kept) AS keep
FROM (
    SELECT least(m.change, l.change) AS change, m.session_id, m.replay AND NOT m.after AND l.node_id IS NULL AS again,
           m.kept
    FROM stale_marked m LEFT JOIN stale_lost l USING (node_id) WHERE NOT m.gone
    UNION ALL
    SELECT l.change, r.session_id, false,
           r.purpose NOT IN ('replay', 'taskify', 'worker', 'judge')
               AND NOT (r.purpose = 'orchestrator' AND r.taskify_step IS DISTINCT FROM 'answer')
    FROM stale_lost l JOIN execution_run_records r USING (node_id)
    WHERE NOT EXISTS (SELECT FROM stale_marked m WHERE m.run_id = r.run_id)) AS counted
GROUP BY change, session_id) AS by_session
GROUP BY change
UNION ALL
SELECT 'plans', change, count(*), 0, 0, 0 FROM stale_plan WHERE due GROUP BY change;

-- name: overview_below
-- Plans that were made for a place below a lost one. When there are any, all is counted again with them.
SELECT DISTINCT t.taskification_id FROM taskification_results t JOIN stale_lost l USING (node_id)
WHERE NOT EXISTS (SELECT FROM stale_plan p WHERE p.taskification_id = t.taskification_id);

-- name: overview_end
-- Nothing of it is kept.
DROP TABLE IF EXISTS stale_plan, stale_marked, stale_child, stale_lost;

-- name: touched_sessions
-- Sessions that hold something that a change makes stale, or that comes after what was regenerated before.
WITH gone AS MATERIALIZED (
    SELECT supersedes AS id FROM generations
    UNION
    SELECT supersedes FROM taskification_results WHERE supersedes IS NOT NULL)
SELECT session_id FROM (
    SELECT r.session_id
    FROM unnest(%(backends)s::text[], %(models)s::text[], %(snapshots)s::text[], %(firsts)s::timestamptz[],
                %(lasts)s::timestamptz[]) AS o (backend, model, model_snapshot_id, first_seen, last_seen)
    JOIN execution_run_records r USING (backend, model, model_snapshot_id)
    WHERE r.purpose = 'replay' AND r.started_at BETWEEN o.first_seen AND o.last_seen
        AND NOT EXISTS (SELECT FROM gone WHERE gone.id = r.run_id)
    UNION
    SELECT coalesce(n.session_id, t.session_id) FROM taskification_results t
    LEFT JOIN conversation_branch_nodes n USING (node_id)
    WHERE t.taskify_rule_version = ANY(%(rules)s::text[])
        AND NOT EXISTS (SELECT FROM gone WHERE gone.id = t.taskification_id)
    UNION
    SELECT r.session_id FROM current_condition_changes c JOIN execution_run_records r USING (node_id)
    WHERE r.started_at < c.changed_at
    UNION
    SELECT r.session_id FROM gone JOIN execution_run_records r ON r.run_id = gone.id
    UNION
    SELECT r.session_id FROM gone JOIN execution_run_records r ON r.taskification_id = gone.id) AS found
WHERE session_id IS NOT NULL AND (%(after)s::uuid IS NULL OR session_id > %(after)s)
ORDER BY session_id LIMIT %(limit)s;

-- name: family
-- These sessions, and those that plans tie to them: made for a node of the one, carried out in the other.
SELECT session_id FROM unnest(%(sessions)s::uuid[]) AS given (session_id)
UNION
SELECT unnest(ARRAY[n.session_id, t.session_id, r.session_id])
FROM taskification_results t LEFT JOIN conversation_branch_nodes n USING (node_id)
LEFT JOIN execution_run_records r ON r.taskification_id = t.taskification_id
WHERE t.session_id = ANY(%(sessions)s::uuid[]) OR n.session_id = ANY(%(sessions)s::uuid[])
    OR t.taskification_id IN (SELECT r.taskification_id FROM execution_run_records r
                              WHERE r.session_id = ANY(%(sessions)s::uuid[]) AND r.taskification_id IS NOT NULL);

-- name: runs
-- Every run of these sessions, with its place.
SELECT r.run_id, r.node_id, n.parent_node_id, n.depth, r.backend, r.model, r.model_snapshot_id, r.started_at,
    r.taskification_id, r.purpose, r.taskify_step, r.session_id
FROM execution_run_records r JOIN conversation_branch_nodes n USING (node_id)
WHERE r.session_id = ANY(%(sessions)s::uuid[]);

-- name: plans
-- Every plan that was made in, for or by these sessions.
SELECT t.taskification_id, t.node_id, n.parent_node_id, coalesce(n.depth, 0) AS depth, t.taskify_rule_version,
    t.created_at, coalesce(n.session_id, t.session_id) AS session_id
FROM taskification_results t LEFT JOIN conversation_branch_nodes n USING (node_id)
WHERE t.session_id = ANY(%(sessions)s::uuid[]) OR n.session_id = ANY(%(sessions)s::uuid[])
    OR t.taskification_id IN (SELECT r.taskification_id FROM execution_run_records r
                              WHERE r.session_id = ANY(%(sessions)s::uuid[]) AND r.taskification_id IS NOT NULL);

-- name: bare_plans
-- Plans of bare prompts, which no session is tied to, under these rule versions.
SELECT taskification_id, NULL::uuid AS node_id, NULL::uuid AS parent_node_id, 0 AS depth, taskify_rule_version, created_at,
    session_id
FROM taskification_results WHERE taskify_rule_version = ANY(%(rules)s::text[]) AND session_id IS NULL;

-- name: conditions
-- Nodes whose conditions changed, when, and in which words.
SELECT node_id, changed_at, reason, changed_by FROM current_condition_changes
WHERE %(nodes)s::uuid[] IS NULL OR node_id = ANY(%(nodes)s::uuid[]) ORDER BY changed_at, node_id;

-- name: superseded
-- Which of these were made again.
SELECT supersedes AS id FROM generations WHERE supersedes = ANY(%(ids)s::uuid[])
UNION
SELECT supersedes FROM taskification_results WHERE supersedes = ANY(%(ids)s::uuid[]);

-- name: generations
-- What these runs and plans supersede, and what superseded them.
SELECT new_id, supersedes, stage, cause, reason, made_at FROM generations
WHERE supersedes = ANY(%(ids)s::uuid[]) OR new_id = ANY(%(ids)s::uuid[]) ORDER BY made_at, supersedes, new_id;

-- name: subtree
-- A node and all that grew from it.
WITH RECURSIVE down AS (
    SELECT node_id FROM conversation_branch_nodes WHERE node_id = %(node)s
    UNION
    SELECT n.node_id FROM down JOIN conversation_branch_nodes n ON n.parent_node_id = down.node_id)
SELECT node_id FROM down;

-- name: any_mark
-- Whether anything was ever made again, or the conditions of a node changed.
SELECT EXISTS (SELECT FROM current_condition_changes) OR EXISTS (SELECT FROM generations)
    OR EXISTS (SELECT FROM taskification_results WHERE supersedes IS NOT NULL) AS found;

-- name: nodes
-- The nodes of a session.
SELECT node_id FROM conversation_branch_nodes WHERE session_id = %(session)s;

-- name: held_by_snapshots
-- Frozen snapshots that hold one of these nodes.
SELECT DISTINCT h.snapshot_id FROM dataset_snapshot_nodes h WHERE h.node_id = ANY(%(nodes)s::uuid[]) ORDER BY 1;

-- name: requests
-- The captured requests of these runs, whole, with their calls' X-Regraft headers.
SELECT r.run_id, r.event_id, t.choice_index, r.node_id, r.session_id, t.context_id,
    context_messages(t.context_id)::text AS messages,
    coalesce(nullif(e.asked_model, ''), e.model_requested, '') AS model, e.endpoint, e.identity::text,
    tools.body::text AS tools, sampling.body::text AS sampling, other.body::text AS other
FROM execution_run_records r JOIN session_turn t ON t.turn_id = r.run_id
JOIN pipeline_event_inbox e ON e.event_id = r.event_id
JOIN request_part tools ON tools.part_id = e.tools_id
JOIN request_part sampling ON sampling.part_id = e.sampling_id
JOIN request_part other ON other.part_id = e.other_id
WHERE r.run_id = ANY(%(runs)s::uuid[]) ORDER BY r.started_at, r.run_id;

-- name: rollouts
-- The rollouts that made some of these turns: their turns in order, and how they were grown.
SELECT rollout_id, fingerprint, node_id, turn_ids, policy, simulated_user, stop_reason, steps
FROM rollout WHERE session_id = ANY(%(sessions)s::uuid[]) AND turn_ids && %(runs)s::uuid[] ORDER BY created_at, rollout_id;

-- name: assignment
-- How a plan was asked for: its row, and the words of the call that made it.
SELECT t.taskification_id, t.subject, t.node_id, t.prompt, t.prompt_digest, t.taskify_rule_version, t.model,
    e.identity::text AS identity, coalesce(nullif(e.asked_model, ''), e.model_requested, t.model) AS asked_model
FROM taskification_results t LEFT JOIN session_turn s ON s.turn_id = t.turn_ids[1]
LEFT JOIN pipeline_event_inbox e USING (event_id)
WHERE t.taskification_id = %(id)s;

-- name: add_generations
-- Record what was regenerated, once.
INSERT INTO generations (new_id, supersedes, stage, cause, reason, made_at)
SELECT g.new_id, g.supersedes, g.stage, g.cause, g.reason, %(now)s
FROM unnest(%(new)s::uuid[], %(old)s::uuid[], %(stages)s::text[], %(causes)s::text[], %(reasons)s::text[])
    AS g (new_id, supersedes, stage, cause, reason)
ON CONFLICT DO NOTHING;

-- name: add_condition_change
-- A mark on a node, set by hand.
INSERT INTO condition_changes (change_id, node_id, reason, changed_by, changed_at)
VALUES (%(id)s, %(node)s, %(reason)s, %(by)s, %(now)s);
