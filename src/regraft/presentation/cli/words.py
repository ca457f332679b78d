"""Words of figures and times: ``1 file``, ``2 files are left``, ``no date``."""

from __future__ import annotations

from datetime import datetime

_FIRST_YEAR = 1980  # earlier dates only keep the order of imported messages that have none
_OF_ONE = {"are": "is", "have": "has"}


def counted(count: int, noun: str, verb: str = "") -> str:
    """A figure with its noun in the singular or plural, and a verb in agreement if its plural is given."""
    words = [f"{count:,}", noun if count == 1 else _plural(noun)]
    if verb:
        words.append(_OF_ONE.get(verb, f"{verb}s") if count == 1 else verb)
    return " ".join(words)


def moment(when: datetime, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time as tables show it; ``no date`` for imported records without one."""
    return when.strftime(form) if when.year >= _FIRST_YEAR else "no date"


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith(("ch", "sh", "s", "x")) else f"{noun}s"
