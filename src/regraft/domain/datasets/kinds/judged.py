"""The judgements of a path or a pair, by the parts of a score and the label sources that may use each.

A model's judgements count only if a recipe admits the model: see ``JudgeTrust``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from regraft.domain.capture.judges import MODEL
from regraft.domain.datasets.kinds.kind import Candidates, Record
from regraft.domain.datasets.negatives import NamedCategory
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.evaluation.calibration import Admission, Calibrations, Requirement
from regraft.domain.evaluation.judge import Task
from regraft.domain.evaluation.pairs import count_votes
from regraft.domain.evaluation.score import ScoreParts
from regraft.domain.lineage.feedback import BEST_RATING, WORST_RATING

_NAMES = {"human": "ratings"}  # of label sources, in rows
JUDGEMENTS = (  # the fields of a path that say what was judged of it
    *("human_outcome", "outcome", "judge_outcome", "judge_source", "quality"),
    *("imported_human", "imported_outcome", "imported_judge", "imported_judges", "imported_rank"),
)
_Values = Sequence[tuple[float | None, str]]  # each with the label source that may use it, the weightiest first


@dataclass(frozen=True, slots=True)
class JudgeTrust:
    """Which models may decide for a recipe: those that agree with people as much as it asks for."""

    asked: Requirement
    known: Calibrations

    @classmethod
    def of(cls, recipe: Recipe, known: Calibrations) -> JudgeTrust:
        """The requirements of a recipe on models."""
        return cls(Requirement(recipe.min_agreement, recipe.min_judged), known)

    def admit(self, judge: str, version: str, task: Task, category: str = "") -> Admission:
        """Whether one judge may decide."""
        return self.known.admit(self.asked, judge, version, task, category)

    def admit_all(self, judges: Iterable[tuple[str, str, Task]]) -> Admission:
        """Whether judges may decide together: each of them has to be admitted, and the least agreement counts."""
        found = [self.admit(*each) for each in judges]
        if not found:  # no decider is named
            return Admission(self.asked.agreement <= 0.0)
        agreements = [each.agreement for each in found if each.agreement is not None]
        whole = len(agreements) == len(found)
        return Admission(all(each.admitted for each in found), min(agreements) if whole else None)


@dataclass(frozen=True, slots=True)
class JudgeRating:
    """The mean rating of a path by this log's judges, 0 to 1: of those that are admitted, and of all for display."""

    value: float | None = None
    shown: float | None = None
    agreement: float | None = None


def judge_rating(trust: JudgeTrust, rated: Iterable[Sequence[object]]) -> JudgeRating:
    """The mean rating of judges, each given as its name, its version and its rating from 1 to 5."""
    every, admitted, agreements = [], [], []
    for judge, version, rating in rated:
        share = (float(str(rating)) - WORST_RATING) / (BEST_RATING - WORST_RATING)
        every.append(share)
        found = trust.admit(str(judge), str(version), "rating")
        if found.admitted:
            admitted.append(share)
            agreements.append(found.agreement)
    known = [each for each in agreements if each is not None]
    return JudgeRating(
        value=sum(admitted) / len(admitted) if admitted else None,
        shown=sum(every) / len(every) if every else None,
        agreement=min(known) if known and len(known) == len(agreements) else None,
    )


