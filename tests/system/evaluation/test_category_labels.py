"""Category labels of real graphs: each layer beside the others, kept up to the truth, shown by commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from regraft.flows.datasets.erase_workbench import rebuild_workbench
from regraft.flows.evaluation import categories as flow
from regraft.flows.evaluation.review import rate_unit
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.files.taxonomies import default_taxonomy, parse_taxonomy
from regraft.infra.postgres.pool import transaction
from regraft.presentation.web.app import make_app
from support.small_graph import START, WEATHER, SmallGraph, Turn, call, every_kind, say

OWN = parse_taxonomy(
    'name = "own"\n[categories.long]\ndefinition = "d"\n[categories.long.where.turns]\nmin = 3\n', "own.toml"
)


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    """Every kind of branch; and a question that is answered with a tool, and without one."""
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        made = every_kind(graph)
        session = graph.session("stock", "stock")
        ask = [say("user", "How many bicycles are there?")]
        asked = call("c1", "weather", '{"city":"Oslo"}')
        made["looks"] = graph.turn(session, ask, asked, tools=[WEATHER], finish="tool_calls")
        told = [*ask, asked, say("tool", "12", tool_call_id="c1")]
        made["knows"] = graph.turn(session, told, say("assistant", "Twelve."), parent=made["looks"], tools=[WEATHER])
        made["guesses"] = graph.turn(session, ask, say("assistant", "Many."), anchor=made["looks"], kind="retry")
        return made


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


def report(truth: str, turn: Turn, value: float) -> None:
    with transaction(truth) as connection:
        SmallGraph(connection).put(
            "feedback",
            feedback_id=uuid4(),
            scope="test",
            name="reward",
            value=value,
            source="tests",
            given_at=START,
            turn_id=turn.turn_id,
        )


def labelled(truth: str, bench: Path, **conditions: Any) -> dict[tuple[UUID, str], dict[str, Any]]:
    materialise_units(truth, bench)
    flow.label_units(truth, bench, default_taxonomy())
    return {(row["unit_id"], row["category"]): row for row in flow.labels(bench, **conditions)}


def test_the_tree_tells_where_a_tool_helped_and_where_it_did_not(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    knows, guesses = turns["knows"].node_id, turns["guesses"].node_id
    assert (knows, "tool_helped") not in labelled(truth, bench)
    report(truth, turns["knows"], 1.0)
    report(truth, turns["guesses"], 0.0)
    found = labelled(truth, bench)
    helped = found[knows, "tool_helped"]
    assert (helped["layer"], helped["decided"], round(helped["value"], 3)) == ("rules", True, 0.683)
    assert helped["evidence"] == [
        f"under anchor {turns['looks'].turn_id}: mean outcome 1.00 of 1 paths with a tool call, 0.00 of 1 without"
    ]
    assert (guesses, "tool_helped") not in found
    with transaction(truth) as connection:
        connection.execute("UPDATE feedback SET value = 1 - value, feedback_id = gen_random_uuid()")
    found = labelled(truth, bench)
    assert (found[knows, "tool_misuse"]["decided"], found[knows, "tool_helped"]["decided"]) == (True, False)


def test_rules_look_again_only_at_sessions_that_changed_or_when_the_taxonomy_does(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    materialise_units(truth, bench)
    assert flow.label_units(truth, bench, default_taxonomy()).sessions == 3
    assert flow.label_units(truth, bench, default_taxonomy()).sessions == 0
    report(truth, turns["guesses"], 0.0)
    materialise_units(truth, bench)
    assert flow.label_units(truth, bench, default_taxonomy()).sessions == 1
    assert flow.label_units(truth, bench, OWN).sessions == 3
    found = flow.labels(bench, layer="rules")
    assert {row["unit_id"] for row in found} == {turns["answered"].node_id, turns["worse"].node_id}
    assert {(row["category"], *row["evidence"]) for row in found} == {("long", "turns 3")}
    assert {row["version"] for row in found} == {f"{OWN.version}.1"}


def test_people_decide_by_majority_and_who_rated_without_naming_a_category_said_no(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    unit = turns["answered"].node_id
    rate_unit(truth, unit, 4, "ann", categories=["good_recovery", "suppress"])
    found = labelled(truth, bench, layer="human")
    assert {row["category"] for row in found.values() if row["decided"]} == {"good_recovery", "suppress"}
    assert (found[unit, "overlong"]["value"], found[unit, "overlong"]["votes"]) == (0.0, 1)
    rate_unit(truth, unit, 4, "bob")
    tied = labelled(truth, bench, layer="human")[unit, "good_recovery"]
    assert (tied["value"], tied["decided"], tied["votes"], tied["evidence"]) == (0.5, False, 2, ["ann"])
    rate_unit(truth, unit, 4, "cleo", categories=["good_recovery"])
    won = labelled(truth, bench, layer="human")[unit, "good_recovery"]
    assert (won["decided"], won["evidence"]) == (True, ["ann", "cleo"])
    rate_unit(truth, unit, 4, "cleo")  # a correction supersedes
    assert not labelled(truth, bench, layer="human")[unit, "good_recovery"]["decided"]


def test_layers_stand_side_by_side_and_a_deleted_workbench_gives_them_again(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    report(truth, turns["knows"], 1.0)
    report(truth, turns["guesses"], 0.0)
    rate_unit(truth, turns["knows"].node_id, 2, "ann", categories=["tool_misuse"])
    judged(truth, turns["knows"], {"tool_helped": 1.0, "overlong": 0.0})
    judged(truth, turns["guesses"], None)
    labelled(truth, bench)
    before = flow.labels(bench)
    said = {(row["layer"], row["maker"], row["decided"]) for row in before if row["category"] == "tool_helped"}
    assert said == {
        ("rules", "rules", True),
        ("human", "people", False),
        ("model", "scribe", True),
        ("model", "scribe", False),
    }
    (unread,) = (row for row in before if row["value"] is None and row["category"] == "tool_helped")
    assert (unread["unit_id"], unread["votes"], unread["unparseable"]) == (turns["guesses"].node_id, 0, 1)
    standings = {row["layer"]: row["standing"] for row in before}
    assert standings["model"].startswith("uncalibrated")
    assert (standings["rules"], standings["human"]) == ("", "")
    assert {row["standing"] for row in flow.by_category(bench) if row["layer"] == "model"} == {standings["model"]}
    with TestClient(make_app(truth, workbench=bench)) as client:
        listed = client.get("/api/categories").json()["categories"]
        assert [(each["category"], each["maker"], each["labels"]) for each in listed] == [
            (row["category"], row["maker"], row["labels"]) for row in flow.by_category(bench)
        ]
        shown = client.get(f"/api/nodes/{turns['knows'].node_id}/categories").json()["labels"]
        assert {(each["layer"], each["maker"], each["category"]) for each in shown} == {
            (row["layer"], row["maker"], row["category"]) for row in before if row["unit_id"] == turns["knows"].node_id
        }
        assert client.get(f"/api/nodes/{turns['looks'].node_id}/categories").json()["labels"] == []
    rebuild_workbench(truth, bench)  # as an erasure does
    assert flow.labels(bench) == []
    labelled(truth, bench)
    assert flow.labels(bench) == before
    bench.unlink()
    labelled(truth, bench)
    assert flow.labels(bench) == before
    covered = {each.layer: each.labelled for each in flow.coverage(bench)}
    assert (covered["human"], covered["model"]) == (1, 2)


def judged(truth: str, turn: Turn, value: dict[str, float] | None) -> None:
    """A vote of a judge on the path that ends at a turn; None: its answer could not be read."""
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        row = connection.execute("SELECT session_id FROM session_turn WHERE turn_id = %s", (turn.turn_id,)).fetchone()
        assert row
        graph.put(
            "judge_versions",
            judge_version="scribe@1",
            judge="scribe",
            task="categories",
            model="large",
            categories=["tool_helped", "overlong"],
            definition="{}",
            first_used=START,
            last_used=START,
        )
        graph.put(
            "judge_votes",
            vote_id=uuid4(),
            judge_version="scribe@1",
            session_id=row["session_id"],
            unit_id=turn.node_id,
            shown_first="",
            vote_index=0,
            model_snapshot="large",
            answer="{}",
            value=None if value is None else json.dumps(value),
            problem="" if value else "no JSON",
            shown_hash=b"",
            created_at=START,
        )
