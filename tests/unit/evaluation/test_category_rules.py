"""Rules on measured signals: when each speaks, how clearly, and with which evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.errors import ConfigError
from regraft.domain.evaluation.category_rules import Counterfactual, UnitFacts, rule_labels
from regraft.domain.evaluation.taxonomy import Category, RuleName, SignalBound, SignalName, Taxonomy

PLAIN = UnitFacts(unit_id="u", node_status="ok", finish_reason="stop", answer_empty=False, signals={"quality": 1.0})


def unit(**signals: float) -> UnitFacts:
    known: dict[SignalName, float] = {"quality": 1.0, **signals}  # type: ignore[dict-item]
    return replace(PLAIN, signals=known)


def said(rule: RuleName, facts: UnitFacts, threshold: float = 0.5) -> tuple[float, bool] | None:
    """The value of a rule and whether it decides; None: it says nothing."""
    labels = rule_labels(Taxonomy("t", (Category(name="c", definition="d", rule=rule, threshold=threshold),)), facts)
    return (round(labels[0].finding.value, 3), labels[0].decided) if labels else None


def split(with_: tuple[float, int], without: tuple[float, int], *, calls: bool = True) -> UnitFacts:
    return replace(
        unit(tool_calls=1),
        counterfactuals=[
            Counterfactual(
                anchor="a",
                calls=calls,
                mean_with=with_[0],
                leaves_with=with_[1],
                mean_without=without[0],
                leaves_without=without[1],
            )
        ],
    )


def test_a_call_helped_where_paths_with_it_end_better_than_without() -> None:
    assert said("tool_helped", split((1.0, 1), (0.0, 1))) == (0.683, True)
    assert said("tool_misuse", split((1.0, 1), (0.0, 1))) == (0.0, False)
    assert said("tool_misuse", split((0.0, 1), (1.0, 1))) == (0.683, True)
    assert said("tool_helped", split((0.6, 10), (0.5, 10))) == (pytest.approx(0.32, abs=0.05), False)
    assert said("tool_helped", split((0.6, 400), (0.5, 400))) == (pytest.approx(0.995, abs=0.01), True)
    assert said("tool_helped", split((1.0, 1), (0.0, 1), calls=False)) is None
    assert said("tool_helped", unit(tool_calls=3)) is None


@given(st.floats(0, 1), st.integers(1, 50), st.floats(0, 1), st.integers(1, 50))
def test_an_advantage_is_what_the_other_side_lacks(one: float, n: int, other: float, m: int) -> None:
    forward = split((one, n), (other, m)).counterfactuals[0].advantage()
    assert -1.0 <= forward <= 1.0
    assert forward == pytest.approx(-split((other, m), (one, n)).counterfactuals[0].advantage())


def test_the_evidence_of_a_counterfactual_names_anchor_means_and_counts() -> None:
    taxonomy = Taxonomy("t", (Category(name="c", definition="d", rule="tool_helped"),))
    (label,) = rule_labels(taxonomy, split((1.0, 3), (0.0, 2)))
    assert label.finding.evidence == (
        "under anchor a: mean outcome 1.00 of 3 paths with a tool call, 0.00 of 2 without"
    )


def test_calls_that_failed_for_good_or_were_repeated_are_misuse() -> None:
    assert said("tool_misuse", unit(tool_calls=4, tool_errors=2, recovered_calls=2)) is None
    assert said("tool_misuse", unit(tool_calls=4, tool_errors=2)) == (0.5, True)
    assert said("tool_misuse", unit(tool_calls=4, tool_errors=1, repeated_calls=1)) == (0.438, False)
    assert said("tool_misuse", unit()) is None


def test_a_recovery_ends_well_after_its_tools_succeeded() -> None:
    assert said("good_recovery", unit(tool_calls=2, tool_errors=1, recovered_calls=1)) == (1.0, True)
    assert said("good_recovery", unit(tool_calls=3, tool_errors=3, recovered_calls=1)) == (0.333, False)
    assert said("good_recovery", unit(tool_calls=2, tool_errors=1, recovered_calls=1, outcome=0.0)) == (0.0, False)
    cut = replace(unit(tool_calls=2, tool_errors=1, recovered_calls=1), finish_reason="length")
    assert said("good_recovery", cut) == (0.0, False)
    assert said("good_recovery", unit(tool_calls=2)) is None


def test_an_answer_is_overlong_against_its_siblings_only() -> None:
    assert said("overlong", unit(answer_length=3000, relative_length=3.0)) == (0.5, True)
    assert said("overlong", unit(answer_length=3000, relative_length=2.0)) == (0.315, False)
    assert said("overlong", unit(answer_length=3000, relative_length=90.0)) == (1.0, True)
    assert said("overlong", unit(answer_length=30, relative_length=9.0)) is None
    assert said("overlong", unit(answer_length=3000, relative_length=1.0)) is None


def test_a_short_answer_that_asks_back_is_a_sign_of_a_request_that_lacks_something() -> None:
    assert said("underspecified", replace(PLAIN, tail="Which city do you mean? And for which day?")) == (1.0, True)
    assert said("underspecified", replace(PLAIN, tail="It snows. It is cold. Anything else?")) == (0.333, False)
    assert said("underspecified", replace(PLAIN, tail="It snows.")) is None
    assert said("underspecified", replace(PLAIN, tail="x" * 600 + "?")) is None
    assert said("underspecified", replace(PLAIN, tail="")) is None
    assert said("underspecified", replace(PLAIN, tail="Which city?", answer_empty=True)) is None  # of the user


def test_quality_is_stable_when_several_answers_to_one_context_ended_well() -> None:
    several = replace(unit(outcome=1.0), sibling_outcomes=(1.0, 0.9, 1.0))
    assert said("stable_high_quality", several) == (0.9, True)
    assert said("stable_high_quality", replace(several, sibling_outcomes=(1.0, 0.2, 1.0))) == (0.0, False)
    assert said("stable_high_quality", replace(several, sibling_outcomes=(1.0,))) is None
    assert said("stable_high_quality", replace(several, signals={"quality": 1.0})) is None


def test_a_rule_of_ones_own_holds_where_every_signal_is_within_its_bounds() -> None:
    bounds = (SignalBound("turns", low=3), SignalBound("outcome", high=0.2))
    taxonomy = Taxonomy("mine", (Category(name="stuck", definition="d", bounds=bounds),))
    (label,) = rule_labels(taxonomy, unit(turns=4, outcome=0.0))
    assert (label.decided, label.finding.evidence) == (True, "turns 4, outcome 0")
    assert rule_labels(taxonomy, unit(turns=2, outcome=0.0)) == []
    assert rule_labels(taxonomy, unit(turns=4)) == []  # an unknown outcome is outside of every bound


def test_a_version_changes_with_what_a_category_means_and_names_are_checked() -> None:
    one = Taxonomy("t", (Category(name="c", definition="d"),))
    assert one.version == Taxonomy("t", (Category(name="c", definition="d"),)).version
    assert one.version != Taxonomy("t", (Category(name="c", definition="e"),)).version
    with pytest.raises(ConfigError, match="two categories of one name"):
        Taxonomy("t", (Category(name="c", definition="d"), Category(name="c", definition="e")))
    with pytest.raises(ConfigError, match="is not a name"):
        Taxonomy("t", (Category(name="C c", definition="d"),))
