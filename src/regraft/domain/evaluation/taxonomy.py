"""A taxonomy: the categories that paths are sorted into, and the rule or labels that assign each."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from regraft.domain.errors import ConfigError
from regraft.domain.ids import digest_json

RuleName = Literal["tool_helped", "tool_misuse", "good_recovery", "overlong", "underspecified", "stable_high_quality"]
SignalName = Literal[
    "turns",
    "tool_calls",
    "tool_errors",
    "repeated_calls",
    "recovered_calls",
    "prompt_tokens",
    "completion_tokens",
    "seconds",
    "answer_length",
    "relative_length",
    "repetition",
    "quality",
    "outcome",
]
RULE_NAMES: tuple[RuleName, ...] = get_args(RuleName)
SIGNAL_NAMES: tuple[SignalName, ...] = get_args(SignalName)
Layer = Literal["rules", "model", "learned", "human"]
LAYERS: tuple[Layer, ...] = get_args(Layer)
DEFAULT_THRESHOLD = 0.5
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class SignalBound:
    """A measured signal that must be at least ``low`` and at most ``high``; None means no bound. An unknown signal is
    outside of every bound."""

    signal: SignalName
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One category, as people, judges and rules read it.

    ``rule`` is a built-in rule on measured signals, '' for none; ``bounds`` are a rule of the taxonomy's own: the
    category holds where every signal is within its bounds. A label decides from ``threshold`` (0 to 1) on.
    """

    name: str
    definition: str
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()
    rule: RuleName | Literal[""] = ""
    bounds: tuple[SignalBound, ...] = ()
    threshold: float = DEFAULT_THRESHOLD


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Categories under a name. Raises ConfigError for names that are none, or that are there twice."""

    name: str
    categories: tuple[Category, ...]

    def __post_init__(self) -> None:
        names = self.names
        for name in (self.name, *names):
            if not NAME.fullmatch(name):
                raise ConfigError(f"{name!r} is not a name: use lower-case letters, digits and '_', a letter first.")
        if not names:
            raise ConfigError(f"The taxonomy {self.name} has no categories.")
        if len(set(names)) < len(names):
            raise ConfigError(f"The taxonomy {self.name} has two categories of one name.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the categories, in order."""
        return tuple(each.name for each in self.categories)

    @property
    def version(self) -> str:
        """``NAME@`` and a digest: another definition, example, rule or threshold is another version."""
        return f"{self.name}@{digest_json([asdict(each) for each in self.categories]).hex()[:12]}"

    def thresholds(self) -> dict[str, float]:
        """From which value on a label of each category decides."""
        return {each.name: each.threshold for each in self.categories}
