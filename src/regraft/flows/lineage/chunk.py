"""One transaction of a build: which turns it takes, alone or with other builders, and their nodes."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from regraft.flows.lineage.graph_rows import decide, decide_apart
from regraft.flows.lineage.links import links_of
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.lineage import projection, queue
from regraft.infra.postgres.pool import Connection

CHUNK = 5_000  # turns to a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The result of a transaction. ``joining``: there are turns that need the exclusive lock."""

    turns: list[UUID]
    rows: store.GraphRows
    build: int
    joining: bool = False


@dataclass(slots=True, kw_only=True)
class Builder:
    """Takes turns, a chunk to a transaction.

    A builder that finds itself alone takes any. Beside others it takes those of shards of sessions that it holds, and
    leaves what may join sessions to a transaction that it is alone in. ``beside``: others are sure to be at work.
    ``taken`` are the turns of the last transaction, also of one that failed; at most ``chunk`` of them.
    """

    sessions: Collection[UUID] | None = None
    beside: bool = False
    taken: list[UUID] = field(default_factory=list)
    chunk: int = CHUNK
    _size: int = 0
    _shards: list[int] = field(default_factory=list)  # that a failed transaction held
    _joining: bool = False

    def __post_init__(self) -> None:
        self._size = self.chunk

    def place(self, connection: Connection) -> Placed | None:
        """Place the next turns; None when none wait. Raises JoiningError: call ``defer``."""
        self.taken = []
        if self._joining:
            store.lock(connection)
            self.taken = queue.take(connection, self.sessions, self._size, joining=True)
            return self._place_alone(connection, joining=bool(self.taken))
        if not self.beside and queue.try_lock(connection):
            self.taken = queue.take(connection, self.sessions, self._size)
            return self._place_alone(connection) if self.taken else None
        queue.share(connection)
        shards, turns = queue.waiting_shards(connection, self.sessions, queue.SHARDS * self._size)
        if not shards:
            # A transaction that shares cannot wait to be alone: two of them would wait for each other.
            return _nothing(joining=True) if queue.joining_wait(connection, self.sessions) else None
        self._shards = self._hold(connection, shards, turns)
        new = queue.take_shards(connection, self._shards, self.sessions, self._size)
        self.taken = list(new)
        placed = self._place_apart(connection, new) if new else _nothing(joining=False)
        self._shards = []  # unless it failed
        return placed

    def succeeded(self, placed: Placed) -> None:
        """The transaction was committed: the next one may be larger."""
        self._joining = placed.joining
        if placed.turns:
            self._size = min(self._size * 2, self.chunk)

    def halve(self) -> None:
        """The transaction failed: the next one takes half of the same turns."""
        self._size = max(len(self.taken) // 2, 1)

    def defer(self, connection: Connection, sessions: Collection[UUID]) -> None:
        """Leave these sessions to a transaction that is alone, which is the next one."""
        queue.defer_sessions(connection, sessions)
        self._joining = True

    def _hold(self, connection: Connection, shards: list[int], turns: int) -> list[int]:
        """Hold shards of which turns wait: where few turns wait, all that are free; else as many as fill a transaction,
        and at most half of them, to leave the others."""
        if self._shards:
            for shard in sorted(self._shards):  # in one order, so that no two builders wait for each other
                queue.lock_shard(connection, shard)
            return self._shards
        wanted = len(shards)
        if turns > self._size:
            wanted = max(1, min(wanted // 2, self._size * wanted // turns))
        held: list[int] = []
        for shard in random.sample(shards, len(shards)):
            if len(held) < wanted and queue.try_shard(connection, shard):
                held.append(shard)
        if not held:
            held = random.sample(shards, 1)
            queue.lock_shard(connection, held[0])
        return held

    def _place_alone(self, connection: Connection, *, joining: bool = False) -> Placed:
        version = projection.held(connection)
        rows = decide(connection, self.taken, version)
        return _save(connection, self.taken, rows, version, joining=joining)

    def _place_apart(self, connection: Connection, new: dict[UUID, UUID]) -> Placed:
        version = projection.held(connection)
        rows, left = decide_apart(connection, new, version)
        if left:
            queue.defer_turns(connection, left)
        return _save(connection, [turn for turn in new if turn not in left], rows, version, joining=bool(left))


def _nothing(*, joining: bool) -> Placed:
    return Placed(turns=[], rows=store.GraphRows(), build=0, joining=joining)


def _save(connection: Connection, turns: list[UUID], rows: store.GraphRows, version: int, *, joining: bool) -> Placed:
    if not turns:
        return _nothing(joining=joining)
    store.save_places(connection, rows)
    store.lock_order(connection)
    rows.links = links_of(connection, turns)
    number = store.save_build(connection, rows, datetime.now(UTC), version)
    return Placed(turns=turns, rows=rows, build=number, joining=joining)
