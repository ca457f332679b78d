"""``regraft retention`` removes only data from which nothing else is derived, by options or by settings."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import AssetMaterialization, DagsterInstance, OpExecutionContext, job, op
from psycopg import sql

from regraft.flows.retention import RetentionAges, RetentionPlaces, remove_old
from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.postgres.pool import connect
from regraft.presentation.dagster import home as dagster_home
from support.regraft_command import clean_environment, regraft_command


@op
def make(context: OpExecutionContext) -> None:
    context.log.info("a line that is worth nothing in three months")
    context.log_event(AssetMaterialization("rows", description="what the page of an asset shows"))


@job
def making() -> None:
    make()


@pytest.fixture
def storage(postgres: PostgresEndpoint) -> Iterator[str]:
    """A database for Dagster alone."""
    name = f"dagster_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield postgres.admin_dsn(name)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def places(truth: str, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RetentionPlaces:
    """Dagster has run a job there."""
    home = dagster_home.home_of(tmp_path)
    dagster_home.write_home(home)
    monkeypatch.setenv(dagster_home.STORAGE_VARIABLE, dagster_home.storage_url(storage))
    with DagsterInstance.from_config(str(home)) as instance:
        assert making.execute_in_process(instance=instance).success
    (home / "compute_logs" / "run").mkdir(parents=True, exist_ok=True)
    (home / "compute_logs" / "run" / "make.out").write_text("printed by a run")
    return RetentionPlaces(truth=truth, dagster=storage, dagster_home=home)


def kinds(places: RetentionPlaces) -> dict[str, int]:
    assert places.dagster is not None
    with connect(places.dagster) as connection:
        rows = connection.execute(
            "SELECT coalesce(dagster_event_type, 'LINE') AS kind, count(*) AS rows FROM event_logs GROUP BY 1"
        ).fetchall()
    return {row["kind"]: row["rows"] for row in rows}


def regraft(places: RetentionPlaces, *words: str, **settings: str) -> Any:
    own = {
        "REGRAFT_DATA_DIR": str(places.dagster_home.parent),
        "REGRAFT_POSTGRES__DSN": places.truth,
        "REGRAFT_DAGSTER__DSN": places.dagster or "",
    }
    environment = {**clean_environment(), **own, **settings}
    return regraft_command("retention", *words, cwd=Path.cwd(), environment=environment)


def test_what_runs_logged_goes_and_what_dagster_shows_of_assets_and_runs_stays(places: RetentionPlaces) -> None:
    before = kinds(places)
    assert {"LINE", "STEP_START", "ASSET_MATERIALIZATION", "PIPELINE_SUCCESS"} <= set(before)
    ages = RetentionAges(run_details=timedelta(days=90))
    assert [each.items for each in remove_old(places, ages)] == [0, 0]  # nothing is that old
    later = datetime.now(UTC) + timedelta(days=91)
    told = remove_old(places, ages, dry_run=True, now=later)
    assert kinds(places) == before
    done = remove_old(places, ages, now=later)
    assert done == told
    assert {each.kind: each.items > 0 for each in done} == {"run_details": True, "run_logs": True}
    assert set(kinds(places)) == {name for name in before if name.startswith(("ASSET_", "PIPELINE_"))}
    assert not (places.dagster_home / "compute_logs" / "run").exists()
    with DagsterInstance.from_config(str(places.dagster_home)) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS"]
        (record,) = instance.get_asset_records()
        assert record.asset_entry.last_materialization is not None
    assert [each.items for each in remove_old(places, ages, now=later)] == [0, 0]


def test_ages_come_from_the_settings_where_no_option_names_one(places: RetentionPlaces) -> None:
    done = regraft(places, "--json", REGRAFT_RETENTION__RAW_BODIES="2y")
    assert done.returncode == 0, done.stderr
    assert [each["kind"] for each in json.loads(done.stdout)["removed"]] == [
        "answers",
        "resolved",
        "run_details",
        "run_logs",
    ]
    only = json.loads(regraft(places, "--run-details-older-than", "1h", "--dry-run", "--json").stdout)
    assert [each["kind"] for each in only["removed"]] == ["run_details", "run_logs"]
    none = regraft(places, REGRAFT_RETENTION__RUN_DETAILS="")
    assert "Nothing has an age" in none.stdout
    wrong = regraft(places, REGRAFT_RETENTION__RAW_BODIES="soon")
    assert wrong.returncode == 2
    assert "soon is not an age" in wrong.stderr
    assert len(kinds(places)) > 3
