"""Pivots of real graphs: found in the workbench, kept up to the truth, shown by commands and the web API."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from regraft.domain.errors import UsageError
from regraft.domain.replay.experiment import Experiment, Query
from regraft.flows.datasets.erase_workbench import rebuild_workbench
from regraft.flows.evaluation import pivots as flow
from regraft.flows.evaluation.review import rate_unit
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.replay.plans import prepare_experiment
from regraft.infra.postgres.pool import transaction
from regraft.infra.postgres.replay.plans import choose
from regraft.presentation.web.app import make_app
from support.small_graph import START, SmallGraph, Turn, every_kind, say


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    with transaction(truth) as connection:
        return every_kind(SmallGraph(connection))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


def report(truth: str, turn: Turn, value: float, source: str = "tests") -> None:
    with transaction(truth) as connection:
        SmallGraph(connection).put(
            "feedback",
            feedback_id=uuid4(),
            scope="test",
            name="reward",
            value=value,
            source=source,
            given_at=START,
            turn_id=turn.turn_id,
        )


def rate_by_judge(truth: str, turn: Turn, rating: int) -> None:
    """A vote of a judge on the path that ends at a turn."""
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        row = connection.execute("SELECT session_id FROM session_turn WHERE turn_id = %s", (turn.turn_id,)).fetchone()
        assert row
        seen = {"first_used": START, "last_used": START}
        graph.put(
            "judge_versions",
            judge_version="critic@1",
            judge="critic",
            task="rating",
            model="large",
            definition="{}",
            **seen,
        )
        graph.put(
            "judge_votes",
            vote_id=uuid4(),
            judge_version="critic@1",
            session_id=row["session_id"],
            unit_id=turn.node_id,
            shown_first="",
            vote_index=0,
            model_snapshot="large",
            answer="{}",
            value=f'{{"rating": {rating}}}',
            shown_hash=b"",
            created_at=START,
        )


def found(truth: str, bench: Path) -> list[tuple[UUID, str, int, int]]:
    materialise_units(truth, bench)
    flow.materialise_pivots(truth, bench)
    return [(row["node_id"], row["source"], row["answers"], row["leaves"]) for row in flow.pivots(bench)]


def test_answers_that_came_to_different_ends_make_a_pivot_of_their_context(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    assert found(truth, bench) == []
    report(truth, turns["second"], 1.0)  # below the first answer
    report(truth, turns["retry"], 0.0)
    assert found(truth, bench) == [(turns["first"].node_id, "outcome", 2, 2)]
    (row,) = flow.pivots(bench)
    assert (row["best"], row["worst"], row["theme"]) == (turns["first"].node_id, turns["retry"].node_id, "fruit")
    values = flow.values_in_tree(bench, row["session_id"])
    assert values[turns["first"].node_id]["outcome"]["mean"] == 1.0
    assert values[turns["first"].node_id]["outcome"]["pivot"]["answers"] == 2
    assert values[turns["retry"].node_id]["outcome"] == {"mean": 0.0, "leaves": 1, "pivot": None}
    report(truth, turns["retry"], 1.0)
    assert flow.materialise_pivots(truth, bench).sessions == 0  # the units are not measured again yet
    with transaction(truth) as connection:
        connection.execute("DELETE FROM feedback WHERE value = 0")
    assert found(truth, bench) == []


def test_ratings_make_a_pivot_of_their_own_and_only_changed_sessions_are_valued_again(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    report(truth, turns["answered"], 1.0)
    report(truth, turns["worse"], 0.0)
    assert found(truth, bench) == [(turns["answered"].node_id, "outcome", 2, 2)]
    rate_unit(truth, turns["retry"].node_id, 1, "ann")
    rate_unit(truth, turns["second"].node_id, 5, "ann")
    assert flow.materialise_pivots(truth, bench).sessions == 1
    assert {row["source"] for row in flow.pivots(bench)} == {"human", "outcome"}
    assert [row["node_id"] for row in flow.pivots(bench, source="human")] == [turns["first"].node_id]
    rate_unit(truth, turns["retry"].node_id, 5, "ann")
    flow.materialise_pivots(truth, bench)
    assert [row["source"] for row in flow.pivots(bench)] == ["outcome"]


def test_answers_that_a_replay_put_into_another_session_are_compared_there(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    with transaction(truth) as connection:
        graph = SmallGraph(connection, clock=1_000)
        session, ask = graph.session("elsewhere"), turns["first"].history
        made = [
            graph.turn(session, ask, say("assistant", f"A fruit, {place}."), anchor=turns["first"], kind="retry")
            for place in range(2)
        ]
    for turn, value in ((turns["second"], 1.0), (turns["retry"], 0.0), (made[0], 0.5), (made[1], 0.25)):
        report(truth, turn, value)
    first = turns["first"].node_id
    assert found(truth, bench) == [(first, "outcome", 2, 2), (first, "outcome", 2, 2)]
    assert len({row["session_id"] for row in flow.pivots(bench)}) == 2
    assert flow.pivots_to_replay(truth, bench) == [first]


def test_a_deleted_workbench_gives_the_same_pivots_again_and_so_does_an_erasure(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    for name, value in (("answered", 1.0), ("worse", 0.0), ("second", 0.25), ("retry", 0.75)):
        report(truth, turns[name], value)
    found(truth, bench)
    before = flow.pivots(bench)
    assert len(before) == 2
    rebuild_workbench(truth, bench)
    assert flow.pivots(bench) == before
    rate_by_judge(truth, turns["answered"], 2)
    rate_by_judge(truth, turns["worse"], 4)
    found(truth, bench)
    assert [(row["highest"], row["lowest"]) for row in flow.pivots(bench, source="judge")] == [(0.75, 0.25)]
    before = flow.pivots(bench)
    bench.unlink()
    found(truth, bench)
    assert flow.pivots(bench) == before


def test_the_query_pivot_replays_the_heaviest_first(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    for name, value in (("answered", 0.75), ("worse", 0.25), ("second", 0.0), ("retry", 1.0), ("tool_1", 1.0)):
        report(truth, turns[name], value)
    heaviest = flow.pivots_to_replay(truth, bench)

    def nodes(**conditions: Any) -> list[UUID]:
        with transaction(truth) as connection:
            return choose(connection, Query(query="pivot", **conditions), among=heaviest)

    assert nodes() == [turns["first"].node_id, turns["answered"].node_id]
    assert nodes(limit=1) == [turns["first"].node_id]
    assert nodes(themes=("tools",)) == [turns["answered"].node_id]
    with pytest.raises(UsageError, match="not known here"):
        prepare_experiment(truth, Experiment(query=Query(query="pivot")))
    with pytest.raises(UsageError, match="It is one of: pivot"):
        Query(query="pivots")


def test_the_web_api_shows_pivots_and_says_so_when_there_is_no_workbench(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    report(truth, turns["answered"], 1.0)
    report(truth, turns["worse"], 0.0)
    found(truth, bench)
    with TestClient(make_app(truth, workbench=bench)) as client:
        (shown,) = client.get("/api/pivots").json()["pivots"]
        assert (shown["node_id"], shown["source"], shown["leaves"]) == (str(turns["answered"].node_id), "outcome", 2)
        assert client.get("/api/pivots?source=human").json() == {"pivots": []}
        assert client.get("/api/pivots?theme=fruit").json() == {"pivots": []}
        assert client.get("/api/pivots?session=tools").json()["pivots"] == [shown]
        assert client.get("/api/pivots?session=nothing").status_code == 400
        assert client.get("/api/pivots?source=nobody").status_code == 400
        values = client.get("/api/sessions/tools/values").json()["values"]
        assert [(one["node_id"], one["mean"], one["spread"] is None) for one in values] == sorted(
            [(str(turns["answered"].node_id), 1.0, False), (str(turns["worse"].node_id), 0.0, True)]
        )
        assert client.get("/api/sessions/fruit/values").json() == {"values": []}
    with TestClient(make_app(truth)) as client:
        assert client.get("/api/pivots").status_code == 503
