"""Facts for tests."""

from __future__ import annotations

import random
from typing import Any, get_type_hints

from regraft.infra.telemetry.facts import FACTS, Fact


def example(kind: type[Fact]) -> Fact:
    """A fact of a kind in which every field has a value."""
    return kind(**{name: _value(hint, 0) for name, hint in get_type_hints(kind).items()})


def random_facts(seed: int, number: int) -> list[Fact]:
    """So many facts of all kinds; fields that may be empty often are."""
    draw = random.Random(seed)
    kinds = [draw.choice(FACTS) for _ in range(number)]
    return [kind(**{name: _drawn(hint, draw) for name, hint in get_type_hints(kind).items()}) for kind in kinds]


def _value(hint: Any, number: int) -> Any:
    return f"name {number}" if hint is str else 3 if hint in (int, int | None) else 0.25


def _drawn(hint: Any, draw: random.Random) -> Any:
    if hint is str:
        return draw.choice(["", "a", "b", 'with "quotes"', "naïve ☃"])
    if hint in (int | None, float | None) and draw.random() < 0.3:
        return None
    if hint in (int, int | None):
        return draw.choice([0, 1, 4, 5, 1024, 10**9])
    return draw.choice([0.0, 0.01, 0.1, 0.3, 1.0, 81.92, 5000.0])
