"""Output of commands about the graph: trees, sessions, nodes and paths, with outcomes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import transaction
from support.regraft_command import regraft_command
from support.small_graph import START, SmallGraph, Turn, every_kind

Run = Callable[..., Any]


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        made = every_kind(graph)
        judged: list[tuple[float, dict[str, UUID]]] = [
            (0.25, {"turn_id": made["retry"].turn_id}),
            (0.75, {"turn_id": made["retry"].node_id}),
            (1.0, {"session_id": session_of(graph, made["first"])}),
        ]
        for hours, (value, target) in enumerate(judged):
            at = START + timedelta(hours=hours)
            graph.put(
                "feedback",
                feedback_id=uuid4(),
                scope="test",
                name="reward",
                value=value,
                source="tests",
                given_at=at,
                **target,
            )
    return made


def session_of(graph: SmallGraph, turn: Turn) -> UUID:
    row = graph.connection.execute("SELECT session_id FROM session_turn WHERE turn_id = %s", (turn.turn_id,)).fetchone()
    assert row
    return UUID(str(row["session_id"]))


@pytest.fixture
def regraft(truth: str, tmp_path: Path) -> Run:
    """What a command prints, as text or, with --json, as a value."""
    environment = {**os.environ, "REGRAFT_POSTGRES__DSN": truth, "REGRAFT_DATA_DIR": str(tmp_path)}

    def run(*arguments: str) -> Any:
        done = regraft_command(*arguments, cwd=tmp_path, environment=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run


def test_a_tree_shows_kinds_models_and_what_came_of_it(regraft: Run, turns: dict[str, Turn]) -> None:
    drawn = regraft("tree", "fruit")
    (head, *lines) = drawn.splitlines()
    assert "outcome 1" in head
    assert "(tests)" in head
    (retried,) = [line for line in lines if str(turns["retry"].node_id)[:13] in line]
    assert "↻" in retried
    assert "outcome 0.75" in retried
    (other,) = [line for line in lines if str(turns["model"].node_id)[:13] in line]
    assert " large " in other
    assert "outcome" not in other
    (failed,) = [line for line in lines if str(turns["error"].node_id)[:13] in line]
    assert "error" in failed


def test_the_tree_as_json_holds_every_node_with_its_reward(regraft: Run, turns: dict[str, Turn]) -> None:
    rows = {row["node_id"]: row for row in regraft("tree", "fruit", "--json")}
    mine = ("first", "retry", "model", "prompt", "tool_1", "tool_2", "error", "second")
    assert {str(turns[name].node_id) for name in mine} < set(rows)
    assert len(rows) == len(mine) + 1
    rewards = {key: row["reward"] for key, row in rows.items() if row["reward"] is not None}
    assert {key: float(value) for key, value in rewards.items()} == {str(turns["retry"].node_id): 0.75}


def test_the_reward_in_a_tree_is_the_one_of_the_view(truth: str, turns: dict[str, Turn]) -> None:
    with transaction(truth) as connection:
        session = reading.resolve_session(connection, "fruit")
        shown = {row["turn_id"]: row["reward"] for row in reading.session_tree(connection, session)}
        found = connection.execute("SELECT turn_id, reward FROM turn_outcome").fetchall()
    assert {turn: reward for turn, reward in shown.items() if reward is not None} == {
        row["turn_id"]: row["reward"] for row in found
    }
    assert found


def test_sessions_are_listed_with_their_outcome(regraft: Run, turns: dict[str, Turn]) -> None:
    found = {row["external_id"]: row for row in regraft("sessions", "--json")}
    assert (float(found["fruit"]["reward"]), found["fruit"]["reward_source"]) == (1.0, "tests")
    assert found["tools"]["reward"] is None
    assert "outcome" in regraft("sessions").splitlines()[0]


def test_a_node_shows_the_rewards_of_its_runs_and_of_its_siblings(regraft: Run, turns: dict[str, Turn]) -> None:
    whole = regraft("show", str(turns["first"].node_id), "--json")
    assert [record["reward"] for record in whole["run_records"]] == [None]
    rewarded = {row["node_id"]: float(row["reward"]) for row in whole["alternatives"] if row["reward"] is not None}
    assert rewarded == {str(turns["retry"].node_id): 0.75}
    assert "0.75" in regraft("show", str(turns["retry"].node_id))


def test_a_path_goes_through_the_nodes_that_the_tree_has(regraft: Run, turns: dict[str, Turn]) -> None:
    tree = {row["node_id"]: row for row in regraft("tree", "tools", "--json")}
    path = regraft("path", str(turns["answered"].node_id), "--json")
    assert [row["node_id"] for row in path[1:]] == [str(turns[name].node_id) for name in ("asked", "again", "answered")]
    assert all(tree[row["node_id"]]["depth"] == row["depth"] for row in path)


def test_a_found_node_is_one_of_the_tree(regraft: Run, turns: dict[str, Turn]) -> None:
    found = regraft("find", "cherry", "--json")
    assert [(row["node_id"], row["place"]) for row in found] == [(str(turns["retry"].node_id), "answer")]
    assert found[0]["node_id"] in {row["node_id"] for row in regraft("tree", "fruit", "--json")}
