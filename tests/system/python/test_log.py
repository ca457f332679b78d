"""The public Python API: a log's tables."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

import regraft
from regraft.domain.errors import NotFoundError, UsageError
from regraft.infra.embedded.postgres import EmbeddedPostgres, PostgresEndpoint
from regraft.infra.embedded.state import RunFolder


def test_sessions_are_a_table_with_the_most_recent_first(log: regraft.Log) -> None:
    table = log.sessions()
    assert table.num_rows == 22
    last = table.column("last_turn_at").to_pylist()
    assert last == sorted(last, reverse=True)
    assert log.sessions(theme="fruit").column("external_id").to_pylist() == ["fruit"]
    assert b"client" in table.schema.field("external_id").metadata[b"about"]


def test_a_tree_has_each_node_after_its_parent(log: regraft.Log) -> None:
    tree = log.tree("fruit")
    assert tree.num_rows == 9
    seen: set[str | None] = {None}
    for node in tree.to_pylist():
        assert node["parent_node_id"] in seen
        seen.add(node["node_id"])
    assert {"root", "retry", "model_variant", "tool_variant"} <= set(tree.column("branch_kind").to_pylist())


def test_a_nodes_messages_are_what_was_said(log: regraft.Log) -> None:
    (node,) = [one["node_id"] for one in log.tree("fruit").to_pylist() if one["answer_text"] == "A lime."]
    assert [(one["role"], one["content"]) for one in log.messages(node)][-2:] == [
        ("user", "And a green one?"),
        ("assistant", "A lime."),
    ]


def test_units_are_measured_when_they_are_asked_for(log: regraft.Log) -> None:
    assert log.units(refresh=False).num_rows == 0
    units = log.units()
    assert units.num_rows > 40
    assert units.column("unit_id").to_pylist() == sorted(units.column("unit_id").to_pylist())
    assert set(log.units(theme="tools").column("theme").to_pylist()) == {"tools"}
    ids = set(log.units(session="fruit").column("session_id").to_pylist())
    assert ids == set(log.sessions(theme="fruit").column("session_id").to_pylist())


def test_pairs_are_legal_or_refused_by_reason(log: regraft.Log) -> None:
    pairs = log.pairs()
    legal, refused = log.pairs(verdict="legal"), log.pairs(verdict="refused")
    assert legal.num_rows + refused.num_rows == pairs.num_rows
    assert set(legal.column("reason").to_pylist()) == {""}
    assert "" not in refused.column("reason").to_pylist()


def test_labels_of_reviews_and_of_clients_are_in_one_table(log: regraft.Log, truth: str) -> None:
    unit = log.units(session="fruit").to_pylist()[0]
    with psycopg.connect(truth, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO human_eval_labels"
            " (label_id, unit_id, session_id, reviewer, rating, shown_hash, shown, created_at)"
            " VALUES (gen_random_uuid(), %s, %s, 'ada', 4, '', '', '2026-01-02')",
            (unit["unit_id"], unit["session_id"]),
        )
        connection.execute(
            "INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)"
            " VALUES (gen_random_uuid(), 'test', %s, 'reward', 0.5, 'tests', '2026-01-03')",
            (unit["turn_id"],),
        )
    names = ["kind", "node_id", "name", "value", "source", "decided_by"]
    assert [tuple(row.values()) for row in log.labels(session="fruit").select(names).to_pylist()] == [
        ("rating", unit["unit_id"], "rating", 4.0, "human", "ada"),
        ("judgement", unit["unit_id"], "reward", 0.5, "tests", None),
    ]
    assert log.labels(theme="tools").num_rows == 0


@pytest.mark.parametrize(
    "table", ["sessions", "units", "clusters", "pairs", "labels", "pivots", "categories", "judges", "snapshots"]
)
def test_every_table_also_comes_in_batches_with_the_same_columns(log: regraft.Log, table: str) -> None:
    reader = log.batches(table)  # type: ignore[arg-type]
    assert isinstance(reader, pa.RecordBatchReader)
    assert reader.read_all().equals(getattr(log, table)())


def test_a_large_workbench_comes_in_several_batches(log: regraft.Log, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log.units()
    monkeypatch.setattr("regraft.flows.columns.BATCH", 7)
    batches = list(log.batches("units"))
    assert len(batches) == -(-whole.num_rows // 7)
    assert pa.Table.from_batches(batches).equals(whole)


def test_pivots_and_categories_come_with_who_says_so(
    log: regraft.Log, truth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = (unit["turn_id"] for unit in log.units(theme="tools").to_pylist())
    with psycopg.connect(truth, autocommit=True) as connection:
        for turn, value in ((good, 1.0), (bad, 0.0)):
            connection.execute(
                "INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)"
                " VALUES (gen_random_uuid(), 'test', %s, 'reward', %s, 'tests', '2026-01-03')",
                (turn, value),
            )
    (pivot,) = log.pivots(theme="tools").to_pylist()
    assert (pivot["source"], pivot["answers"], pivot["highest"], pivot["lowest"]) == ("outcome", 2, 1.0, 0.0)
    assert log.pivots(session="fruit").num_rows == 0
    whole = log.categories()
    said = {(row["category"], row["layer"], *row["evidence"]) for row in whole.to_pylist()}
    assert ("tool_misuse", "rules", "1 of 2 calls failed for good, 0 repeat an earlier one") in said
    assert set(log.categories(theme="tools")["session_id"].to_pylist()) == {pivot["session_id"]}
    monkeypatch.setattr("regraft.flows.columns.BATCH", 2)
    batches = list(log.batches("categories"))
    assert len(batches) == -(-whole.num_rows // 2)
    assert pa.Table.from_batches(batches).equals(whole)


def test_a_filter_that_a_table_does_not_have_is_refused(log: regraft.Log) -> None:
    with pytest.raises(UsageError, match="sessions cannot be filtered by verdict"):
        log.batches("sessions", verdict="legal")


def test_a_closed_log_says_so(log: regraft.Log) -> None:
    log.close()
    with pytest.raises(UsageError, match="closed"):
        log.sessions()


def test_opening_what_is_not_there_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with regraft.open() as log, pytest.raises(NotFoundError, match=r"There is no log in .*\.regraft, and neither"):
        log.sessions()
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_is_no_log_and_stays_empty(postgres: PostgresEndpoint, tmp_path: Path) -> None:
    dsn = postgres.admin_dsn("empty_one")
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty_one")
    try:
        with regraft.open(dsn=dsn) as log, pytest.raises(NotFoundError, match="it has no tables"):
            log.sessions()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        with regraft.open(dsn=dsn, create=True) as log:
            assert log.sessions().num_rows == 0
    finally:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute("DROP DATABASE empty_one WITH (FORCE)")


def test_an_older_log_is_not_changed_by_reading_it(truth: str) -> None:
    with psycopg.connect(truth, autocommit=True) as connection:
        connection.execute("DELETE FROM schema_migration WHERE number = (SELECT max(number) FROM schema_migration)")
    with (
        regraft.open(dsn=truth) as log,
        pytest.raises(UsageError, match=r"lacks 1 of .* migrations: `regraft upgrade`"),
    ):
        log.sessions()


def test_no_password_is_shown(log: regraft.Log) -> None:
    with regraft.open(dsn="postgresql://me:hunter2@localhost:1/x") as other:
        assert "hunter2" not in repr(other) + str(vars(other))
        with pytest.raises(regraft.RegraftError) as failed:
            other.sessions()
        assert "hunter2" not in str(failed.value)


def test_measurements_of_an_address_without_a_folder_are_thrown_away(
    truth: str, log: regraft.Log, tmp_path: Path
) -> None:
    with regraft.open(dsn=truth) as other:
        assert other.units().equals(log.units())
        with pytest.raises(UsageError, match="warehouse"):
            other.freeze("demo-sft")
    assert not (tmp_path / ".regraft").exists()


def test_the_key_of_redaction_is_never_kept_in_a_folder_that_is_thrown_away(truth: str, tmp_path: Path) -> None:
    recipe = 'name = "safe"\nkind = "sft"\n[filters]\nredact = "secrets"\n'
    with (
        regraft.open(dsn=truth, warehouse=str(tmp_path / "warehouse")) as other,
        pytest.raises(UsageError, match="kept in the data folder"),
    ):
        other.freeze(recipe)


@pytest.mark.parametrize("close", [True, False], ids=["by closing", "at the end of the program"])
def test_an_embedded_server_is_started_when_it_is_needed_and_stopped(close: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="regraft-") as folder:
        Path(folder).chmod(0o755)  # the server's account must get there
        code = (
            "import regraft; log = regraft.open(data_dir='data', create=True)\n"
            "from pathlib import Path; assert not Path('data').exists()\n"
            "print(log.sessions().num_rows)\n" + ("log.close()\n" if close else "")
        )
        first = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
        assert first.stdout == "0\n"
        state = RunFolder.of(Path(folder) / "data").read("postgres")
        assert state is None or not state.alive()
        server = EmbeddedPostgres(Path(folder) / "data")
        endpoint = server.start()
        try:
            with regraft.open(data_dir=Path(folder) / "data") as log:
                assert log.sessions().num_rows == 0
            with psycopg.connect(endpoint.dsn) as connection:  # it was there before, and is not changed
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            server.stop()


def test_import_regraft_is_light() -> None:
    heavy = "{'pyarrow', 'psycopg', 'pydantic', 'duckdb', 'regraft.presentation.python'} & set(sys.modules)"
    code = f"import sys, regraft; assert not {heavy}, {heavy}; assert regraft.Log.__name__ == 'Log'"
    subprocess.run([sys.executable, "-c", code], check=True)
