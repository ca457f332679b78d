"""A kind of dataset: which candidates become rows, how a row is filled, and when it is legal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from regraft.domain.capture.endings import Ending
from regraft.domain.capture.side_calls import SIDE, is_side_call
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Message, Row, RowRefusal

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row before its messages are fetched. ``turns`` are turn ids by part; ``rank`` orders rows of one stratum."""

    row_id: str
    kind: str
    turns: Mapping[str, str]
    theme: str
    anchor: str | None
    label_source: str
    margin: float
    score: float
    rank: float


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One call of the execution log in canonical form; ``refusal`` says why it has none.

    Weighted: an answer in the history, or the answer itself, says that a trainer shall learn nothing from it, or not as
    much as from others. ``ending`` is how the answer ended.
    """

    node_id: str
    session_id: str
    history: tuple[Message, ...]
    answer: tuple[Message, ...]
    tools: str | None
    tools_digest: str | None
    dropped: frozenset[str]
    refusal: RowRefusal | None
    ending: Ending = "finished"
    weighted_history: bool = False
    weighted_answer: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """Where a kind finds its candidates; each is read only when it is called.

    ``units`` are paths from root to leaf, ``ratings`` the human ratings of each (JSON), ``pairs`` sibling answers.
    """

    units: Callable[[], Iterable[Record]]
    ratings: Callable[[], Iterable[Record]]
    pairs: Callable[[], Iterable[Record]]


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that a recipe selects; counts of refused candidates by reason, and of others by cause."""

    rows: list[PlannedRow] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``rows`` rows of each stratum; 0 is no limit."""

    stratum: Callable[[PlannedRow], str | None]
    rows: int


class Kind(Protocol):
    """``columns`` are the row's lists of messages, as they are stored and written."""

    @property
    def name(self) -> str:
        """The kind as recipes name it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields of ``Row`` that hold messages."""

    def select(self, recipe: Recipe, candidates: Candidates) -> Selection:
        """The candidates that match a recipe."""

    def limits(self, recipe: Recipe) -> Sequence[Limit]:
        """Limits to apply to legal rows, in order."""

    def fill(self, row: Row, turns: Mapping[str, RecordedTurn]) -> Row | RowRefusal:
        """The row with its messages, from recorded turns by part."""

    def unfit(self, recipe: Recipe, turns: Mapping[str, RecordedTurn]) -> RowRefusal | None:
        """Why a row shall not be learned from, although it is legal: by how its answers ended, and what they say."""

    def illegal(self, row: Row) -> RowRefusal | None:
        """Why no target may train on the row; None when it is legal."""

    def prompt(self, row: Row) -> tuple[Message, ...]:
        """The messages that a model is asked to answer."""


def mismatch(recipe: Recipe, theme: str, models: Sequence[str], purposes: Sequence[str]) -> str:
    """The filter of the recipe that excludes a candidate, '' when none does."""
    if recipe.themes and theme not in recipe.themes:
        return "other_theme"
    if recipe.models and not set(models) <= set(recipe.models):
        return "other_model"
    if not all(each in recipe.purposes or SIDE in recipe.purposes for each in purposes if is_side_call(each)):
        return "side_call"
    if recipe.purposes and not all(each in recipe.purposes or is_side_call(each) for each in purposes):
        return "other_purpose"
    return ""


SCORE_PARTS = {"human": "human", "outcome": "outcome", "model": "judge", "signals": "signals"}


def allowed_parts(recipe: Recipe) -> set[str]:
    """The parts of a score that the recipe's label sources allow."""
    return {SCORE_PARTS[label] for label in recipe.labels if label in SCORE_PARTS}
