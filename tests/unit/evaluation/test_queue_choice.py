"""What is queued: the random sample, strata, priorities; and which share a reviewer's next item is of."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.errors import UsageError
from regraft.domain.evaluation.human_label import Preference, Rating, place_of, side_of
from regraft.domain.evaluation.review_queue import (
    Candidate,
    Chosen,
    Stratum,
    allocate,
    choose,
    item_id,
    items_of,
    permanent_draw,
    sampling_rate,
    shares_in_order,
)


def candidate(
    number: int, theme: str = "", *, uncertainty: float = 0.5, leaves: int = 1, pivot: float = 0
) -> Candidate:
    return Candidate(
        kind="unit",
        subject_id=UUID(int=number),
        session_id=UUID(int=0),
        scope="default",
        stratum=Stratum(theme),
        uncertainty=uncertainty,
        leaves=leaves,
        pivot=pivot,
    )


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 200), min_size=1, max_size=8), st.integers(0, 500))
def test_every_place_is_given_and_no_stratum_gets_more_than_it_has(sizes: dict[str, int], total: int) -> None:
    strata = {Stratum(theme): size for theme, size in sizes.items()}
    given_places = allocate(strata, total)
    assert sum(given_places.values()) == min(total, sum(sizes.values()))
    assert all(0 <= given_places[each] <= strata[each] for each in strata)


def test_small_strata_get_more_than_their_share() -> None:
    places = allocate({Stratum("large"): 10_000, Stratum("small"): 100}, 110)
    assert places == {Stratum("large"): 100, Stratum("small"): 10}


def test_a_stratum_gives_its_most_useful_and_pivots_come_first() -> None:
    those = [
        candidate(1, uncertainty=0.1, leaves=1),
        candidate(2, uncertainty=0.9, leaves=100),
        candidate(3, uncertainty=0.9, leaves=2),
        candidate(4, uncertainty=0.1, pivot=0.01),
    ]
    chosen = choose(those, 3, seed=1, rates={})
    assert [each.candidate.subject_id.int for each in chosen] == [4, 2, 3]
    assert {each.share for each in chosen} == {"priority"}


def test_the_random_sample_does_not_depend_on_what_else_is_queued() -> None:
    those = [candidate(number, uncertainty=number / 2000) for number in range(2000)]
    rates = {("default", "unit"): 0.1}

    def drawn(candidates: list[Candidate], wanted: int) -> set[int]:
        chosen = choose(candidates, wanted, seed=7, rates=rates)
        return {each.candidate.subject_id.int for each in chosen if each.share == "random"}

    whole = drawn(those, 0)
    assert drawn(those, 1000) == whole
    assert drawn(those[:1000], 10) == {number for number in whole if number < 1000}
    assert 150 < len(whole) < 250
    wider = choose(those, 0, seed=7, rates={("default", "unit"): 0.2})
    assert whole < {each.candidate.subject_id.int for each in wider}


def test_draws_are_uniform() -> None:
    draws = sorted(permanent_draw(3, item_id("unit", UUID(int=number))) for number in range(4000))
    assert 0 <= draws[0] < draws[-1] < 1
    # Kolmogorov-Smirnov: above 1.63 / sqrt(n) is improbable at 1 %.
    assert max(abs((place + 0.5) / 4000 - draw) for place, draw in enumerate(draws)) < 1.63 / 4000**0.5


def test_a_share_of_items_is_judged_by_one_more() -> None:
    chosen = [Chosen(candidate=candidate(number), share="priority", draw=0.5) for number in range(2000)]
    needed = Counter(item.needed for item in items_of(chosen, seed=1, reviewers=2, overlap=0.25))
    assert set(needed) == {2, 3}
    assert 400 < needed[3] < 600


@pytest.mark.parametrize(
    ("population", "queued", "share", "before", "rate"),
    [(1000, 100, 0.2, 0.0, 0.02), (1000, 100, 0.2, 0.5, 0.5), (50, 1000, 0.2, 0.0, 0.2), (0, 10, 0.2, 0.1, 0.1)],
)
def test_the_rate_makes_a_share_of_the_queue_random_and_never_falls(
    population: int, queued: int, share: float, before: float, rate: float
) -> None:
    assert sampling_rate(population, queued, share, before) == pytest.approx(rate)


def test_gold_items_come_only_at_their_turn() -> None:
    assert shares_in_order(0.01, 0.05, 0.2) == ("gold", "priority", "random")
    assert shares_in_order(0.1, 0.05, 0.2) == ("random", "priority")
    assert shares_in_order(0.9, 0.05, 0.2) == ("priority", "random")


def test_places_and_sides() -> None:
    assert [side_of(place, "b") for place in ("first", "second", "equal", "both_bad")] == [
        "b",
        "a",
        "equal",
        "both_bad",
    ]
    assert all(place_of(side_of(place, "b"), "b") == place for place in ("first", "second", "equal"))
    assert Preference(preference="second").side("a") == "b"
    with pytest.raises(UsageError, match="from 1"):
        Rating(rating=0)
    with pytest.raises(UsageError, match="one of first"):
        Preference(preference="a")
    with pytest.raises(UsageError, match="seconds"):
        Rating(rating=1, seconds=float("nan"))
