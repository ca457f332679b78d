"""What Dagster's storage quotes of a conversation goes with it; runs, materialisations and partitions stay."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from dagster import AssetMaterialization, DagsterInstance, OpExecutionContext, job, op
from psycopg import sql

from regraft.domain.datasets.erasure import TextFinder
from regraft.flows.datasets.erase import ErasureStores, erase
from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.postgres import compaction, dagster_storage
from regraft.infra.postgres.pool import connect, transaction
from regraft.presentation.dagster import home as dagster_home
from support.small_graph import SmallGraph, every_kind

SAID = 'And a "green" one, Zoë?\n'


@op
def quote(context: OpExecutionContext) -> None:
    context.log.info(f"a line: {SAID}")
    context.log_event(AssetMaterialization("rows", description=SAID, metadata={"first": SAID, "rows": 3}))
    raise ValueError(f"an answer that no dialect reads: {SAID}")


@job
def quoting() -> None:
    quote()


@pytest.fixture
def storage(postgres: PostgresEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Dagster's database, after a run that failed and quoted a conversation wherever a run can."""
    name = f"dagster_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = postgres.admin_dsn(name)
    home = dagster_home.home_of(tmp_path)
    dagster_home.write_home(home)
    monkeypatch.setenv(dagster_home.STORAGE_VARIABLE, dagster_home.storage_url(dsn))
    with DagsterInstance.from_config(str(home)) as instance:
        done = quoting.execute_in_process(instance=instance, raise_on_error=False, tags={"note": SAID})
        assert not done.success
    yield dsn
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def rows_that_hold(dsn: str, text: str) -> list[str]:
    """Columns in which a text is, in any table: as it is, or in the bytes of a value."""
    holds, found = TextFinder(text), []
    with psycopg.connect(dsn) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
        for table, column in columns:
            query = sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(column), sql.Identifier(table))
            values = [value for (value,) in connection.execute(query) if value is not None]
            if any(holds(value) or text.encode().hex() in value for value in values):
                found.append(f"{table}.{column}")
    return sorted(found)


def left_of_the_run(home: Path) -> tuple[str, int]:
    """The run's status, and how many assets have a materialisation."""
    with DagsterInstance.from_config(str(dagster_home.home_of(home))) as instance:
        (run,) = instance.get_runs()
        return run.status.value, sum(
            record.asset_entry.last_materialization is not None for record in instance.get_asset_records()
        )


def test_a_text_is_in_no_row_afterwards(storage: str, tmp_path: Path) -> None:
    assert {"event_logs.event", "run_tags.value", "runs.run_body"} <= set(rows_that_hold(storage, SAID))
    assert dagster_storage.erase(storage, TextFinder(SAID)) > 3
    assert rows_that_hold(storage, SAID) == []
    assert left_of_the_run(tmp_path) == ("FAILURE", 1)
    assert compaction.rewrite_tables(storage) == {}


def test_the_step_of_an_erasure_reaches_it(truth: str, storage: str, tmp_path: Path) -> None:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    places = ErasureStores(
        dsn=truth,
        workbench=tmp_path / "workbench.duckdb",
        warehouse=str(tmp_path / "warehouse"),
        spool=tmp_path / "spool",
        data_dir=tmp_path,
        dagster_dsn=storage,
    )
    certificate = erase("matching", "green", places)
    assert certificate.found["rows of dagster"] > 3
    assert not [name for name in certificate.left_over if name.startswith("dagster")]
    assert rows_that_hold(storage, SAID) == []


def test_without_a_text_every_row_that_may_quote_one_goes(storage: str, tmp_path: Path) -> None:
    """What an erased session said is not known any more: error messages and log lines are removed."""
    assert dagster_storage.erase(storage, None) > 1
    with connect(storage) as connection:
        kinds = {
            row["kind"] for row in connection.execute("SELECT DISTINCT dagster_event_type AS kind FROM event_logs")
        }
    assert None not in kinds
    assert not [kind for kind in kinds if "FAIL" in kind]
    assert left_of_the_run(tmp_path) == ("FAILURE", 1)
