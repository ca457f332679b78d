-- What people said of themes. A theme is named by calls; renamed or merged, calls that name it so are filed under the
-- other name, also those that are yet to come, and when the graph is derived again. Rows are only ever added.
CREATE TABLE theme_changes (
    change_id    uuid PRIMARY KEY,
    scope        text NOT NULL,
    called       text NOT NULL,                  -- as calls name it
    theme        text NOT NULL,                  -- what it is filed under from then on; the same: only the description changed
    description  text,                           -- NULL: it stays
    made_by      text NOT NULL,
    made_at      timestamptz NOT NULL,
    place        bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX theme_changes_called ON theme_changes (scope, called, place DESC);

-- Under which theme calls are filed that name one; without a row, under that one.
CREATE VIEW current_theme_names AS
    SELECT DISTINCT ON (scope, called) scope, called, theme FROM theme_changes ORDER BY scope, called, place DESC;
