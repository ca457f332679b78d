"""The rights of the dashboard role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from regraft.domain.errors import ConfigError
from regraft.flows.dashboard_reader import make_dashboard_reader
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect, transaction
from support.deployments import fails
from support.one_database import OneDatabase
from support.small_graph import SmallGraph, every_kind

PASSWORD = "a password of dashboards"
# Columns whose names say that they hold what someone wrote, or open something.
CONTENT = {
    *(
        "body",
        "answer",
        "answer_rest",
        "event",
        "error",
        "identity",
        "sampling",
        "variant",
        "variant_config",
        "definition",
    ),
    *(
        "branch_reason",
        "detail",
        "note",
        "comment",
        "shown",
        "prompt",
        "plan",
        "problems",
        "problem",
        "evidence",
        "external_id",
    ),
    *(
        "reviewer",
        "annotator",
        "decided_by",
        "value",
        "recipe",
        "report",
        "failure",
        "reason",
        "description",
        "draft",
        "target",
    ),
    *(
        "session_digest",
        "token_proof",
        "token_id",
        "traceparent",
        "task_key",
        "taskify_step",
        "categories",
        "experiment",
    ),
}
NOT_CONTENT = {("turn_link", "evidence")}  # by which rule two turns were linked


@pytest.fixture
def reader(truth: str) -> Iterator[psycopg.Connection]:
    """A connection of the role, to a log with nodes of every kind."""
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    made = make_dashboard_reader(truth, PASSWORD)
    assert made.password is None
    with psycopg.connect(make_conninfo(truth, user=made.role, password=PASSWORD), autocommit=True) as connection:
        yield connection


def _columns(truth: str) -> list[tuple[str, str]]:
    with connect(truth) as connection:
        rows = connection.execute(
            "SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
    return [(row["t"], row["c"]) for row in rows]


def _may_read(reader: psycopg.Connection, table: str, column: str) -> bool:
    statement = sql.SQL("SELECT {} FROM {} LIMIT 1").format(sql.Identifier(column), sql.Identifier(table))
    try:
        reader.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def test_the_role_reads_figures_and_nothing_that_somebody_wrote(truth: str, reader: psycopg.Connection) -> None:
    readable = {(table, column) for table, column in _columns(truth) if _may_read(reader, table, column)}
    assert {("conversation_sessions", "turns"), ("conversation_branch_nodes", "branch_kind")} <= readable
    assert {each for each in readable if each[1] in CONTENT} == NOT_CONTENT
    closed = {
        "message",
        "context",
        "request_part",
        "pipeline_event_inbox",
        "quarantine",
        "browser_sessions",
        "feedback",
    }
    assert not closed & {table for table, _ in readable}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM conversation_sessions",
        "UPDATE conversation_branch_nodes SET depth = 9",
        "INSERT INTO seed_themes (theme_id, name, scope) VALUES (gen_random_uuid(), 'x', 'default')",
        "TRUNCATE execution_run_records",
        "CREATE TABLE mine (a integer)",
        "ALTER ROLE regraft_grafana SUPERUSER",
        "CREATE ROLE another",
    ],
)
def test_the_role_writes_nothing_even_where_it_says_that_it_may(reader: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute(statement)
    reader.execute("SET default_transaction_read_only = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(statement)


def test_functions_of_the_log_give_the_role_no_more_than_it_may_read(reader: psycopg.Connection) -> None:
    row = reader.execute("SELECT root_node_id, session_id FROM conversation_sessions LIMIT 1").fetchone()
    assert row is not None
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SELECT * FROM session_tree(%s)", (row[1],))


def test_a_forgotten_query_ends_by_itself(reader: psycopg.Connection) -> None:
    row = reader.execute("SHOW statement_timeout").fetchone()
    assert row == ("15s",)


def test_what_was_granted_by_hand_is_taken_back(truth: str, reader: psycopg.Connection) -> None:
    with transaction(truth) as connection:
        connection.execute("GRANT SELECT ON message TO regraft_grafana")
    assert _may_read(reader, "message", "body")
    make_dashboard_reader(truth)
    assert not _may_read(reader, "message", "body")
    assert _may_read(reader, "conversation_sessions", "turns")


def test_grants_do_not_stand_in_the_way_of_migrations(truth: str, reader: psycopg.Connection) -> None:
    with transaction(truth) as connection:
        connection.execute("ALTER TABLE execution_run_records DROP COLUMN cached_tokens CASCADE")
        connection.execute("ALTER TABLE conversation_branch_nodes ALTER COLUMN runs TYPE bigint")
        assert migrate(connection) == []
    assert _may_read(reader, "conversation_branch_nodes", "runs")


def test_a_role_that_may_not_make_roles_is_told_which_may(truth: str, reader: psycopg.Connection) -> None:
    with pytest.raises(ConfigError, match="whose role owns the tables and has CREATEROLE"):
        make_dashboard_reader(make_conninfo(truth, user="regraft_grafana", password=PASSWORD))


def test_the_command_keeps_a_password_reads_one_from_a_file_and_refuses_an_empty_one(
    truth: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    with OneDatabase(truth) as database:
        file.write_text("from a file\n")
        made = database.told("db", "reader", "--password-file", str(file))
        assert (made["role"], made["password"]) == ("regraft_grafana", None)
        kept = database.told("db", "reader")
        assert kept["password"] is None
        address = make_conninfo(truth, user=made["role"], password="from a file")
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT count(*) FROM conversation_sessions").fetchone() == (0,)
        file.write_text("\n")
        fails(database.regraft("db", "reader", "--password-file", str(file)), 2, "no password")
        fails(database.regraft("db", "reader", "--password-file", str(tmp_path / "none")), 2, "cannot be read")


def test_a_new_role_gets_a_password_that_is_shown_once(truth: str) -> None:
    with connect(truth, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'regraft_grafana')"
            " THEN ALTER ROLE regraft_grafana RENAME TO regraft_grafana_before; END IF; END $$"
        )
    try:
        made = make_dashboard_reader(truth)
        assert made.password
        with psycopg.connect(make_conninfo(truth, user=made.role, password=made.password)) as connection:
            assert connection.execute("SELECT count(*) FROM seed_themes").fetchone() == (0,)
    finally:
        with connect(truth, autocommit=True) as connection:
            connection.execute("DROP OWNED BY regraft_grafana; DROP ROLE regraft_grafana")
            connection.execute(
                "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'regraft_grafana_before')"
                " THEN ALTER ROLE regraft_grafana_before RENAME TO regraft_grafana; END IF; END $$"
            )
