"""A judge: a model with a rubric that judges conversations, and its votes.

A judge has one task: which categories a path belongs to, how good a path is, or which of two sibling answers is better.
Its version names everything that its answers depend on, so that a label says by which rubric it was made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from regraft.domain.errors import UsageError
from regraft.domain.evaluation.imported import Preference
from regraft.domain.ids import digest_json

Task = Literal["categories", "preference", "rating"]
Side = Literal["a", "b"]

TASKS: tuple[Task, ...] = ("categories", "preference", "rating")
PURPOSE = "judge"  # of a judge's calls; they are captured, and no dataset ever takes them
PREFERENCES: tuple[Preference, ...] = ("a", "b", "equal", "both_bad")
CODE_VERSION = 1  # of how a judge is asked and its answers are read
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCategory:
    """A category that a judge searches for, as the judge reads it."""

    name: str
    definition: str
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How a judge is asked. ``sampling`` are further fields of its requests. It is asked ``votes`` times about each
    item, about a pair in both orders unless ``both_orders`` is off. Of a conversation it is shown at most
    ``max_characters``. Raises UsageError for a judge that cannot be asked."""

    name: str
    model: str
    task: Task
    rubric: str
    categories: tuple[JudgedCategory, ...] = ()
    votes: int = 1
    both_orders: bool = True
    max_characters: int = 24_000
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(f"A judge cannot be called {self.name!r}: use lower-case letters, digits, '_' and '-'.")
        if not self.model:
            raise UsageError(f"The judge {self.name} names no model: set `model`, or give --model.")
        if (self.task == "categories") != bool(self.categories):
            needs = "names no categories" if self.task == "categories" else f"has the task {self.task}, and categories"
            raise UsageError(f"The judge {self.name} {needs}. Categories belong to the task categories.")

    @property
    def version(self) -> str:
        """``NAME@`` and a digest: another model, rubric, list of categories or sampling is another version."""
        said = [self.model, self.task, self.rubric, [asdict(each) for each in self.categories], dict(self.sampling)]
        return f"{self.name}@{digest_json([*said, self.max_characters, CODE_VERSION]).hex()[:12]}"

    @property
    def orders(self) -> tuple[Side | Literal[""], ...]:
        """The side that is shown first, of each time that an item is asked about; '' for a path."""
        if self.task != "preference":
            return ("",)
        return ("a", "b") if self.both_orders else ("a",)

    def definition(self) -> dict[str, Any]:
        """What the version is a digest of, for people."""
        return {
            "rubric": self.rubric,
            "categories": [asdict(each) for each in self.categories],
            "sampling": dict(self.sampling),
            "max_characters": self.max_characters,
        }


@dataclass(frozen=True, slots=True)
class Vote:
    """What one answer of a judge says. ``value`` is a number by category, ``{"rating": 1 to 5}`` or
    ``{"preference": side}``; None where the answer is not of the form that was asked for, with the ``problem``.
    ``evidence`` are the judge's reasons by the same names."""

    value: Mapping[str, Any] | None
    evidence: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class OrderedVote:
    """A preference with the side that was shown first; None: it could not be read."""

    shown_first: str
    preference: Preference | None


@dataclass(frozen=True, slots=True)
class JudgedPreference:
    """The verdict of a judge's votes on a pair. ``flipped``: the verdict changed with the order of the two."""

    preference: Preference
    flipped: bool
    note: str


def decide(votes: Sequence[OrderedVote]) -> JudgedPreference | None:
    """The preference of a judge that was asked in one order or both; None where no order has a vote that can be read.

    In each order the majority counts. Where the two orders differ, neither answer is preferred: what the judge prefers
    then depends on the place (Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", 3.4).
    """
    said: dict[str, Preference] = {}
    notes = []
    for order in ("a", "b"):
        given = [each for each in votes if each.shown_first == order]
        counts = Counter(each.preference for each in given if each.preference)
        if not counts:
            if given:
                return None
            continue
        (first, most), *others = counts.most_common()
        said[order] = first if not others or others[0][1] < most else "equal"
        told = ", ".join(f"{name} {counts[name]}" for name in PREFERENCES if counts[name])
        notes.append(f"{order} first: {told}")
    if not said:
        return None
    flipped = len(set(said.values())) > 1
    preference = "equal" if flipped else next(iter(said.values()))
    return JudgedPreference(preference, flipped, "; ".join(notes))