class JudgedUnit:
    """The judgements of one path. ``rating`` is the mean of the ratings that people gave it here, 0 to 1, ``judged``
    what judges of ours say. A model that is not admitted decides nothing; ``parts`` show its word anyway."""

    def __init__(
        self, unit: Record, rating: float | None, *, trust: JudgeTrust, judged: JudgeRating | None = None
    ) -> None:
        self._ours = judged or JudgeRating()
        reported = trust.admit_all([(unit["judge_source"] or "", "", "rating")])
        imported = trust.admit_all(tuple(each) for each in json.loads(unit["imported_judges"] or "[]"))
        self._admissions = (reported, Admission(True, self._ours.agreement), imported)
        self._said: Mapping[str, _Values] = {
            "human": [(rating, "human"), (unit["human_outcome"], "human"), (unit["imported_human"], "imported")],
            "outcome": [
                (unit["outcome"], "outcome"),
                (unit["imported_outcome"], "imported"),
                (unit["imported_outcome"], "outcome"),
            ],
            "judge": [
                (unit["judge_outcome"] if reported.admitted else None, "model"),
                (self._ours.value, "model"),
                (unit["imported_judge"] if imported.admitted else None, "imported"),
            ],
            "signals": [(unit["quality"], "signals")],
        }
        self._shown_judge = next(
            (each for each in (unit["judge_outcome"], self._ours.shown, unit["imported_judge"]) if each is not None),
            None,
        )
        self._rank: _Values = [(unit["imported_rank"], "imported")]

    @property
    def parts(self) -> ScoreParts:
        """All that is known."""
        found = {
            part: next((value for value, _ in said if value is not None), None) for part, said in self._said.items()
        }
        return ScoreParts(**{**found, "judge": self._shown_judge})

    def allowed(self, labels: Collection[str]) -> tuple[ScoreParts, str]:
        """What a recipe's labels allow, and the label source of the weightiest part. A rank counts as an outcome where
        there is no other."""
        found = {part: _first(said, labels) for part, said in self._said.items()}
        if found["outcome"][0] is None:
            found["outcome"] = _first(self._rank, labels)
        source = next((label for value, label in found.values() if value is not None), "none")
        return ScoreParts(**{part: value for part, (value, _) in found.items()}), source

    def agreement(self, labels: Collection[str]) -> float | None:
        """The agreement with people of the model whose word is the weightiest; None where people or results decide, and
        where nothing is known of the model."""
        allowed, _ = self.allowed(labels)
        if allowed.human is not None or allowed.outcome is not None:
            return None
        for (value, label), admission in zip(self._said["judge"], self._admissions, strict=True):
            if value is not None and label in labels:
                return admission.agreement
        return None

    def outcome(self, labels: Collection[str]) -> float | None:
        """The outcome of the path by its weightiest judgement; None without a judgement. What models
        say counts where the labels allow it; a rank never does: it only says that another answer is better."""
        known = [value for part in ("human", "outcome") for value, _ in self._said[part] if value is not None]
        known += [value for value, label in self._said["judge"] if value is not None and label in labels]
        return known[0] if known else None


def _first(said: _Values, labels: Collection[str]) -> tuple[float | None, str]:
    return next(
        ((value, _NAMES.get(label, label)) for value, label in said if value is not None and label in labels),
        (None, "none"),
    )


def calibrated_pair(trust: JudgeTrust, pair: Record) -> Record:
    """A pair decided only by admitted sources, with its ``agreement`` if a model decided.

    Of judges of ours the admitted ones are counted again, without the others. A pair that no admitted model decides is
    refused as ``judge_not_calibrated``.
    """
    by_model = pair["source"] == "model" or (pair["source"] == "imported" and pair["given_by"] == MODEL)
    if not by_model:
        return {**pair, "agreement": None}
    deciders: list[list[str]] = json.loads(pair["deciders"] or "[]")
    votes = [each for each in deciders if each[3]]
    if not votes:
        found = trust.admit_all((judge, version, "preference") for judge, version, *_ in deciders)
        return {**pair, "agreement": found.agreement} if found.admitted else _refused(pair, "judge_not_calibrated")
    others = [each for each in deciders if not each[3]]  # their votes on other pairs are in the margin
    admitted = [each for each in votes if trust.admit(each[0], each[1], "preference").admitted]
    if not admitted:
        return _refused(pair, "judge_not_calibrated")
    agreement = trust.admit_all((judge, version, "preference") for judge, version, *_ in admitted).agreement
    trusted = all(trust.admit(each[0], each[1], "preference").admitted for each in others)
    if len(admitted) == len(votes) and trusted:
        return {**pair, "agreement": agreement}
    decision = count_votes([each[3] for each in admitted], "model")
    if decision.reason:
        return _refused(pair, decision.reason)
    better, worse = ("a", "b") if decision.margin > 0 else ("b", "a")
    return {
        **pair,
        "verdict": "legal",
        "reason": "",
        "margin": abs(decision.margin),
        "chosen": pair[f"node_{better}"],
        "rejected": pair[f"node_{worse}"],
        "agreement": agreement,
    }


def _refused(pair: Record, reason: str) -> Record:
    return {**pair, "verdict": "refused", "reason": reason, "chosen": None, "rejected": None, "agreement": None}


def calibrated_pairs(recipe: Recipe, candidates: Candidates) -> Iterator[Record]:
    """All pairs, decided only by the sources that a recipe admits."""
    trust = JudgeTrust.of(recipe, candidates.calibrations)
    return (calibrated_pair(trust, pair) for pair in candidates.pairs())


def judge_categories(trust: JudgeTrust, named: Iterable[Sequence[str]]) -> dict[str, NamedCategory]:
    """The categories that calibrated judges give a path, each with the judge. ``named`` are judges, their versions and
    their categories. A judge of unknown agreement names none, whatever the recipe asks for."""
    found: dict[str, NamedCategory] = {}
    for judge, version, category in named:
        admission = trust.admit(judge, version, "categories", category)
        if admission.admitted and admission.agreement is not None:
            said = f"the judge {judge} named it so (agreement {admission.agreement:.2f})"
            found.setdefault(category, NamedCategory(said, admission.agreement))
    return found
