"""A person's label on a path or on two answers."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.domain.errors import UsageError

PREFERENCES = ("a", "b", "equal", "both_bad")
PLACES = ("first", "second", "equal", "both_bad")
OTHER_SIDE = {"a": "b", "b": "a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A path's worth from 1 (worst) to 5 (best), and its categories. ``seconds`` is the time it took."""

    rating: int
    categories: tuple[str, ...] = ()
    note: str = ""
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.rating <= 5:
            raise UsageError(f"A rating is from 1 (worst) to 5 (best), not {self.rating}.")
        _check_seconds(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Which of two answers is better, by the place where it was shown: first, second, equal or both_bad."""

    preference: str
    note: str = ""
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.preference not in PLACES:
            raise UsageError(f"A preference is one of {', '.join(PLACES)}, not {self.preference!r}.")
        _check_seconds(self.seconds)

    def side(self, shown_first: str) -> str:
        """The preference by the pair's sides: a, b, equal or both_bad."""
        return side_of(self.preference, shown_first)


def side_of(place: str, shown_first: str) -> str:
    """The side of a pair at a place; equal and both_bad are no places and stay."""
    if place in {"first", "second"}:
        return shown_first if place == "first" else OTHER_SIDE[shown_first]
    return place


def place_of(side: str, shown_first: str) -> str:
    """The place of a pair's side; equal and both_bad stay."""
    if side in OTHER_SIDE:
        return "first" if side == shown_first else "second"
    return side


def _check_seconds(seconds: float | None) -> None:
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise UsageError(f"seconds is a time that was spent, 0 or more, not {seconds}.")
