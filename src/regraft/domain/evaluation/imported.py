"""Verdicts of imported judgements on two answers, and on one.

Preferences and ranks count within their comparison, ratings and labels within their source and name. People decide
before those of whom the source does not say what they are, and models come last; of one kind of judge, preferences
decide before ranks, and ranks before ratings. Figures whose better end is not known (counts of emojis, toxicity) decide
nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from regraft.domain.capture.judges import MODEL, PERSON

if TYPE_CHECKING:  # every format that can be imported would be loaded with it
    from regraft.domain.capture.importers.conversation import Judgement

Basis = Literal["preference", "rank", "rating"]
Preference = Literal["a", "b", "equal", "both_bad"]

_BASES: tuple[Basis, ...] = ("preference", "rank", "rating")
_JUDGES = (PERSON, "", MODEL)
# Names of ratings, the first that a source gave both answers counts: ratings of the whole, then of its aspects.
_WHOLE = (
    *("reward", "success", "label", "preferred", "vote", "rating", "score", "score:overall", "score:overall_score"),
    *("score:rating", "score:average_rating", "score:quality_score", "score:fine-grained_score", "score:reward_score"),
    *("score:rm_score", "elo"),
)
_ASPECTS = (
    *("score:quality", "score:helpfulness", "score:correctness", "score:instruction_following"),
    *("score:instruction-following", "score:truthfulness", "score:honesty", "score:coherence", "score:harmlessness"),
    "score:safety",
)
_RANKING = {name: place for place, name in enumerate((*_WHOLE, *_ASPECTS))}
_SCALES = {
    "reward": (0.0, 1.0),
    "success": (0.0, 1.0),
    "label": (0.0, 1.0),
    "preferred": (0.0, 1.0),
    "vote": (-1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class JudgementGroup:
    """Judgements that are compared with one another. A rating has no ``comparison``; a scorer's name is its own."""

    basis: Basis
    name: str
    source: str
    annotator: str
    given_by: str
    comparison: str


@dataclass(frozen=True, slots=True)
class Decider:
    """A model that decided, by the name and version that it is calibrated under; ``task`` is preference or rating. What
    it said of two answers is its ``preference``, where it said it of them alone."""

    judge: str
    version: str = ""
    task: str = "preference"
    preference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairVerdict:
    """The verdict on two answers, with a margin from 0 to 1; ``decided_by`` names sources and their annotators."""

    preference: Preference
    margin: float
    basis: Basis
    given_by: str
    decided_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerScores:
    """Scores of one answer from imported judgements, each 0 to 1, by kind of judge. ``rank`` only orders answers: 1 is
    the best of those that were ranked together, and a lower rank does not mean a bad answer. ``judges`` are the models
    behind ``judge``."""

    human: float | None = None
    outcome: float | None = None
    judge: float | None = None
    rank: float | None = None
    judges: tuple[Decider, ...] = ()


def basis_of(judgement: Judgement) -> Basis | None:
    """How a judgement decides; None when it is unknown which end of its scale is better."""
    if judgement.name == "rank":
        return "rank"
    if judgement.name == "preferred" and judgement.comparison:
        return "preference"
    if judgement.name in _RANKING or (judgement.name.startswith("score:") and judgement.source.startswith("inspect ")):
        return "rating"
    return None


def rater_name(source: str, annotator: str) -> str:
    """Who gave a judgement, as pairs and calibration name them."""
    return f"{source}: {annotator}" if annotator else source


def place_of(name: str) -> int:
    """How much a rating of this name says of the whole answer: of one source the least place counts."""
    return _RANKING.get(name, len(_RANKING))


def scale_of(name: str) -> tuple[float, float] | None:
    """The lowest and the highest value of a judgement of this name, where no source has to say it."""
    return _SCALES.get(name)


def _ballot(judgement: Judgement) -> JudgementGroup | None:
    basis = basis_of(judgement)
    if basis is None:
        return None
    given_by = judgement.given_by if judgement.given_by in (PERSON, MODEL) else ""
    comparison = "" if basis == "rating" else judgement.comparison
    return JudgementGroup(basis, judgement.name, judgement.source, judgement.annotator, given_by, comparison)


