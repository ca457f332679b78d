"""A kind of dataset: which candidates become rows, how a row is filled, and when it is legal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from regraft.domain.capture.side_calls import SIDE, is_side_call
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.evaluation.calibration import Calibrations
from regraft.domain.evaluation.score import ScoreParts

Record = Mapping[str, Any]
Filled = dict[str, tuple[Message, ...]]  # the lists of messages of a row, by the names of its fields

_UNKNOWN = ScoreParts()
_NOTHING_KNOWN = Calibrations(())


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row before its messages are fetched.

    ``turns`` are turn ids by part; ``rank`` orders rows, the best first. ``groups`` are the tasks and contexts in which
    the row competes, ``group`` the one of which it has to be among the best; without a group it competes with no other.
    A row with a ``refusal`` competes, and is refused for that reason when it wins. ``task`` is its task key, or ''.
    """

    row_id: str
    kind: str
    turns: Mapping[str, str]
    theme: str = ""
    stratum: str = ""
    task: str = ""
    anchor: str | None = None
    label: str | None = None
    label_source: str = ""
    margin: float = 0.0
    score: float = 0.0
    rank: float = 0.0
    length: int = 0
    group: str = ""
    groups: tuple[str, ...] = ()
    refusal: str = ""
    negative: str = ""
    evidence: str = ""
    agreement: float | None = None
    parts: ScoreParts = _UNKNOWN


@dataclass(frozen=True, slots=True)
class Candidates:
    """Where a kind finds its candidates; each is read as a stream, when it is called.

    ``units`` are paths from root to leaf, ``ratings`` what people and judges said here of each (JSON), ``pairs``
    sibling answers. ``calibrations`` say how well models agree with people.
    """

    units: Callable[[], Iterable[Record]]
    ratings: Callable[[], Iterable[Record]]
    pairs: Callable[[], Iterable[Record]]
    calibrations: Calibrations = _NOTHING_KNOWN


EXAMPLES = 3  # refused candidates that are named for each reason


@dataclass(frozen=True, slots=True)
class RefusedCandidate:
    """A candidate that became no row. ``turns`` are those that it would be made of, by part; ``detail`` is for
    people."""

    row_id: str
    turns: Mapping[str, str]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Candidates that became no row: refused ones by reason, and those that the recipe did not ask for by cause.

    ``examples`` names the first few refused ones of each reason.
    """

    refused: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[RefusedCandidate]] = field(default_factory=dict)

    def refuse(self, reason: str, row_id: str, turns: Mapping[str, str], detail: str = "") -> None:
        """Count a refused candidate."""
        self.refused[reason] += 1
        named = self.examples.setdefault(reason, [])
        if len(named) < EXAMPLES:
            named.append(RefusedCandidate(row_id, dict(turns), detail))

    def refuse_unit(self, reason: str, unit: Record) -> None:
        """Count a refused path."""
        self.refuse(reason, str(unit["unit_id"]), {"answer": str(unit["turn_id"])})

    def refuse_pair(self, reason: str, pair: Record) -> None:
        """Count a refused pair; its sides are ``a`` and ``b``, as nothing decided between them."""
        self.refuse(reason, str(pair["pair_id"]), {side: str(pair[f"turn_{side}"]) for side in "ab"})


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``rows`` rows of each stratum; 0 means no limit.

    With ``of``, at most ``ratio`` rows of each stratum for each row that was taken of the stratum ``of``; a row without
    a stratum is not limited.
    """

    stratum: Callable[[PlannedRow], str | None]
    rows: int = 0
    of: str = ""
    ratio: float = 0.0


class Kind(Protocol):
    """``columns`` are the row's lists of messages, as they are stored and written."""

    @property
    def name(self) -> str:
        """The kind as recipes name it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields of ``Row`` that hold messages."""

    def plan(self, recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[PlannedRow]:
        """The candidates that match a recipe, in no order; the others are counted."""

    def limits(self, recipe: Recipe) -> Sequence[Limit]:
        """Limits to apply to legal rows, in order."""

    def fill(self, turns: Mapping[str, RecordedTurn]) -> Filled | RowRefusal:
        """The messages of a row, from recorded turns by part; or why they make none."""

    def unfit(self, recipe: Recipe, turns: Mapping[str, RecordedTurn]) -> RowRefusal | None:
        """Why a row is not a training target, although it is legal: by how its answers ended, and what they say."""

    def illegal(self, row: Row) -> RowRefusal | None:
        """Why no target may train on the row; None when it is legal."""

    def prompt(self, row: Row) -> tuple[Message, ...]:
        """The messages that a model is asked to answer."""


def mismatch(
    recipe: Recipe, theme: str, models: Sequence[str], purposes: Sequence[str], times: Sequence[datetime] = ()
) -> str:
    """The filter of the recipe that excludes a candidate, '' when none does. ``times`` are when its calls began, UTC
    where they name no zone; ``until`` itself is outside."""
    if recipe.themes and theme not in recipe.themes:
        return "other_theme"
    if recipe.models and not set(models) <= set(recipe.models):
        return "other_model"
    timed = recipe.since is not None or recipe.until is not None
    if timed and not all(_is_within(recipe, each if each.tzinfo else each.replace(tzinfo=UTC)) for each in times):
        return "other_time"
    others = [each for each in purposes if each not in recipe.purposes]
    if any(is_side_call(each) for each in others) and SIDE not in recipe.purposes:
        return "side_call"
    if recipe.purposes and not all(is_side_call(each) for each in others):
        return "other_purpose"
    return ""


def _is_within(recipe: Recipe, time: datetime) -> bool:
    return (recipe.since is None or time >= recipe.since) and (recipe.until is None or time < recipe.until)


def stratum_of(
    recipe: Recipe, *, theme: str, model: str, purpose: str, task: str | None, category: str, cluster: str
) -> str:
    """The stratum of a candidate: the values that the recipe's strata name, joined by `` / ``."""
    values = {"theme": theme, "model": model, "purpose": purpose, "task": task or "", "category": category}
    values["cluster"] = cluster
    return " / ".join(values[name] for name in recipe.strata)


SCORE_PARTS = {"human": "human", "outcome": "outcome", "model": "judge", "signals": "signals"}


def allowed_parts(recipe: Recipe) -> set[str]:
    """The parts of a score that the recipe's label sources allow."""
    return {SCORE_PARTS[label] for label in recipe.labels if label in SCORE_PARTS}
