"""Near-duplicates by Daft, on this machine and on two Ray nodes, against an exact comparison of all rows.

Daft and Ray live in their own environment (`make test-scale` makes it).
"""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.words import runs, spoken, words
from regraft.domain.errors import UnavailableError, UsageError
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.resemblance import resemblance
from regraft.infra.daft.engine import AlikeRows, Compared, Engine, compare
from regraft.infra.iceberg.rows import to_batch
from regraft.infra.postgres.pool import transaction
from support.rows import calls, pair, result, says, sft
from support.small_graph import SmallGraph, every_kind

REPOSITORY = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("REGRAFT_SCALE_PYTHON") or REPOSITORY / ".venv-scale" / "bin" / "python")
if not PYTHON.exists() and os.environ.get("CI") != "true":
    pytest.skip("Daft is not installed: run `make test-scale`", allow_module_level=True)

THRESHOLD = 0.8
ROWS = 2_000
ENGINES = [Engine(PYTHON), Engine(PYTHON, "local:2")]
HERE, RAY = ENGINES


def planted(kind: str) -> list[Row]:
    """Rows of random words; a fourth of them are an earlier row with some words replaced, in other writing."""
    dice = random.Random(5)
    vocabulary = [f"Wort{number}" for number in range(4_000)]
    rows: list[Row] = []
    texts: list[list[str]] = []
    for number in range(ROWS):
        if texts and dice.random() < 0.25:
            text = list(dice.choice(texts))
            for _ in range(dice.randint(0, 8)):
                text[dice.randrange(len(text))] = dice.choice(vocabulary)
        else:
            text = dice.choices(vocabulary, k=dice.randint(40, 160))
        texts.append(text)
        rows.append(replace(written(kind, text, dice), row_id=f"r{number:05}", session_id=f"s{number}", score=0.5))
    return rows


def written(kind: str, text: list[str], dice: random.Random) -> Row:
    """A row of a kind that says these words."""
    asked, thought, answered = text[:15], text[15:25], " ".join(text[25:])
    instructions = says("system", " ".join(dice.choices(("be", "brief", "and", "kind"), k=30)))
    question = says("user", dice.choice((" ", "\n", ", ")).join(asked))
    if kind == "dpo":
        return pair((instructions, question), says("assistant", answered), says("assistant", " ".join(thought)))
    arguments = json.dumps({"city": " ".join(thought)})
    answer = says("assistant", answered.upper() if dice.random() < 0.5 else answered)
    return sft(instructions, question, calls(arguments, reasoning="first look"), result("It snows."), answer)


