"""Folders that cannot be written, and leftovers of killed commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from regraft.domain.errors import UnavailableError
from regraft.flows.datasets.erase_workbench import remove_drafts
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import freeze, list_snapshots
from regraft.infra.iceberg.snapshots import catalog
from regraft.infra.postgres.pool import transaction
from support.gateways import free_port
from support.small_graph import SmallGraph, every_kind

RECIPE = 'name = "rows"\nkind = "sft"\n'


@pytest.fixture
def log(truth: str) -> str:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    return truth


def test_a_warehouse_that_cannot_be_written_is_named_and_nothing_is_frozen(log: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    warehouse = str(tmp_path / "file" / "warehouse")
    with pytest.raises(
        UnavailableError, match=r"file/warehouse cannot be written: Not a directory\. Nothing was frozen"
    ):
        freeze(RECIPE, dsn=log, workbench=tmp_path / "workbench.duckdb", warehouse=warehouse)
    assert list_snapshots(log) == []


def test_a_catalog_whose_server_is_gone_says_so_in_one_line(tmp_path: Path) -> None:
    gone = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    with pytest.raises(UnavailableError, match="PostgreSQL") as raised, catalog(gone, str(tmp_path / "warehouse")):
        pass
    assert len(str(raised.value).splitlines()) == 1


def test_an_export_goes_into_the_folder_where_one_stands(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = str(tmp_path / "warehouse")
    frozen = freeze(RECIPE, dsn=log, workbench=tmp_path / "workbench.duckdb", warehouse=warehouse)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for _ in range(2):
        export(frozen.snapshot_id, Path(), dsn=log, warehouse=warehouse)
        assert {"README.md", "manifest.json", "train.jsonl"} <= {one.name for one in here.iterdir()}
        assert not any(one.is_dir() for one in here.iterdir())


def test_rows_that_a_killed_command_put_together_are_removed(log: str, tmp_path: Path) -> None:
    for name in ("rows-abcdefgh", "selection-12345678"):
        (tmp_path / name).mkdir()
    (tmp_path / "rows-of-mine").mkdir()
    assert remove_drafts(tmp_path) == 2
    assert [one.name for one in tmp_path.iterdir()] == ["rows-of-mine"]
