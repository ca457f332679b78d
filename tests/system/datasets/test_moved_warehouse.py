"""A warehouse may be moved: old snapshots are verified and exported at its present place, and new ones join them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.verify import verify
from regraft.flows.datasets.withdraw import sweep, withdraw
from regraft.infra.postgres.pool import transaction
from support.small_graph import SmallGraph, every_kind

RECIPE = 'name = "rows"\nkind = "sft"\n'


@pytest.fixture
def log(truth: str) -> str:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    return truth


def frozen(log: str, place: Path, recipe: str = RECIPE) -> str:
    return freeze(recipe, dsn=log, workbench=place / "workbench.duckdb", warehouse=str(place / "warehouse")).snapshot_id


def holds(log: str, snapshot: str, place: Path) -> bool:
    found = verify(snapshot, dsn=log, warehouse=str(place / "warehouse"), workbench=place / "workbench.duckdb")
    return found.ok and found.checked > 0


def exported(log: str, snapshot: str, place: Path, to: Path) -> bytes:
    export(snapshot, to, dsn=log, warehouse=str(place / "warehouse"))
    return (to / "train.jsonl").read_bytes()


def test_a_snapshot_is_verified_and_exported_after_two_moves(log: str, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    old = frozen(log, first)
    before = exported(log, old, first, tmp_path / "before")
    first.rename(second)
    assert holds(log, old, second)
    new = frozen(log, second, RECIPE + "[select]\nper_context = 2\n")
    other = frozen(log, second, RECIPE.replace("rows", "others"))
    assert not first.exists()
    second.rename(third)
    for snapshot in (old, new, other):
        assert holds(log, snapshot, third)
    assert exported(log, old, third, tmp_path / "after") == before
    assert not first.exists()
    assert not second.exists()


def test_files_of_a_moved_warehouse_are_removed_where_they_are_now(log: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    old, other = frozen(log, first), frozen(log, first, RECIPE.replace("rows", "others"))
    shutil.copytree(first, second)
    left = sweep(log, str(second / "warehouse"), repair=True)  # former versions of the tables' metadata
    assert not any(one.snapshots or any(path.endswith(".parquet") for path in one.files) for one in left)
    withdraw(old, "wrong", dsn=log, warehouse=str(second / "warehouse"), files=True)
    assert not list((second / "warehouse").rglob("rows/**/*.parquet"))
    assert list((first / "warehouse").rglob("rows/**/*.parquet"))
    assert holds(log, other, second)


def test_a_file_that_cannot_be_read_is_told_from_one_that_was_changed(log: str, tmp_path: Path) -> None:
    snapshot = frozen(log, tmp_path)
    file = next((tmp_path / "warehouse").rglob("*.parquet"))
    whole = file.read_bytes()
    file.unlink()
    gone = verify(snapshot, dsn=log, warehouse=str(tmp_path / "warehouse"), workbench=tmp_path / "workbench.duckdb")
    assert "cannot be read" in gone.files
    assert str(file) in gone.files
    assert gone.rows == "not checked: the files cannot be read"
    file.write_bytes(whole)
    assert holds(log, snapshot, tmp_path)


@pytest.mark.parametrize("name", ["Jane Doe's rows", "100% #1", "Zürich", "a%20b", "x;y:z&="])
def test_files_lie_in_the_folder_of_that_name_and_are_removed_from_it(log: str, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    snapshot = frozen(log, place)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(list(place.rglob("*.parquet"))) == 1
    assert holds(log, snapshot, place)
    assert exported(log, snapshot, place, tmp_path / "out")
    withdraw(snapshot, "wrong", dsn=log, warehouse=str(place / "warehouse"), files=True)
    assert not list(place.rglob("*.parquet"))


def test_a_folder_that_has_its_percent_encoded_name_gets_its_own(log: str, tmp_path: Path) -> None:
    place = tmp_path / "a b"
    (place / "warehouse").mkdir(parents=True)
    address = (place / "warehouse").as_uri()  # as earlier versions gave it to PyIceberg, which does not decode it
    snapshot = freeze(RECIPE, dsn=log, workbench=place / "workbench.duckdb", warehouse=address).snapshot_id
    assert list((tmp_path / "a%20b").rglob("*.parquet"))
    assert holds(log, snapshot, place)
    assert list((place / "warehouse").rglob("*.parquet"))
    assert not list((tmp_path / "a%20b").rglob("*.parquet"))
