"""The effects of a migration on tables are read from its text."""

from __future__ import annotations

import pytest

from regraft.infra.postgres.migration_effects import TableEffect, effects_of


@pytest.mark.parametrize(
    ("statements", "effects"),
    [
        ("ALTER TABLE session ADD COLUMN x int;", [("session", "altered", False)]),
        ("ALTER TABLE IF EXISTS ONLY public.session ADD x int;", [("session", "altered", False)]),
        ("CREATE UNIQUE INDEX a ON feedback (name);", [("feedback", "indexed", True)]),
        ("CREATE INDEX ON feedback (name);", [("feedback", "indexed", True)]),
        ("UPDATE session SET x = 1;", [("session", "updated", True)]),
        ("DELETE FROM session;", [("session", "deleted from", True)]),
        ("DROP TABLE session;", [("session", "dropped", False)]),
        (
            "CREATE TRIGGER t AFTER UPDATE ON feedback REFERENCING NEW TABLE AS n EXECUTE FUNCTION f();",
            [("feedback", "given a trigger", False)],
        ),
        ("CREATE TABLE new (a int); CREATE INDEX ON new (a); ALTER TABLE new ADD b int;", []),
        ("-- ALTER TABLE session ADD x int;\nSELECT 1;", []),
        ("/* UPDATE session SET x = 1; */ SELECT 'DELETE FROM session';", []),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ UPDATE session SET x = 1; $$;", []),
        ("CREATE TABLE a (b int REFERENCES c ON UPDATE CASCADE);", []),
    ],
)
def test_the_tables_that_a_migration_touches(statements: str, effects: list[tuple[str, str, bool]]) -> None:
    assert effects_of(statements) == [TableEffect(*effect) for effect in effects]
