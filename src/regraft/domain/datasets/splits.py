"""Splits that do not leak: what belongs together lands on one side.

Rows belong together when they come from one session, hold the same content, or share another key; the unit that is
split is a connected component of these relations, found by union-find (Tarjan 1975). Rows are kept as numbers and keys
as 16 bytes each, so that a million rows fit into some hundred megabytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from regraft.domain.errors import ConfigError
from regraft.domain.ids import digest

_SCALE = 1 << 64
_KEY_BYTES = 16


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


class Members:
    """The rows to be split, in the order in which they were added, with what each may share with others."""

    def __init__(self) -> None:
        self.row_ids: list[str] = []
        self._sessions = bytearray()
        self._contents = bytearray()
        self._ends = array("Q")  # per row: how many contents there were after it

    def add(self, row_id: str, session: str, contents: Iterable[str]) -> None:
        """A row with its session and other keys that it may share: digests of its content, its task."""
        self.row_ids.append(row_id)
        self._sessions += digest(session.encode())[:_KEY_BYTES]
        for content in contents:
            self._contents += digest(content.encode())[:_KEY_BYTES]
        self._ends.append(len(self._contents) // _KEY_BYTES)

    def __len__(self) -> int:
        return len(self.row_ids)

    def sessions(self) -> Iterator[tuple[int, bytes]]:
        """(row, key of its session)."""
        return ((row, _key(self._sessions, row)) for row in range(len(self.row_ids)))

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """(row, key of a content of it)."""
        for row, (start, end) in enumerate(pairwise((0, *self._ends))):
            for place in range(start, end):
                yield row, _key(self._contents, place)


def _key(keys: bytearray, place: int) -> bytes:
    return bytes(keys[place * _KEY_BYTES : (place + 1) * _KEY_BYTES])


def components(members: Members, links: Iterable[tuple[int, int]] = ()) -> array[int]:
    """By row: the first row (by id) of its component. ``links`` are further pairs of rows that belong together."""
    parent = array("Q", range(len(members)))

    def find(row: int) -> int:
        root = row
        while parent[root] != root:
            root = parent[root]
        while parent[row] != root:
            parent[row], row = root, parent[row]
        return root

    for keys in (members.sessions(), members.contents()):
        first: dict[bytes, int] = {}
        for row, key in keys:
            other = first.setdefault(key, row)
            if other != row:
                parent[find(row)] = find(other)
    for row, other in links:
        parent[find(row)] = find(other)
    smallest: dict[int, int] = {}
    for row, row_id in enumerate(members.row_ids):
        root = find(row)
        if root not in smallest or row_id < members.row_ids[smallest[root]]:
            smallest[root] = row
    return array("Q", (smallest[find(row)] for row in range(len(members))))


def assign(
    members: Members, ratios: Mapping[str, float], *, seed: int = 0, links: Iterable[tuple[int, int]] = ()
) -> list[str]:
    """By row: its split. A component's place is a hash of its smallest row id, so it stays when others come and go.

    ``ratios`` are by split, in order, and sum to 1. The first split is never left empty while there are rows: the
    component that hashes lowest then moves there. Raises ConfigError when the ratios are no partition.
    """
    if not ratios or min(ratios.values()) < 0 or abs(sum(ratios.values()) - 1.0) > 1e-6:
        raise ConfigError(f"Split ratios must not be negative and must sum to 1, not {sum(ratios.values()):g}.")
    component = components(members, links)
    place = {
        root: int.from_bytes(digest(b"split", str(seed).encode(), members.row_ids[root].encode())[:8], "big")
        for root in set(component)
    }
    chosen = {root: _split_at(value / _SCALE, ratios) for root, value in place.items()}
    first = next(iter(ratios))
    if chosen and ratios[first] > 0 and first not in chosen.values():
        chosen[min(place, key=lambda root: (place[root], members.row_ids[root]))] = first
    return [chosen[root] for root in component]


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


def leakage(members: Members, splits: list[str], links: Iterable[tuple[int, int]] = ()) -> Leakage:
    """Counted from the rows themselves, not from how they were split. ``splits`` are by row."""
    links = list(links)
    sizes: dict[int, int] = {}
    for root in components(members, links):
        sizes[root] = sizes.get(root, 0) + 1
    torn = sum(splits[row] != splits[other] for row, other in links)
    return Leakage(
        components=len(sizes),
        largest=max(sizes.values(), default=0),
        sessions_in_two_splits=_in_two(members.sessions(), splits),
        contents_in_two_splits=_in_two(members.contents(), splits) + torn,
    )


def _in_two(keys: Iterable[tuple[int, bytes]], splits: list[str]) -> int:
    first: dict[bytes, str] = {}
    leaking = set()
    for row, key in keys:
        if first.setdefault(key, splits[row]) != splits[row]:
            leaking.add(key)
    return len(leaking)
