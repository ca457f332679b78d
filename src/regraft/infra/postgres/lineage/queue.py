"""Turns that wait for the graph, and which of several builders takes which of them."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/graph")
SHARDS = 16  # as lineage_shard() of the database gives


def try_lock(connection: Connection) -> bool:
    """Be the only builder to the end of the transaction, if no other is at work now."""
    row = connection.execute(_SQL["try_lock"]).fetchone()
    return bool(row and row["mine"])


def share(connection: Connection) -> None:
    """Be one of several builders to the end of the transaction; waits for one that is alone."""
    connection.execute(_SQL["share"])


def take(connection: Connection, sessions: Collection[UUID] | None, limit: int, *, joining: bool = False) -> list[UUID]:
    """Take up to ``limit`` waiting turns, of the given sessions or of all; ``joining``: only those that were put off.

    Needs the builder's lock.
    """
    given = {"sessions": _listed(sessions), "limit": limit, "joining": joining}
    return [row["turn_id"] for row in connection.execute(_SQL["take_queue"], given)]


def waiting_shards(connection: Connection, sessions: Collection[UUID] | None, limit: int) -> tuple[list[int], int]:
    """The shards of which turns wait, and how many turns wait in all, counted up to ``limit``."""
    rows = connection.execute(_SQL["waiting_shards"], {"sessions": _listed(sessions), "limit": limit}).fetchall()
    return [row["shard"] for row in rows], (int(rows[0]["turns"]) if rows else 0)


def try_shard(connection: Connection, shard: int) -> bool:
    """Hold a shard to the end of the transaction, if no other builder holds it. Needs ``share``."""
    row = connection.execute(_SQL["try_shard"], {"shard": shard}).fetchone()
    return bool(row and row["mine"])


def lock_shard(connection: Connection, shard: int) -> None:
    """Hold a shard to the end of the transaction; waits for the builder that holds it. Needs ``share``."""
    connection.execute(_SQL["lock_shard"], {"shard": shard})


def take_shards(
    connection: Connection, shards: Collection[int], sessions: Collection[UUID] | None, limit: int
) -> dict[UUID, UUID]:
    """Take up to ``limit`` waiting turns of shards that this builder holds; the session of each."""
    given = {"shards": list(shards), "sessions": _listed(sessions), "limit": limit}
    return {row["turn_id"]: row["session_id"] for row in connection.execute(_SQL["take_shards"], given)}


def joining(connection: Connection, turns: Collection[UUID]) -> set[UUID]:
    """Which sessions of these turns may be joined with others when they are placed."""
    return {row["session_id"] for row in connection.execute(_SQL["joining"], {"turns": list(turns)})}


def defer_turns(connection: Connection, turns: Collection[UUID]) -> None:
    """Let turns that were taken wait for a builder that is alone."""
    connection.execute(_SQL["defer_turns"], {"turns": list(turns)})


def defer_sessions(connection: Connection, sessions: Collection[UUID]) -> None:
    """Let all waiting turns of sessions wait for a builder that is alone."""
    connection.execute(_SQL["defer_sessions"], {"sessions": list(sessions)})


def joining_wait(connection: Connection, sessions: Collection[UUID] | None) -> bool:
    """Whether turns wait for a builder that is alone."""
    row = connection.execute(_SQL["joining_wait"], {"sessions": _listed(sessions)}).fetchone()
    return bool(row and row["wait"])


def _listed(sessions: Collection[UUID] | None) -> list[UUID] | None:
    return None if sessions is None else list(sessions)
