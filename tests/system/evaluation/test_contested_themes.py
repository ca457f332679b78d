"""Agreement of people by theme, contested themes, and adjudication, through pairs and datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import krippendorff
import numpy as np
import pytest

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.human_label import Preference, Rating
from regraft.domain.evaluation.review_queue import QueueFilter
from regraft.flows.evaluation.adjudication import adjudicate, disputes
from regraft.flows.evaluation.desk import desk_at
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.queue import QueueSize, fill_queue
from regraft.flows.evaluation.review import rate_unit, record_preference
from regraft.flows.evaluation.reviewer_agreement import refresh_agreement, themes_agreement
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.arrow import reading
from regraft.infra.postgres.pool import transaction
from support.small_graph import SmallGraph, every_kind, many_choices


@pytest.fixture
def bench(truth: str, tmp_path: Path) -> Path:
    """Twelve contexts with two answers each, theme choices; and one of every kind, themes fruit and tools."""
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        many_choices(graph, 12)
        every_kind(graph)
    path = tmp_path / "workbench.duckdb"
    propose_pairs(truth, path)
    return path


def pairs_of(bench: Path, theme: str) -> list[dict[str, Any]]:
    return [pair for pair in Workbench(bench).pairs() if pair["theme"] == theme and pair["verdict"] == "legal"]


def prefer(truth: str, bench: Path, said: dict[str, list[str]], theme: str = "choices") -> list[UUID]:
    """Each reviewer's preferences on the theme's pairs, in the order of their ids."""
    ids = [pair["pair_id"] for pair in pairs_of(bench, theme)]
    for reviewer, preferences in said.items():
        for pair_id, preference in zip(ids, preferences, strict=True):
            record_preference(truth, bench, pair_id, preference, reviewer)
    return ids


def agreement(truth: str, theme: str, measure: str) -> Any:
    return next(each for each in themes_agreement(truth) if (each.theme, each.measure) == (theme, measure))


def decided(bench: Path, theme: str = "choices") -> dict[UUID, str]:
    return {pair["pair_id"]: pair["source"] for pair in Workbench(bench).pairs() if pair["theme"] == theme}


AT_ODDS = {"ann": ["a", "b"] * 6, "bob": ["b", "a"] * 6}
AT_ONE = {"ann": ["a", "b"] * 6, "bob": ["a", "b"] * 5 + ["b", "b"]}


def test_alpha_of_a_theme_is_that_of_the_reference(truth: str, bench: Path) -> None:
    prefer(truth, bench, AT_ONE)
    assert refresh_agreement(truth)
    found = agreement(truth, "choices", "preference")
    codes = {"a": 0.0, "b": 1.0}
    data = np.array([[codes[each] for each in said] for said in AT_ONE.values()])
    expected = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal")
    assert found.alpha == pytest.approx(expected, abs=1e-9)
    assert (found.subjects, found.labels, found.reviewers, found.disputed) == (12, 24, 2, 1)
    assert found.low <= found.alpha <= found.high
    assert not found.contested
    assert not refresh_agreement(truth)  # nothing changed since


def test_labels_of_a_contested_theme_decide_nothing_until_they_are_adjudicated(truth: str, bench: Path) -> None:
    ids = prefer(truth, bench, AT_ODDS)
    propose_pairs(truth, bench)
    assert agreement(truth, "choices", "preference").contested
    assert set(decided(bench).values()) == {"signals"}
    lead = desk_at(truth, "lead")
    for _ in ids:
        (dispute,) = disputes(lead, theme="choices")
        assert (dispute.kind, dispute.contested, dispute.people) == ("pair", True, 2)
        assert sorted(dispute.said) == ["first", "second"]
        adjudicate(lead, dispute.subject_id, Preference(preference="first"))
        propose_pairs(truth, bench)
        sources = decided(bench)
        assert sources[dispute.subject_id] == "human"
        chosen = Workbench(bench).pair(dispute.subject_id)
        assert chosen["margin"] == 1.0  # the adjudicator's word alone
    assert disputes(lead, theme="choices") == []
    done = agreement(truth, "choices", "preference")
    assert (done.disputed, done.contested) == (0, False)
    assert done.alpha < 0  # what reviewers said is not changed by it
    assert set(decided(bench).values()) == {"human"}


def test_other_themes_and_sources_go_on_deciding(truth: str, bench: Path) -> None:
    prefer(truth, bench, AT_ODDS)
    (pair,) = [each["pair_id"] for each in pairs_of(bench, "tools")]
    record_preference(truth, bench, pair, "b", "ann")
    model = pairs_of(bench, "choices")[0]["pair_id"]
    record_preference(truth, bench, model, "a", "judge", source="model")
    propose_pairs(truth, bench)
    assert decided(bench, "tools")[pair] == "human"
    assert decided(bench)[model] == "model"


def test_a_few_labels_are_too_few_to_contest_a_theme(truth: str, bench: Path) -> None:
    prefer(truth, bench, AT_ODDS)
    assert refresh_agreement(truth, min_agreement=0.4, min_judged=13)
    assert not agreement(truth, "choices", "preference").contested
    assert refresh_agreement(truth, min_agreement=0.4, min_judged=12)
    assert agreement(truth, "choices", "preference").contested
    propose_pairs(truth, bench)  # keeps the threshold that was set
    assert agreement(truth, "choices", "preference").contested
    assert refresh_agreement(truth, min_agreement=-1.0, min_judged=12)
    propose_pairs(truth, bench)
    assert "signals" not in set(decided(bench).values())


def test_ratings_of_a_contested_theme_do_not_reach_datasets(truth: str, bench: Path) -> None:
    units = [unit["unit_id"] for unit in Workbench(bench).units() if unit["theme"] == "choices"]
    assert units == []  # they are measured by the queue
    fill_queue(truth, bench, QueueSize(reviewers=2))
    units = sorted(unit["unit_id"] for unit in Workbench(bench).units() if unit["theme"] == "choices")
    for place, unit in enumerate(units):
        rate_unit(truth, unit, 1 + 4 * (place % 2), "ann", categories=["overlong"] if place % 2 else [])
        rate_unit(truth, unit, 5 - 4 * (place % 2), "bob")
    propose_pairs(truth, bench)
    found = agreement(truth, "choices", "rating")
    assert (found.contested, found.disputed) == (True, len(units))
    assert agreement(truth, "choices", "category:overlong").alpha < 0
    with reading(truth, "postgres/evaluation/evaluation") as reader:
        assert reader.rows("ratings") == []
    lead = desk_at(truth, "lead")
    adjudicate(lead, units[0], Rating(rating=4, categories=("overlong",)))
    with reading(truth, "postgres/evaluation/evaluation") as reader:
        (row,) = reader.rows("ratings")
    assert (row["unit_id"], row["ratings"], row["categories"]) == (str(units[0]), "[4]", '["overlong"]')


def test_what_is_not_disputed_is_not_adjudicated(truth: str, bench: Path) -> None:
    ids = prefer(truth, bench, AT_ONE)
    lead = desk_at(truth, "lead")
    with pytest.raises(NotFoundError, match="No reviewers differ"):
        adjudicate(lead, ids[0], Preference(preference="first"))
    (dispute,) = disputes(lead)
    with pytest.raises(UsageError, match="A path is rated"):
        adjudicate(lead, dispute.subject_id, Rating(rating=3))
    with pytest.raises(NotFoundError):
        adjudicate(desk_at(truth, "lead", scope="elsewhere"), dispute.subject_id, Preference(preference="first"))
    assert disputes(lead, kind="unit") == []
    assert disputes(lead, skip=[dispute.subject_id]) == []
    with pytest.raises(UsageError, match="A kind is one of"):
        disputes(lead, kind="session")


def test_a_label_that_was_taken_back_is_not_measured(truth: str, bench: Path) -> None:
    fill_queue(truth, bench, QueueSize(reviewers=2, overlap=0))
    for name in ("ann", "bob"):
        desk = desk_at(truth, name)
        for item in desk.claim(QueueFilter(kind="unit", theme="tools"), limit=2):
            desk.submit(item.lease_id, Rating(rating=1 if name == "ann" else 5))
    refresh_agreement(truth)
    assert agreement(truth, "tools", "rating").subjects == 2
    desk_at(truth, "bob").undo()
    assert refresh_agreement(truth)
    assert agreement(truth, "tools", "rating").subjects == 1
