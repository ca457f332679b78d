"""Every kind of dataset from one graph: ranked, previewed, frozen, verified, exported, compared."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from regraft.domain.errors import UsageError
from regraft.flows.datasets.difference import difference
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import Frozen, freeze, stored_rows
from regraft.flows.datasets.preview import preview
from regraft.flows.datasets.ranking import rank_trajectories, ranked
from regraft.flows.datasets.verify import verify
from regraft.flows.evaluation.review import rate_unit
from regraft.infra.files.recipes import parse_recipe, recipe_example
from regraft.infra.postgres.pool import transaction
from support.small_graph import SmallGraph, Turn, every_kind

KINDS = ("sft", "dpo", "reward", "suppression", "unlearning")
RECIPE = """
name = "{kind}-rows"
kind = "{kind}"
[source]
labels = ["human", "imported", "outcome", "signals"]
[select]
per_context = 0
negatives = ["suppression_candidate", "tool_misuse", "hard_negative"]
[splits]
train = 1.0
"""


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    with transaction(truth) as connection:
        made = every_kind(SmallGraph(connection))
    rate_unit(truth, made["retry"].node_id, 1, "ann", categories=["suppress"])
    rate_unit(truth, made["model"].node_id, 5, "ann")
    return made


@pytest.fixture
def frozen(truth: str, tmp_path: Path) -> Callable[[str], Frozen]:
    bench, warehouse = tmp_path / "workbench.duckdb", str(tmp_path / "warehouse")
    return lambda recipe: freeze(recipe, dsn=truth, workbench=bench, warehouse=warehouse)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_what_its_preview_says_and_proves_itself(
    kind: str, truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    recipe = RECIPE.format(kind=kind)
    seen = preview(recipe, dsn=truth, workbench=tmp_path / "workbench.duckdb", show=1)
    snapshot = frozen(recipe)
    assert snapshot.kind == kind
    assert (seen.rows, seen.refused) == (sum(snapshot.row_counts.values()), snapshot.refused)
    assert seen.whole
    assert sum(seen.labels.values()) == seen.rows
    assert seen.sample[0]["messages"]
    proof = verify(snapshot.snapshot_id, dsn=truth, warehouse=str(tmp_path / "warehouse"))
    assert (proof.ok, proof.checked) == (True, seen.rows)


def test_a_suppression_dataset_holds_both_labels_and_the_evidence(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    snapshot = frozen(RECIPE.format(kind="suppression"))
    rows = [row for batch in stored_rows(truth, str(tmp_path / "warehouse"), snapshot) for row, _ in batch]
    by_id = {row.row_id: row for row in rows}
    unwanted, wanted = by_id[str(turns["retry"].node_id)], by_id[str(turns["model"].node_id)]
    assert (unwanted.label, unwanted.negative) == ("false", "suppression_candidate")
    assert "people rate it" in unwanted.evidence
    assert wanted.label == "true"
    assert not any(row.negative == "noise_reject" for row in rows)
    done = export(snapshot.snapshot_id, tmp_path / "out", dsn=truth, warehouse=str(tmp_path / "warehouse"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert {line["label"] for line in lines} == {True, False}
    assert all(line["prompt"] and line["completion"][0]["role"] == "assistant" for line in lines)
    assert sum(done.row_counts.values()) == len(rows)


def test_unlearning_forgets_what_people_want_less_of_and_retains_as_many(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    snapshot = frozen(RECIPE.format(kind="unlearning").replace(', "tool_misuse", "hard_negative"', ""))
    rows = [row for batch in stored_rows(truth, str(tmp_path / "warehouse"), snapshot) for row, _ in batch]
    labels = [row.label for row in rows]
    assert (labels.count("forget"), labels.count("retain")) == (1, 1)
    forget = rows[labels.index("forget")]
    assert forget.row_id == str(turns["retry"].node_id)
    assert forget.alternate, "its sibling that people prefer answers the same prompt"


def test_ranks_are_tables_with_the_reason_of_each_place(truth: str, turns: dict[str, Turn], tmp_path: Path) -> None:
    bench = tmp_path / "workbench.duckdb"
    recipe = parse_recipe(RECIPE.format(kind="sft"))
    counts = rank_trajectories(recipe, truth, bench)
    best = ranked(bench, recipe.name, negatives=False, n=100)
    worst = ranked(bench, recipe.name, negatives=True, n=100)
    assert (len(best), len(worst)) == (sum(counts.positives.values()), sum(counts.negatives.values()))
    assert best[0]["unit_id"] == str(turns["model"].node_id)
    assert best[0]["why"].startswith("people 1.00")
    types = {row["unit_id"]: row["type"] for row in worst}
    assert types[str(turns["retry"].node_id)] == "suppression_candidate"
    assert types[str(turns["error"].node_id)] == "noise_reject"
    assert rank_trajectories(recipe, truth, bench) == counts


def test_a_difference_names_the_rows_that_came_and_went(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    old = frozen(RECIPE.format(kind="sft"))
    rate_unit(truth, turns["model"].node_id, 4, "ann")
    rate_unit(truth, turns["retry"].node_id, 3, "ann")
    new = frozen(RECIPE.format(kind="sft"))
    found = difference(old.snapshot_id, new.snapshot_id, dsn=truth, warehouse=str(tmp_path / "warehouse"))
    assert (found.added, found.removed, found.changed, found.recertified) == (1, 0, 0, 1)
    assert found.ids["added"] == [str(turns["retry"].node_id)], "its outcome was below half"
    assert found.ids["recertified"] == [str(turns["model"].node_id)]
    best = frozen(RECIPE.format(kind="sft").replace("per_context = 0", "per_context = 1"))
    found = difference(new.snapshot_id, best.snapshot_id, dsn=truth, warehouse=str(tmp_path / "warehouse"))
    assert (found.added, found.changed) == (0, 0)
    assert found.removed > 0
    pairs = frozen(RECIPE.format(kind="dpo"))
    with pytest.raises(UsageError, match="of kind dpo"):
        difference(old.snapshot_id, pairs.snapshot_id, dsn=truth, warehouse=str(tmp_path / "warehouse"))


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_recipe_takes_calls_of_its_time_from_a_workbench_of_before_times_were_kept_too(
    kind: str, truth: str, turns: dict[str, Turn], tmp_path: Path
) -> None:
    bench = tmp_path / "workbench.duckdb"
    whole = preview(RECIPE.format(kind=kind), dsn=truth, workbench=bench)
    with duckdb.connect(str(bench)) as connection:
        connection.execute("ALTER TABLE trajectory_units DROP COLUMN started_at")
        connection.execute("ALTER TABLE candidate_preference_pairs DROP COLUMN started_a")
    for period, rows in (("since = 2026-01-01", whole.rows), ("until = 2026-01-01", 0)):
        recipe = RECIPE.format(kind=kind).replace("[source]", f"[source]\n{period}")
        found = preview(recipe, dsn=truth, workbench=bench)
        assert found.rows == rows
        assert bool(found.passed_over.get("other_time")) == (rows == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_recipe_that_init_writes_is_whole_and_means_the_defaults(kind: str) -> None:
    text = recipe_example("mine", kind)
    written, plain = parse_recipe(text), parse_recipe(f'name = "mine"\nkind = "{kind}"\n')
    assert {**_fields(written), "text": ""} == {**_fields(plain), "text": ""}
    assert set(tomllib.loads(text)) >= {"source", "select", "content", "filters", "weights", "splits"}


def _fields(recipe: object) -> dict[str, object]:
    return {name: getattr(recipe, name) for name in type(recipe).__slots__}  # type: ignore[attr-defined]
