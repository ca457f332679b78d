-- Themes: what people changed of them, and what follows in the graph and in the review queue.

-- name: one
-- A theme.
SELECT theme_id, name, scope, description, created_at FROM seed_themes
WHERE theme_id = %(theme)s AND (%(scope)s::text IS NULL OR scope = %(scope)s);

-- name: named
-- Themes of a name.
SELECT theme_id, name, scope, description, created_at FROM seed_themes
WHERE name = %(name)s AND (%(scope)s::text IS NULL OR scope = %(scope)s) ORDER BY scope LIMIT 2;

-- name: filed
-- Names that calls use and that are filed under another.
SELECT scope, called, theme FROM current_theme_names WHERE called <> theme;

-- name: called
-- The names under which calls are filed as a theme; its own is among them.
SELECT called FROM current_theme_names WHERE scope = %(scope)s AND theme = %(name)s
UNION
SELECT %(name)s WHERE NOT EXISTS (
    SELECT FROM current_theme_names WHERE scope = %(scope)s AND called = %(name)s AND theme <> %(name)s);

-- name: add_change
-- Changes of themes.
INSERT INTO theme_changes (change_id, scope, called, theme, description, made_by, made_at)
VALUES (%(change_id)s, %(scope)s, %(called)s, %(theme)s, %(description)s, %(made_by)s, %(made_at)s);

-- name: add_theme
-- A theme that others are filed under; one that is there keeps its description.
INSERT INTO seed_themes (theme_id, name, scope, description, created_at)
VALUES (%(theme_id)s, %(name)s, %(scope)s, %(description)s, %(created_at)s)
ON CONFLICT (theme_id) DO UPDATE SET created_at = least(seed_themes.created_at, excluded.created_at);

-- name: describe
-- What a theme is about.
UPDATE seed_themes SET description = %(description)s WHERE theme_id = %(theme)s;

-- name: move_runs
-- Runs of a theme become those of another.
UPDATE execution_run_records SET theme_id = %(to)s WHERE theme_id = %(from)s;

-- name: move_sessions
-- So do its sessions; what is made from sessions sees that they changed.
UPDATE conversation_sessions s SET theme_id = CASE WHEN s.theme_id = %(from)s THEN %(to)s ELSE s.theme_id END, build = %(build)s
WHERE s.theme_id = %(from)s
   OR EXISTS (SELECT FROM execution_run_records r WHERE r.session_id = s.session_id AND r.theme_id = %(from)s);

-- name: save_build
-- The graph has changed.
UPDATE lineage_watermark SET build = %(build)s, built_at = %(now)s WHERE name = 'graph';

-- name: move_queue
-- Items of the review queue are found by the name of today.
UPDATE human_sample_queue SET theme = %(to_name)s WHERE scope = %(scope)s AND theme = %(from_name)s;

-- name: measure_again
-- The agreement of people is of other subjects now.
UPDATE agreement_state SET state = '';

-- name: drop_theme
-- A theme that nothing is filed under any more.
DELETE FROM seed_themes WHERE theme_id = %(from)s;

-- name: history
-- What was changed of a theme, the latest first.
SELECT called, theme, description, made_by, made_at FROM theme_changes
WHERE scope = %(scope)s AND %(name)s IN (called, theme) ORDER BY place DESC LIMIT %(limit)s;

-- name: figures
-- Themes with what their sessions come to, by name; without them (`theme_id` NULL), the sessions of no theme.
SELECT t.theme_id, coalesce(t.name, '') AS name, coalesce(t.scope, '') AS scope, coalesce(t.description, '') AS description,
    t.created_at, f.sessions, f.turns, f.errors, f.replays, f.judged, f.reward, f.last_turn_at
FROM (SELECT s.theme_id, count(*) AS sessions, sum(s.turns) AS turns, count(*) FILTER (WHERE s.errors > 0) AS errors,
          count(*) FILTER (WHERE s.replays > 0) AS replays, count(s.reward) AS judged, avg(s.reward) AS reward,
          max(s.last_turn_at) AS last_turn_at
      FROM conversation_sessions s
      WHERE NOT s.is_side AND (%(scope)s::text IS NULL OR s.scope = %(scope)s) GROUP BY s.theme_id) AS f
LEFT JOIN seed_themes t USING (theme_id)
ORDER BY t.name NULLS LAST, t.scope;
