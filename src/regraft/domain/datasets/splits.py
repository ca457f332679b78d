"""Splits that do not leak: what belongs together lands on one side.

Rows belong together when they come from one session or hold the same content; the unit that is split is a connected
component of both relations, found by union-find (Tarjan 1975).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regraft.domain.errors import ConfigError
from regraft.domain.ids import digest

_SCALE = 1 << 64


@dataclass(frozen=True, slots=True)
class Member:
    """A row to be split: ``session`` and ``contents`` (digests of what it holds) are what it may share."""

    row_id: str
    session: str
    contents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leakage:
    """The proof: components and the largest's rows; sessions and contents found in more than one split (0 is right)."""

    components: int
    largest: int
    sessions_in_two_splits: int
    contents_in_two_splits: int

    @property
    def total(self) -> int:
        """How many things leak."""
        return self.sessions_in_two_splits + self.contents_in_two_splits


def components(members: Iterable[Member]) -> dict[str, str]:
    """Row id -> the smallest row id of its component."""
    parent: dict[str, str] = {}

    def find(key: str) -> str:
        root = key
        while parent[root] != root:
            root = parent[root]
        while parent[key] != root:
            parent[key], key = root, parent[key]
        return root

    members = list(members)
    rows = sorted({member.row_id for member in members})
    for member in members:
        keys = [f"row {member.row_id}", f"session {member.session}", *(f"content {one}" for one in member.contents)]
        for key in keys:
            parent.setdefault(key, key)
        for key in keys[1:]:
            parent[find(key)] = find(keys[0])
    smallest: dict[str, str] = {}
    for row in rows:
        smallest.setdefault(find(f"row {row}"), row)
    return {row: smallest[find(f"row {row}")] for row in rows}


def assign(members: Iterable[Member], ratios: Mapping[str, float], *, seed: int = 0) -> dict[str, str]:
    """Row id -> split. A component's place is a hash of its smallest row id, so it stays when others come and go.

    ``ratios`` are by split, in order, and sum to 1. The first split is never left empty while there are rows: the
    component that hashes lowest then moves there. Raises ConfigError when the ratios are no partition.
    """
    if not ratios or min(ratios.values()) < 0 or abs(sum(ratios.values()) - 1.0) > 1e-6:
        raise ConfigError(f"Split ratios must not be negative and must sum to 1, not {sum(ratios.values()):g}.")
    component = components(list(members))
    place = {
        root: int.from_bytes(digest(b"split", str(seed).encode(), root.encode())[:8], "big")
        for root in set(component.values())
    }
    chosen = {root: _split_at(value / _SCALE, ratios) for root, value in place.items()}
    first = next(iter(ratios))
    if chosen and ratios[first] > 0 and first not in chosen.values():
        chosen[min(place, key=lambda root: (place[root], root))] = first
    return {row: chosen[root] for row, root in component.items()}


def _split_at(point: float, ratios: Mapping[str, float]) -> str:
    upper = 0.0
    last = ""
    for name, ratio in ratios.items():
        if ratio > 0:
            upper += ratio
            last = name
            if point < upper:
                return name
    return last


def leakage(members: Iterable[Member], splits: Mapping[str, str]) -> Leakage:
    """Counted from the rows themselves, not from how they were split."""
    members = list(members)
    sessions: dict[str, set[str]] = {}
    contents: dict[str, set[str]] = {}
    for member in members:
        split = splits[member.row_id]
        sessions.setdefault(member.session, set()).add(split)
        for content in member.contents:
            contents.setdefault(content, set()).add(split)
    sizes: dict[str, int] = {}
    for root in components(members).values():
        sizes[root] = sizes.get(root, 0) + 1
    return Leakage(
        components=len(sizes),
        largest=max(sizes.values(), default=0),
        sessions_in_two_splits=sum(len(found) > 1 for found in sessions.values()),
        contents_in_two_splits=sum(len(found) > 1 for found in contents.values()),
    )
