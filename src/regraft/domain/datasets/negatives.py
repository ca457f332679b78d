"""Typed negatives: what is wrong with a path, by rules that name their evidence.

``noise_reject``: it is empty, was cut or broke off, repeats itself, or is garbled; nothing is ever trained on it.
``hallucination``: a person, or a calibrated judge, named it so. ``tool_misuse``: calls failed or were repeated, or a
sibling without them had a better outcome. ``suppression_candidate``: people want less of it.
``hard_negative``: it lost to a sibling that looks alike, by measured signals and, where both have vectors, by meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.capture.endings import WHOLE, recorded_ending
from regraft.domain.datasets.recipe import Negative
from regraft.domain.evaluation.score import NEUTRAL

Record = Mapping[str, Any]  # a unit or a pair of the workbench

NOISE: Negative = "noise_reject"
REPETITIVE = 0.5  # share of repeated 4-grams from which a text counts as noise
GARBLED = 0.05  # share of characters that are replacement characters
ALIKE = 0.2  # difference of measured quality up to which two siblings look alike
SAME_MEANING = 0.8  # cosine of two vectors from which siblings mean something alike
DISLIKED = 0.25  # part of a score: 2 of 5
_JUDGED = frozenset({"human", "ratings", "imported", "outcome"})


@dataclass(frozen=True, slots=True)
class NamedCategory:
    """Who named a category of a path; ``agreement`` is that of a judge with people, None where people did."""

    evidence: str
    agreement: float | None = None


BY_PEOPLE = NamedCategory("a person named it so")


@dataclass(frozen=True, slots=True)
class PathFlaw:
    """One thing that is wrong with a path, and what shows it; ``agreement`` is that of the judge that named it."""

    type: Negative
    evidence: str
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class LostPair:
    """A pair that a path's last answer lost: to which turn, how clearly, and how alike the two are."""

    pair_id: str
    winner_turn: str
    source: str
    margin: float
    quality_gap: float | None
    similarity: float | None


@dataclass(slots=True)
class SiblingFacts:
    """What pairs say of terminal nodes, by node id."""

    defeats: dict[str, list[LostPair]] = field(default_factory=dict)
    both_bad: dict[str, str] = field(default_factory=dict)  # node -> label source
    better_without_tools: dict[str, str] = field(default_factory=dict)  # node -> evidence


def sibling_facts(pairs: Iterable[Record]) -> SiblingFacts:
    """Read the pairs once; only what says something against a node is kept."""
    facts = SiblingFacts()
    for pair in pairs:
        if pair["verdict"] == "legal" and pair["source"] in _JUDGED:
            worse = "b" if pair["chosen"] == pair["node_a"] else "a"
            _add_defeat(facts, pair, worse)
        elif pair["reason"] == "both_bad":
            for side in "ab":
                facts.both_bad[str(pair[f"node_{side}"])] = pair["source"]
        elif pair["reason"] == "tools_differ":
            _compare_tools(facts, pair)
    return facts


def _add_defeat(facts: SiblingFacts, pair: Record, worse: str) -> None:
    better = "a" if worse == "b" else "b"
    signals = (pair[f"signals_{better}"], pair[f"signals_{worse}"])
    facts.defeats.setdefault(str(pair[f"node_{worse}"]), []).append(
        LostPair(
            pair_id=str(pair["pair_id"]),
            winner_turn=str(pair[f"turn_{better}"]),
            source=pair["source"],
            margin=pair["margin"],
            quality_gap=None if None in signals else abs(signals[0] - signals[1]),
            similarity=pair.get("similarity"),
        )
    )


def _compare_tools(facts: SiblingFacts, pair: Record) -> None:
    """A sibling that was offered other tools, and had a better outcome."""
    a, b = pair["outcome_a"], pair["outcome_b"]
    if a is None or b is None or a == b:
        return
    worse, better = ("a", "b") if a < b else ("b", "a")
    facts.better_without_tools[str(pair[f"node_{worse}"])] = (
        f"outcome {min(a, b):g}; {max(a, b):g} for its sibling {pair[f'node_{better}']} with other tools"
    )


def findings_of(
    unit: Record, *, human: float | None, categories: Mapping[str, NamedCategory], facts: SiblingFacts
) -> list[PathFlaw]:
    """What is wrong with a path, the most serious first; ``human`` is what people think of it, 0 to 1, ``categories``
    are those that people or calibrated judges named."""
    node = str(unit["unit_id"])
    found = _noise(unit, liked=human is not None and human > NEUTRAL)
    if named := categories.get("hallucination"):
        found.append(PathFlaw("hallucination", named.evidence, named.agreement))
    found += _tool_misuse(unit, facts.better_without_tools.get(node, ""))
    if human is not None and human <= DISLIKED:
        found.append(PathFlaw("suppression_candidate", f"people rate it {human:.2f} of 1"))
    elif node in facts.both_bad:
        found.append(PathFlaw("suppression_candidate", f"judged bad beside a sibling ({facts.both_bad[node]})"))
    elif categories.get("suppress") == BY_PEOPLE:
        found.append(PathFlaw("suppression_candidate", "a person asked for less of it"))
    return found + [one for defeat in facts.defeats.get(node, ()) if (one := _hard_negative(defeat))][:1]


def _noise(unit: Record, *, liked: bool) -> list[PathFlaw]:
    """The flaws of an answer that make it noise. Repetition is not counted for an answer that people like."""
    reasons: Sequence[str] = unit["finish_reasons"]
    ending = recorded_ending(unit["node_status"], reasons[-1] if reasons else None)
    if unit["answer_empty"]:
        return [PathFlaw(NOISE, "the answer is empty")]
    if ending not in WHOLE:
        return [PathFlaw(NOISE, f"the answer's ending is {ending}")]
    if unit["repetition"] >= REPETITIVE and not liked:
        return [PathFlaw(NOISE, f"{unit['repetition']:.0%} of its 4-grams repeat")]
    if unit["garbled"] >= GARBLED and not liked:
        return [PathFlaw(NOISE, f"{unit['garbled']:.0%} of its characters are replacement characters")]
    return []


def _tool_misuse(unit: Record, better_without: str) -> list[PathFlaw]:
    calls = unit["tool_calls"]
    if unit["tool_errors"]:
        return [PathFlaw("tool_misuse", f"{unit['tool_errors']} of {calls} calls failed")]
    if unit["repeated_calls"]:
        return [PathFlaw("tool_misuse", f"{unit['repeated_calls']} of {calls} calls repeat an earlier one")]
    return [PathFlaw("tool_misuse", better_without)] if better_without and calls else []


def _hard_negative(defeat: LostPair) -> PathFlaw | None:
    if defeat.quality_gap is None or defeat.quality_gap > ALIKE:
        return None
    if defeat.similarity is not None and defeat.similarity < SAME_MEANING:
        return None
    meaning = "not compared in meaning" if defeat.similarity is None else f"cosine {defeat.similarity:.2f}"
    return PathFlaw(
        "hard_negative",
        f"lost the pair {defeat.pair_id} by {defeat.margin:g} ({defeat.source}); signals differ by "
        f"{defeat.quality_gap:.2f}, {meaning}",
    )
