"""Reported outcomes of answers and sessions reach paths, pairs and datasets, with sources kept separate."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from regraft.domain.datasets.rows import Row
from regraft.domain.evaluation.pairs import pair_id
from regraft.flows.datasets.assembly import assemble
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.review import rate_unit
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.postgres.pool import transaction
from support.small_graph import START, SmallGraph, Turn, every_kind

SFT = 'name = "good"\nkind = "sft"\n[source]\nlabels = ["human", "outcome", "model", "signals"]\nmin_agreement = 0.0\n'
DPO = 'name = "better"\nkind = "dpo"\n[source]\nlabels = ["outcome"]\n[select]\nper_context = 0\n'


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    with transaction(truth) as connection:
        return every_kind(SmallGraph(connection))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


class Reports:
    """Feedback rows, each later than the one before."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._made = 0

    def __call__(self, value: float, source: str = "tests", *, name: str = "reward", **target: UUID) -> None:
        self._made += 1
        with transaction(self._dsn) as connection:
            SmallGraph(connection).put(
                "feedback",
                feedback_id=uuid4(),
                scope="test",
                name=name,
                value=value,
                source=source,
                given_at=START + timedelta(hours=self._made),
                **target,
            )


@pytest.fixture
def report(truth: str) -> Reports:
    return Reports(truth)


def unit(bench: Path, turn: Turn) -> dict[str, Any]:
    return next(one for one in Workbench(bench).units() if one["unit_id"] == turn.node_id)


def session_of(dsn: str, turn: Turn) -> UUID:
    with transaction(dsn) as connection:
        row = connection.execute("SELECT session_id FROM session_turn WHERE turn_id = %s", (turn.turn_id,)).fetchone()
    assert row
    return UUID(str(row["session_id"]))


def test_the_reward_of_an_answer_is_the_outcome_of_its_path(
    truth: str, turns: dict[str, Turn], bench: Path, report: Reports
) -> None:
    assert materialise_units(truth, bench).sessions == 2
    report(0.25, turn_id=turns["retry"].turn_id)
    report(0.75, turn_id=turns["retry"].node_id)
    assert materialise_units(truth, bench).sessions == 1
    found = unit(bench, turns["retry"])
    assert (found["outcome"], found["outcome_source"]) == (0.75, "tests")
    assert unit(bench, turns["worse"])["outcome"] is None
    assert materialise_units(truth, bench).sessions == 0


def test_people_models_and_graders_stay_apart(truth: str, turns: dict[str, Turn], bench: Path, report: Reports) -> None:
    target = turns["retry"].turn_id
    report(1.0, "tests", turn_id=target)
    report(5, "human", name="rating", turn_id=target)
    report(0.0, "judge", turn_id=target)
    materialise_units(truth, bench)
    found = unit(bench, turns["retry"])
    assert (found["outcome"], found["human_outcome"], found["judge_outcome"]) == (1.0, 1.0, 0.0)
    assert found["outcome_source"] == "tests"


def test_the_reward_of_a_session_counts_for_what_its_clients_saw(
    truth: str, turns: dict[str, Turn], bench: Path, report: Reports
) -> None:
    report(1.0, session_id=session_of(truth, turns["first"]))
    report(0.0, turn_id=turns["second"].turn_id)
    materialise_units(truth, bench)
    assert unit(bench, turns["second"])["outcome"] == 0.0  # its own answer was judged
    assert unit(bench, turns["model"])["outcome"] is None  # a replay, made afterwards
    assert unit(bench, turns["answered"])["outcome"] is None  # another session


def rows_of(recipe: str, truth: str, bench: Path) -> list[Row]:
    with assemble(parse_recipe(recipe), truth, bench) as made:
        return list(made.rows.rows())


def test_an_outcome_decides_a_pair_and_its_part_of_the_score(
    truth: str, turns: dict[str, Turn], bench: Path, report: Reports
) -> None:
    first, retry = turns["first"], turns["retry"]
    pair = pair_id(first.turn_id, first.node_id, retry.node_id)
    propose_pairs(truth, bench)
    assert Workbench(bench).pair(pair)["reason"] == "no_preference"
    report(0.0, turn_id=first.turn_id)
    report(1.0, turn_id=retry.turn_id)
    assert propose_pairs(truth, bench).sessions == 1
    found = Workbench(bench).pair(pair)
    assert (found["source"], found["chosen"], found["margin"]) == ("outcome", retry.node_id, 1.0)
    assert {found["outcome_a"], found["outcome_b"]} == {0.0, 1.0}
    rows = rows_of(DPO, truth, bench)
    assert [(row.label_source, row.margin) for row in rows] == [("outcome", 1.0)]


def test_an_outcome_outweighs_a_model_and_a_persons_word_outweighs_both(
    truth: str, turns: dict[str, Turn], bench: Path, report: Reports
) -> None:
    def best() -> tuple[str, str]:
        rows = rows_of(SFT, truth, bench)
        found = [row for row in rows if row.row_id in {str(turns[name].node_id) for name in ("answered", "worse")}]
        (row,) = found
        return row.row_id, row.label_source

    answered, worse = turns["answered"], turns["worse"]
    assert best() == (str(answered.node_id), "signals")
    report(1.0, "judge", turn_id=worse.turn_id)
    assert best() == (str(worse.node_id), "model")
    report(1.0, "tests", turn_id=answered.turn_id)
    assert best() == (str(answered.node_id), "outcome")
    rate_unit(truth, worse.node_id, 5, "ann")
    assert best() == (str(worse.node_id), "ratings")


def test_a_deleted_workbench_is_made_again_equal_with_its_outcomes(
    truth: str, turns: dict[str, Turn], bench: Path, report: Reports
) -> None:
    materialise_units(truth, bench)
    propose_pairs(truth, bench)
    report(0.5, turn_id=turns["retry"].turn_id)
    report(0.0, "judge", turn_id=turns["first"].turn_id)
    report(1.0, session_id=session_of(truth, turns["answered"]))
    materialise_units(truth, bench)
    propose_pairs(truth, bench)
    before = Workbench(bench).units(), Workbench(bench).pairs(), Workbench(bench).outcome_states("units")
    assert before[2]
    bench.unlink()
    materialise_units(truth, bench)
    propose_pairs(truth, bench)
    assert (Workbench(bench).units(), Workbench(bench).pairs(), Workbench(bench).outcome_states("units")) == before


def test_a_report_of_another_tenant_counts_for_nothing(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    with transaction(truth) as connection:
        SmallGraph(connection).put(
            "feedback",
            feedback_id=uuid4(),
            scope="other",
            name="reward",
            value=1,
            source="tests",
            given_at=START,
            turn_id=turns["retry"].turn_id,
        )
    materialise_units(truth, bench)
    assert unit(bench, turns["retry"])["outcome"] is None