def stored(rows: list[Row], folder: Path, files: int = 3) -> list[str]:
    """Parquet files of rows, as a freeze writes them."""
    size = -(-len(rows) // files)
    paths = []
    for start in range(0, len(rows), size):
        path = folder / f"{start}.parquet"
        batch = to_batch([(row, "train") for row in rows[start : start + size]], rows[0].kind)
        pq.write_table(pa.Table.from_batches([batch]), path)
        paths.append(path.as_uri())
    return paths


def found_by(engine: Engine, rows: list[Row], folder: Path, threshold: float = THRESHOLD) -> Compared:
    files, kind = stored(rows, folder), rows[0].kind
    return compare(engine, files, KINDS[kind].columns, threshold, folder)


def exact(rows: list[Row]) -> dict[tuple[str, str], float]:
    """Every pair of rows that share a run of words, with the share, by comparing each with each."""
    said = {row.row_id: {run for text in spoken(row) for run in runs(words(text), 5)} for row in rows}
    holders = defaultdict(list)
    for row_id, parts in said.items():
        for part in parts:
            if len(part.split()) == 5:
                holders[part].append(row_id)
    near = {two for row_ids in holders.values() if len(row_ids) < ROWS for two in combinations(sorted(row_ids), 2)}
    return {two: len(said[two[0]] & said[two[1]]) / len(said[two[0]] | said[two[1]]) for two in near}


def joined(compared: Compared) -> list[set[str]]:
    """The groups of rows that pairs join."""
    groups = {row.row_id: {row.row_id} for row in compared.rows}
    for alike in compared.pairs:
        one, other = sorted((groups[alike.row_id], groups[alike.other_row_id]), key=len)
        if one is not other:
            other |= one
            groups |= dict.fromkeys(one, other)
    return [group for row_id, group in groups.items() if row_id == min(group) and len(group) > 1]


@pytest.mark.parametrize("kind", ["sft", "dpo"])
@pytest.mark.parametrize("engine", ENGINES, ids=["here", "ray"])
def test_pairs_are_those_of_an_exact_comparison(engine: Engine, kind: str, tmp_path: Path) -> None:
    rows = planted(kind)
    wanted = {two: share for two, share in exact(rows).items() if share >= THRESHOLD}
    compared = found_by(engine, rows, tmp_path)
    found = {(one.row_id, one.other_row_id): one.similarity for one in compared.pairs}
    assert len(wanted) > 150
    assert len(found) == len(compared.pairs)
    assert found.items() <= wanted.items()  # precision 1, and the very shares
    assert len(found) >= 0.95 * len(wanted)


def test_a_machine_and_a_cluster_find_the_same(tmp_path: Path) -> None:
    rows = planted("sft")
    places = [tmp_path / name for name in ("here", "ray")]
    for place in places:
        place.mkdir()
    here, ray = (found_by(engine, rows, place) for engine, place in zip(ENGINES, places, strict=True))
    assert (here.rows, here.pairs, here.figures) == (ray.rows, ray.pairs, ray.figures)


def test_lengths_are_of_what_was_said_without_instructions(tmp_path: Path) -> None:
    one = replace(
        sft(says("system", "Be very brief."), says("user", "Why, though?"), says("assistant", "So.")), row_id="a"
    )
    (row,) = found_by(HERE, [one], tmp_path).rows
    assert (row.words, row.characters) == (3, len("Why, though?So."))


def test_short_and_empty_texts_are_alike_only_when_they_are_equal(tmp_path: Path) -> None:
    texts = {"a": "Yes", "b": "yes!", "c": "No", "d": "...", "e": "…", "f": "東京", "g": "東京"}
    rows = [replace(sft(says("assistant", text)), row_id=row_id) for row_id, text in texts.items()]
    found = found_by(HERE, rows, tmp_path).pairs
    assert found == [AlikeRows("a", "b", 1.0), AlikeRows("f", "g", 1.0)]


def test_very_many_equal_rows_are_one_group_in_linear_time(tmp_path: Path) -> None:
    rows = [replace(sft(says("assistant", "the same words again and again")), row_id=f"r{n:05}") for n in range(1_000)]
    compared = found_by(HERE, rows, tmp_path)
    assert joined(compared) == [{row.row_id for row in rows}]
    assert len(compared.pairs) <= 64 * len(rows)
    assert compared.figures["wide_bands"] > 0


@pytest.fixture
def frozen(truth: str, tmp_path: Path) -> dict[str, Any]:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    recipe = 'name = "good"\nkind = "sft"\n[source]\nlabels = ["human", "signals"]\n'
    places = {"dsn": truth, "warehouse": str(tmp_path / "warehouse")}
    return {"snapshot": freeze(recipe, workbench=tmp_path / "workbench.duckdb", **places), **places}


def test_a_frozen_snapshot_is_compared_from_its_iceberg_files(frozen: dict[str, Any], tmp_path: Path) -> None:
    snapshot = frozen.pop("snapshot")
    folder = tmp_path / "alike"
    found = resemblance(snapshot.snapshot_id, folder, python=PYTHON, **frozen)
    rows = pq.read_table(folder / "rows.parquet").to_pylist()
    assert found.rows == len(rows) == sum(snapshot.row_counts.values())
    assert found.words == sum(row["words"] for row in rows) > 0
    assert sum(not row["keep"] for row in rows) == found.surplus
    assert pq.read_table(folder / "pairs.parquet").num_rows == found.pairs
    assert json.loads((folder / "report.json").read_text("utf-8"))["snapshot_id"] == snapshot.snapshot_id
    assert sorted(path.name for path in folder.iterdir()) == ["pairs.parquet", "report.json", "rows.parquet"]


def test_a_threshold_that_is_no_share_is_refused(frozen: dict[str, Any], tmp_path: Path) -> None:
    snapshot = frozen.pop("snapshot")
    with pytest.raises(UsageError, match=r"0\.1 to 1"):
        resemblance(snapshot.snapshot_id, tmp_path / "alike", python=PYTHON, threshold=80, **frozen)


def test_a_cluster_that_does_not_answer_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"No Ray cluster answers at 127\.0\.0\.1:1"):
        found_by(Engine(PYTHON, "127.0.0.1:1"), planted("sft")[:3], tmp_path)
