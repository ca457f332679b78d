"""``regraft usage``: parts that add up to what the disk holds, by room, turn and snapshot."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regraft.flows.datasets.freeze import freeze
from regraft.flows.disk_usage import OTHER, ROOMS, room_of
from regraft.infra.files.folder_size import folder_size
from regraft.infra.postgres.pool import connect, transaction
from support.regraft_command import clean_environment, regraft_command
from support.small_graph import SmallGraph, every_kind

Regraft = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def regraft(disk_folder: Path, truth: str) -> Regraft:
    own = {"REGRAFT_DATA_DIR": str(disk_folder / "data"), "REGRAFT_POSTGRES__DSN": truth}

    def run(*words: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        changed = {**clean_environment(), **own, **variables}
        environment = {name: value for name, value in changed.items() if value is not None}
        return regraft_command(*words, cwd=disk_folder, environment=environment)

    return run


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_table_of_the_schema_has_a_room(truth: str) -> None:
    with connect(truth) as connection:
        rows = connection.execute("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'").fetchall()
    names = {row["name"] for row in rows}
    assert {name for name in names if room_of(name) == OTHER} == set(), "name its room in flows/disk_usage.py"
    ours = {name for tables in ROOMS.values() for name in tables}
    made_later = {"iceberg_tables", "iceberg_namespace_properties", "trajectory_vectors", "embedding_model"}
    assert ours - names <= made_later


def test_the_parts_add_up_to_what_du_says_and_a_snapshot_is_the_size_of_its_files(
    regraft: Regraft, truth: str, disk_folder: Path
) -> None:
    data = disk_folder / "data"
    data.mkdir()
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    recipe = 'name = "rows"\nkind = "sft"\n'
    snapshot = freeze(
        recipe, dsn=truth, workbench=data / "workbench.duckdb", warehouse=str(data / "warehouse")
    ).snapshot_id
    (data / "logs").mkdir()
    (data / "logs" / "gateway.log.1").write_bytes(os.urandom(300_000))
    (data / "keys.json").write_text("{}")
    found = told(regraft("usage", "--json"))
    parts = {(part["part"], part["room"]): part for part in found["parts"]}
    assert sum(part["bytes"] for part in found["parts"]) == found["bytes"]
    assert parts["logs", ""]["items"] == 1
    assert 300_000 <= parts["logs", ""]["bytes"] < 310_000
    files = [part for part in found["parts"] if part["unit"] == "files" and part["path"].startswith(str(data))]
    assert sum(part["bytes"] for part in files) == folder_size(data).bytes
    du = subprocess.run(["du", "-s", "--block-size=1", data], capture_output=True, text=True, check=True).stdout
    folders = 4096 * sum(1 for path in data.rglob("*") if path.is_dir()) + 4096
    assert abs(int(du.split()[0]) - folder_size(data).bytes - folders) <= 4096 * 2
    assert found["turns"] > 0
    assert found["bytes_per_turn"] == found["bytes"] / found["turns"]
    (frozen,) = found["snapshots"]
    parquet = [path.stat().st_size for path in (data / "warehouse").rglob("*.parquet")]
    assert frozen == {"snapshot_id": snapshot, "bytes": sum(parquet), "files": len(parquet)}
    with connect(truth) as connection:
        row = connection.execute("SELECT pg_database_size(current_database()) AS size").fetchone()
    assert row is not None
    rows = [part for part in found["parts"] if part["unit"] == "rows"]
    assert abs(sum(part["bytes"] for part in rows) - row["size"]) < 1 << 20
    text = regraft("usage", "--tables")
    assert text.returncode == 0, text.stderr
    for word in ("total", "lineage", "pipeline_event_inbox", snapshot, "are free"):
        assert word in text.stdout


def test_status_says_how_large_the_log_is(regraft: Regraft) -> None:
    disk = told(regraft("status", "--json"))["disk"]
    assert disk["bytes"] == sum(part["bytes"] for part in disk["parts"]) > 0
    assert "Disk: " in regraft("status").stdout


def test_usage_starts_nothing_and_makes_nothing(regraft: Regraft, disk_folder: Path) -> None:
    done = regraft("usage", REGRAFT_POSTGRES__DSN=None)
    assert done.returncode == 0, done.stderr
    assert "PostgreSQL is not running" in done.stdout
    assert not (disk_folder / "data").exists()


def test_a_database_that_is_away_leaves_the_files_to_be_counted(regraft: Regraft, disk_folder: Path) -> None:
    (disk_folder / "data" / "spool").mkdir(parents=True)
    (disk_folder / "data" / "spool" / "1").write_bytes(bytes(5_000))
    found = told(regraft("usage", "--json", REGRAFT_POSTGRES__DSN="postgresql://nobody@127.0.0.1:1/nothing"))
    assert found["turns"] is None
    assert next(part for part in found["parts"] if part["part"] == "spool")["bytes"] == 8192
