"""Sessions and snapshots as partitions, and how touched sessions become few ranges: one range is one run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dagster import DynamicPartitionsDefinition

SESSIONS = DynamicPartitionsDefinition(name="sessions")
SNAPSHOTS = DynamicPartitionsDefinition(name="snapshots")

# A run costs 6 to 13 s to launch, a key that had nothing to do 6 ms: a range may reach over many of those.
MAX_GAP = 100
MAX_LENGTH = 1_000
KEYS_A_CALL = 10_000  # more keys in one INSERT can fail


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from ``first`` to ``last`` in their known order, ``length`` of them; ``touched`` are those with work."""

    first: str
    last: str
    length: int
    touched: tuple[str, ...]


def ranges(
    known: Sequence[str], touched: Collection[str], max_gap: int = MAX_GAP, max_length: int = MAX_LENGTH
) -> list[KeyRange]:
    """Cover the touched keys by ranges of the known order, first to last.

    A range never has more than ``max_gap`` untouched keys in a row, nor more than ``max_length`` keys. Keys that are
    not known are left out.
    """
    wanted = set(touched)
    found: list[list[int]] = []
    for place, key in enumerate(known):
        if key not in wanted:
            continue
        if found and place - found[-1][-1] <= max_gap + 1 and place - found[-1][0] < max_length:
            found[-1].append(place)
        else:
            found.append([place])
    return [
        KeyRange(
            known[places[0]], known[places[-1]], places[-1] - places[0] + 1, tuple(known[place] for place in places)
        )
        for places in found
    ]