class JudgedAnswers:
    """The judgements of all answers to one context, by answer."""

    def __init__(self, judgements: Mapping[UUID, Iterable[Judgement]]) -> None:
        self._said: dict[UUID, dict[JudgementGroup, list[float]]] = {}
        self._range: dict[JudgementGroup, tuple[float, float]] = {}
        scales: dict[JudgementGroup, tuple[float, float]] = {}
        for node, given in judgements.items():
            of_node: dict[JudgementGroup, list[float]] = defaultdict(list)
            for judgement in given:
                ballot = _ballot(judgement)
                if ballot is None:
                    continue
                of_node[ballot].append(judgement.value)
                low, high = self._range.get(ballot, (judgement.value, judgement.value))
                self._range[ballot] = (min(low, judgement.value), max(high, judgement.value))
                scale = judgement.scale or _SCALES.get(judgement.name)
                if scale and ballot.basis == "rating":
                    scales[ballot] = scale
            self._said[node] = {ballot: sorted(values) for ballot, values in of_node.items()}
        for ballot, (low, high) in scales.items():
            seen = self._range[ballot]
            if low <= seen[0] and seen[1] <= high:
                self._range[ballot] = (low, high)

    def is_judged(self, node: UUID) -> bool:
        """Whether any judgement of an answer says if it is good."""
        return bool(self._said.get(node))

    def compare(self, a: UUID, b: UUID) -> PairVerdict | None:
        """The verdict on two answers; None when they were not both judged."""
        mine, others = self._said.get(a, {}), self._said.get(b, {})
        shared = [ballot for ballot in mine if ballot in others]
        for given_by in _JUDGES:
            for basis in _BASES:
                ballots = [each for each in shared if (each.given_by, each.basis) == (given_by, basis)]
                found = self._count(_weightiest(ballots), mine, others)
                if found:
                    return found
        return None

    def _count(
        self,
        ballots: Sequence[JudgementGroup],
        mine: Mapping[JudgementGroup, list[float]],
        others: Mapping[JudgementGroup, list[float]],
    ) -> PairVerdict | None:
        votes: list[tuple[Preference, float]] = []
        names: set[str] = set()
        for ballot in ballots:
            vote = self._vote(ballot, mine[ballot], others[ballot])
            if vote is not None:
                votes.append(vote)
                names.add(rater_name(ballot.source, ballot.annotator))
        if not votes:
            return None
        preference = majority([said for said, _ in votes])
        margin = 0.0
        if preference in ("a", "b"):
            sign = 1.0 if preference == "a" else -1.0
            margin = sign * sum(strength if said == "a" else -strength for said, strength in votes) / len(votes)
            if margin <= 0.0:  # the majority was small where it was sure, and the others were not
                other = "b" if preference == "a" else "a"
                said: list[str] = [each for each, _ in votes]
                margin = (said.count(preference) - said.count(other)) / len(votes)
        first = ballots[0]
        return PairVerdict(
            preference=preference,
            margin=min(1.0, margin),
            basis=first.basis,
            given_by=first.given_by,
            decided_by=tuple(sorted(names)),
        )

    def _vote(self, ballot: JudgementGroup, mine: list[float], others: list[float]) -> tuple[Preference, float] | None:
        low, high = self._range[ballot]
        spread = high - low
        if ballot.basis == "rating":
            difference = sum(mine) / len(mine) - sum(others) / len(others)
            return _said(difference), min(1.0, abs(difference) / spread) if spread else 0.0
        if ballot.basis == "preference":
            if mine[-1] <= 0.0 and others[-1] <= 0.0:
                return ("both_bad", 0.0) if high <= 0.0 else None  # another answer was preferred to both
            difference = float(_wins(mine, others))
            return _said(difference), 1.0 if difference else 0.0
        difference = float(_wins(others, mine))  # a rank is the better the smaller it is
        distance = abs(sum(mine) / len(mine) - sum(others) / len(others))
        return _said(difference), min(1.0, distance / spread) if spread and difference else 0.0


def majority(said: Sequence[str]) -> Preference:
    """The most frequent verdict; ``equal`` when two are equally frequent."""
    counts = Counter(said).most_common()
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return "equal"
    return counts[0][0]  # type: ignore[return-value]


def _said(difference: float) -> Preference:
    return "equal" if not difference else "a" if difference > 0 else "b"


def _wins(mine: list[float], others: list[float]) -> int:
    """How many more of all pairs of values have the greater one on the first side; both are sorted."""
    return sum(bisect_left(others, value) - (len(others) - bisect_right(others, value)) for value in mine)


def _weightiest(ballots: Sequence[JudgementGroup]) -> list[JudgementGroup]:
    """Of the ratings of one source those that say most: of the whole answer, or of all aspects where none does."""
    if not ballots or ballots[0].basis != "rating":
        return list(ballots)
    best: dict[str, int] = {}
    for each in ballots:
        best[each.source] = min(best.get(each.source, len(_RANKING)), _RANKING.get(each.name, len(_RANKING)))
    kept = []
    for each in ballots:
        place, first = _RANKING.get(each.name, len(_RANKING)), best[each.source]
        if place == first or (first >= len(_WHOLE) and place >= len(_WHOLE)):
            kept.append(each)
    return kept


def worth_of(judgements: Iterable[Judgement]) -> AnswerScores:
    """The scores of a single answer: ratings on a known scale, else the share of comparisons that it won."""
    rated: dict[str, tuple[int, list[float]]] = {}
    preferred: dict[str, list[float]] = defaultdict(list)
    rating: set[str] = set()  # the models among those who gave them
    preferring: set[str] = set()
    ranks: list[float] = []
    for judgement in judgements:
        ballot = _ballot(judgement)
        if ballot is None:
            continue
        if ballot.basis == "rank":
            ranks.append(max(0.0, judgement.value))
            continue
        if ballot.basis == "preference":
            preferred[ballot.given_by].append(min(1.0, max(0.0, judgement.value)))
            if ballot.given_by == MODEL:
                preferring.add(rater_name(ballot.source, ballot.annotator))
            continue
        low, high = judgement.scale or _SCALES.get(judgement.name, (0.0, 0.0))
        if not low <= judgement.value <= high or low == high:
            continue
        place = _RANKING.get(judgement.name, len(_RANKING))
        before, values = rated.get(ballot.given_by, (place, []))
        if place < before:
            before, values = place, []
            rating -= rating if ballot.given_by == MODEL else set()
        if place == before:
            values.append((judgement.value - low) / (high - low))
            if ballot.given_by == MODEL:
                rating.add(rater_name(ballot.source, ballot.annotator))
        rated[ballot.given_by] = (before, values)
    parts = {by: sum(values) / len(values) for by, values in preferred.items()}
    parts |= {by: sum(values) / len(values) for by, (_, values) in rated.items()}
    return AnswerScores(
        human=parts.get(PERSON),
        outcome=parts.get(""),
        judge=parts.get(MODEL),
        rank=1.0 / (1.0 + sum(ranks) / len(ranks)) if ranks else None,
        judges=tuple(Decider(each, task="rating" if rating else "preference") for each in sorted(rating or preferring)),
    )
