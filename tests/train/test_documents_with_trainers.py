"""The page and the notebook about the Python API, with pandas, `datasets` and a trainer: two real steps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regraft.infra.postgres.pool import transaction
from support.documents import markdown_blocks, notebook_cells, run_in_order
from support.small_graph import SmallGraph, every_kind, many_choices

pytestmark = pytest.mark.filterwarnings("default")

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = DOCS / "notebooks"


@pytest.fixture(autouse=True)
def surroundings(truth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `regraft.open()` finds the test's database, and a folder for the rest."""
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("REGRAFT_WAREHOUSE", str(tmp_path / "warehouse"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


def test_the_notebook_goes_from_a_file_to_two_steps_of_a_trainer(tmp_path: Path) -> None:
    shutil.copy(NOTEBOOKS / "bicycle-shop.jsonl", tmp_path)
    ran, left_out = run_in_order(notebook_cells(NOTEBOOKS / "from-traffic-to-trainer.ipynb"))
    assert left_out == {}
    assert len(ran["losses"]) == 2
    assert all(loss == loss and loss > 0 for loss in ran["losses"])


def test_every_block_of_the_page_runs_with_datasets(truth: str) -> None:
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        every_kind(graph)
        many_choices(graph, 20)
    ran, left_out = run_in_order(markdown_blocks(DOCS / "how-to" / "python.md"))
    assert {name for names in left_out.values() for name in names} <= {"polars"}
    assert len(ran["dataset"]) == ran["snapshot"].row_counts["train"]


def test_datasets_gives_each_message_as_it_was_said(truth: str) -> None:
    import regraft

    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    with regraft.open() as log:
        snapshot = log.freeze('name = "good"\nkind = "sft"\n')
        every = snapshot.to_datasets("trl")
        assert {name: len(rows) for name, rows in every.items()} == {k: n for k, n in snapshot.row_counts.items() if n}
        (asked,) = [row for rows in every.values() for row in rows if row["tools"]]
        call = asked["messages"][1]
        assert call["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}
        assert None not in call.values()
