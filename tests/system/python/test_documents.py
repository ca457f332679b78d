"""The page and the notebook about the Python API do what they say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import regraft
from support.documents import markdown_blocks, notebook_cells, run_in_order

DOCS = Path(__file__).parents[3] / "docs"
NOTEBOOK = DOCS / "notebooks" / "from-traffic-to-trainer.ipynb"


@pytest.fixture
def surroundings(truth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `regraft.open()` finds the test's database, and a folder for the rest."""
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("REGRAFT_WAREHOUSE", str(tmp_path / "warehouse"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("log", "surroundings")
def test_every_block_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = markdown_blocks(DOCS / "how-to" / "python.md")
    ran, left_out = run_in_order(blocks)
    assert {name for names in left_out.values() for name in names} <= {"pandas", "polars", "datasets"}
    assert len(blocks) - len(left_out) >= 10
    assert repr(ran["log"]).endswith("(closed)>")
    assert "assistant A lime." in capsys.readouterr().out


@pytest.mark.usefixtures("surroundings")
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # of TRL, where it is installed
def test_the_notebook_goes_from_a_file_to_records_for_a_trainer(tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK.with_name("bicycle-shop.jsonl"), tmp_path)
    ran, left_out = run_in_order(notebook_cells(NOTEBOOK))
    assert {name for names in left_out.values() for name in names} <= {"pandas", "trl", "tokenizers", "transformers"}
    assert ran["counts"].conversations == 12
    assert ran["preview"].labels == {"imported": 12}
    assert sum(ran["snapshot"].row_counts.values()) == 12
    assert len(ran["records"]) == ran["snapshot"].row_counts["train"] > 0
    shop = [json.loads(line) for line in NOTEBOOK.with_name("bicycle-shop.jsonl").read_text("utf-8").splitlines()]
    chosen = {line["chosen"][0]["content"] for line in shop}
    assert {record["chosen"][0]["content"] for record in ran["records"]} <= chosen
    assert {record["rejected"][0]["content"] for record in ran["records"]}.isdisjoint(chosen)


def test_the_notebook_keeps_no_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


def test_every_public_name_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "python.md").read_text("utf-8")
    for each in (regraft.Log, regraft.Snapshot, regraft.TargetRows):
        assert f"## `{each.__name__}`" in page
        names = [name for name in vars(each) if not name.startswith("_")]
        assert [name for name in names if f"`{each.__name__}.{name}`" not in page] == []
