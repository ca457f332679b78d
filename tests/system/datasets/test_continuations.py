"""Pairs whose sides continue to the ends of their paths: decided by what came of them, with the context as the
prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from regraft.domain.errors import IllegalRowError
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import Frozen, freeze, stored_rows
from regraft.flows.datasets.preview import preview
from regraft.flows.datasets.verify import verify
from regraft.flows.evaluation.review import rate_unit
from regraft.infra.postgres.pool import transaction
from support.small_graph import WEATHER, SmallGraph, Turn, call, say

RECIPE = """
name = "{kind}-continuations"
kind = "{kind}"
[source]
labels = ["human"]
[select]
sides = "continuations"
per_context = 0
[splits]
train = 1.0
"""
ASK = [say("user", "How is the weather in Oslo?")]


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    """Two first answers, each a call; after its result two answers to the first, one to the second."""
    made: dict[str, Turn] = {}
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        session = graph.session("weather", "weather")
        for name, city, anchor in (("good", "Oslo", None), ("bad", "Rome", "good")):
            asked = call("c1", "weather", json.dumps({"city": city}))
            made[name] = graph.turn(
                session,
                ASK,
                asked,
                tools=[WEATHER],
                finish="tool_calls",
                kind="retry" if anchor else "continuation",
                anchor=made[anchor] if anchor else None,
            )
            told = [*ASK, asked, say("tool", f"snow in {city}", tool_call_id="c1")]
            for number, text in enumerate(("It snows.", "Snow, snow.")[: 2 if name == "good" else 1]):
                made[f"{name} {number}"] = graph.turn(
                    session,
                    told,
                    say("assistant", f"{city}: {text}"),
                    parent=made[name],
                    tools=[WEATHER],
                    kind="retry" if number else "continuation",
                    anchor=made[f"{name} 0"] if number else None,
                )
    return made


@pytest.fixture
def frozen(truth: str, tmp_path: Path) -> Callable[[str], Frozen]:
    bench, warehouse = tmp_path / "workbench.duckdb", str(tmp_path / "warehouse")
    return lambda recipe: freeze(recipe, dsn=truth, workbench=bench, warehouse=warehouse)


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_the_better_answers_best_path_is_preferred_to_the_others_worst(
    kind: str, truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    warehouse = str(tmp_path / "warehouse")
    for name, rating in (("good 0", 5), ("good 1", 4), ("bad 0", 1)):
        rate_unit(truth, turns[name].node_id, rating, "ann")
    snapshot = frozen(RECIPE.format(kind=kind))
    rows = {row.row_id: row for batch in stored_rows(truth, warehouse, snapshot) for row, _ in batch}
    assert len(rows) == 2
    (row,) = [each for each in rows.values() if len(each.chosen) == 3]
    assert [message["role"] for message in row.prompt] == ["user"]
    assert [message["role"] for message in row.chosen] == ["assistant", "tool", "assistant"]
    assert (row.chosen[-1]["content"], row.rejected[-1]["content"]) == ("Oslo: It snows.", "Rome: It snows.")
    assert row.rejected[0]["tool_calls"][0]["function"]["arguments"] == '{"city": "Rome"}'
    assert (row.margin, row.label_source) == (1.0, "ratings")
    assert row.evidence == "mean value 0.875 of 2 paths through the preferred answer, 0 of 1 through the other"
    assert {source.part: source.node_id for source in row.sources} == {
        "chosen": str(turns["good 0"].node_id),
        "rejected": str(turns["bad 0"].node_id),
        "context": str(min(turns["good"].node_id, turns["bad"].node_id)),
    }
    (other,) = [each for each in rows.values() if each is not row]
    assert (other.chosen[0]["content"], other.margin) == ("Oslo: It snows.", 0.25)
    proof = verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse)
    assert (proof.ok, proof.checked) == (True, 2)
    done = export(snapshot.snapshot_id, tmp_path / "out", dsn=truth, warehouse=warehouse, format="trl")
    assert done.left_out == ({"side_not_masked": 1} if kind == "dpo" else {})


def test_what_nobody_judged_is_no_pair_and_answers_alone_are_as_before(
    truth: str, turns: dict[str, Turn], frozen: Callable[[str], Frozen], tmp_path: Path
) -> None:
    with pytest.raises(IllegalRowError, match="no_preference"):
        frozen(RECIPE.format(kind="dpo"))
    rate_unit(truth, turns["good 0"].node_id, 5, "ann")
    rate_unit(truth, turns["good 1"].node_id, 2, "ann")
    plain = RECIPE.format(kind="dpo").replace('sides = "continuations"', "")
    found = preview(plain, dsn=truth, workbench=tmp_path / "workbench.duckdb", show=5)
    assert found.rows == 1
    with_sides = preview(RECIPE.format(kind="dpo"), dsn=truth, workbench=tmp_path / "workbench.duckdb", show=5)
    assert (with_sides.rows, with_sides.refused["no_preference"]) == (1, 1)


def test_values_of_equal_mean_prefer_neither(truth: str, turns: dict[str, Turn], tmp_path: Path) -> None:
    for name, rating in (("good 0", 5), ("good 1", 1), ("bad 0", 3)):
        rate_unit(truth, turns[name].node_id, rating, "ann")
    found = preview(RECIPE.format(kind="dpo"), dsn=truth, workbench=tmp_path / "workbench.duckdb", show=5)
    assert found.refused["judged_equal"] == 1
