"""The learned labeller on a log: trained on people's labels, applied where it is worth it, the same each time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from regraft.flows.evaluation import categories, learning
from regraft.flows.evaluation.embeddings import materialise_embeddings
from regraft.flows.evaluation.review import rate_unit
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.embedding.static import StaticEmbedder
from regraft.infra.files.taxonomies import parse_taxonomy
from regraft.infra.postgres.pool import transaction
from support.small_graph import SmallGraph, say

TAXONOMY = parse_taxonomy(
    'name = "talks"\n[categories.cooking]\ndefinition = "about food"\n[categories.lucky]\ndefinition = "by a coin"\n'
    '[categories.rare]\ndefinition = "hardly ever"\n',
    "talks.toml",
)
FOOD = ("bread", "soup", "cake", "pasta", "salad", "stew", "curry", "omelette")
CODE = ("function", "compiler", "database", "socket", "parser", "thread", "pointer", "branch")


@dataclass(frozen=True)
class Talks:
    """A log of talks about food and about code; ``food`` are those about food, ``rated`` those that ann looked at."""

    dsn: str
    bench: Path
    food: dict[UUID, bool]
    rated: set[UUID]


@pytest.fixture
def talks(truth: str, tmp_path: Path) -> Talks:
    drawn = random.Random(5)
    food: dict[UUID, bool] = {}
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        for number in range(96):
            about_food = number % 2 == 0
            words = drawn.sample(FOOD if about_food else CODE, 3)
            verb = "cook" if about_food else "debug"
            session = graph.session(f"talk {number}")
            ask = [say("user", f"How do I {verb} {words[0]} and {words[1]}, case {number}?")]
            turn = graph.turn(session, ask, say("assistant", f"First take the {words[2]}, then the {words[0]}."))
            food[turn.node_id] = about_food
    rated = set(sorted(food)[:48])
    for unit in sorted(rated):
        named = ["cooking"] if food[unit] else []
        rate_unit(truth, unit, 4, "ann", categories=named + (["lucky"] if drawn.random() < 0.5 else []))
    return Talks(truth, tmp_path / "bench.duckdb", food, rated)


def learned(talks: Talks) -> learning.LearningCounts:
    materialise_units(talks.dsn, talks.bench)
    materialise_embeddings(talks.bench, StaticEmbedder())
    categories.label_units(talks.dsn, talks.bench, TAXONOMY)
    return learning.learn_labels(talks.bench, TAXONOMY)


def figures(talks: Talks) -> dict[str, dict[str, Any]]:
    return {row["category"]: row for row in learning.labellers(talks.bench)}


def test_it_labels_what_nobody_looked_at_where_it_beats_the_majority_and_says_so_where_not(talks: Talks) -> None:
    assert learned(talks) == learning.LearningCounts(trained=True, deciding=1, undecided=2)
    found = figures(talks)
    cooking = found["cooking"]
    assert (cooking["reason"], cooking["labels"], cooking["components"]) == ("", 48, 48)
    assert cooking["accuracy"] > cooking["majority"] + 0.2
    assert found["lucky"]["reason"] == "not_better_than_majority"
    assert found["rare"]["reason"] == "one_sided"
    labels = categories.labels(talks.bench, layer="learned")
    assert {row["category"] for row in labels} == {"cooking"}
    assert {row["unit_id"] for row in labels} == talks.food.keys()
    unseen = [row for row in labels if row["unit_id"] not in talks.rated]
    right = [row["decided"] == talks.food[row["unit_id"]] for row in unseen]
    assert len(unseen) == 48
    assert sum(right) / len(right) > 0.9
    assert labels[0]["evidence"] == [
        f"right on {cooking['accuracy']:.2f} of 48 held-out labels, the majority on {cooking['majority']:.2f}"
    ]


def test_the_same_log_gives_the_same_labels_and_nothing_is_trained_twice(talks: Talks) -> None:
    learned(talks)
    before, worth = categories.labels(talks.bench, layer="learned"), figures(talks)
    assert not learned(talks).trained
    talks.bench.unlink()
    assert learned(talks).trained
    assert categories.labels(talks.bench, layer="learned") == before
    assert figures(talks) == worth
    rate_unit(talks.dsn, min(talks.food.keys() - talks.rated), 4, "ann", categories=["cooking"])
    assert learned(talks).trained


def test_without_people_or_vectors_there_is_nothing_to_learn(truth: str, tmp_path: Path) -> None:
    bench = tmp_path / "bench.duckdb"
    assert learning.learn_labels(bench, TAXONOMY) == learning.LearningCounts(False, 0, 0)
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        graph.turn(graph.session("one"), [say("user", "Hi")], say("assistant", "Hello."))
    talk = Talks(truth, bench, {}, set())
    assert learned(talk) == learning.LearningCounts(trained=True, deciding=0, undecided=3)
    assert {row["reason"] for row in figures(talk).values()} == {"too_few_labels"}
