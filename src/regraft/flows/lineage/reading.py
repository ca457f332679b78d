"""Read the conversation graph: sessions, trees, nodes, paths and anchors.

Each function takes a DSN, or a connection of the caller's pool. Ids are given as people type them: whole, or the first
six digits or more; a session also by its client's name. Rows hold stored JSON as text, so that an API can pass it on
unread; ``values`` parses it. ``scope`` is the tenant whose data may be seen, and whose ids are known; None: all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.ids import plain
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.lineage import reading as store
from regraft.infra.postgres.lineage import search
from regraft.infra.postgres.lineage.reading import JSON_COLUMNS, Row
from regraft.infra.postgres.pool import Source, reading_from
from regraft.infra.postgres.replay import rollouts

__all__ = [
    "JSON_COLUMNS",
    "Anchor",
    "Links",
    "NodeDetail",
    "Row",
    "SessionTree",
    "alternatives",
    "anchor",
    "anchors",
    "find",
    "node",
    "node_id",
    "path",
    "session",
    "session_id",
    "sessions",
    "status",
    "themes",
    "tree",
    "tree_page",
    "values",
]

Links = dict[str, list[Row]]  # ``starts`` and ``started_by``: nodes of other sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTree:
    """``nodes`` in tree order: a node, then all below it. ``links`` by node, where a node has any."""

    session: Row
    nodes: list[Row]
    links: dict[UUID, Links]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDetail:
    """A node with its ``history``; the ``path`` from the root to it; its ``children``; the ``runs`` that gave it, each
    with its answer; the ``alternatives`` under its anchor; the ``rollouts`` and ``snapshots`` that it is part of."""

    node: Row
    path: list[Row]
    children: list[Row]
    runs: list[Row]
    alternatives: list[Row]
    rollouts: list[Row]
    links: Links
    snapshots: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The turn under which answers to one context are compared, and these answers by branch index."""

    anchor: Row
    alternatives: list[Row]


def status(source: Source, scope: str | None = None) -> Row:
    """Counts of every layer, and ``builds``: how far each derived one is; a tenant's own counts, without builds."""
    with reading_from(source) as connection:
        return store.status(connection, scope)


def themes(
    source: Source, *, scope: str | None = None, after: UUID | None = None, limit: int | None = None
) -> list[Row]:
    """Themes by name, with their counts of sessions; the next page starts after the last row's ``theme_id``."""
    with reading_from(source) as connection:
        return store.themes(connection, scope=scope, after=after, limit=limit)


def sessions(
    source: Source,
    limit: int = 50,
    *,
    before: datetime | None = None,
    before_id: UUID | None = None,
    theme: str | None = None,
    side: bool | None = None,
    scope: str | None = None,
) -> list[Row]:
    """Sessions, the most recent first; the next page starts before the last row's ``last_turn_at``, ``session_id``.

    ``side``: only those of which every call is a side call (a title, a probe) or a judge's, or only the others.
    """
    with reading_from(source) as connection:
        return store.sessions(
            connection, limit, before=before, before_id=before_id, theme=theme, side=side, scope=scope
        )


def session(source: Source, session: str, scope: str | None = None) -> Row:
    """One session. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        return store.session(connection, store.resolve_session(connection, session, scope))


def session_id(source: Source, session: str) -> UUID:
    """The id of a session. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        return store.resolve_session(connection, session)


def tree(source: Source, session: str) -> SessionTree:
    """A session with all its nodes, and their links to other sessions. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        wanted = store.resolve_session(connection, session)
        return SessionTree(
            session=store.session(connection, wanted),
            nodes=store.session_tree(connection, wanted),
            links=dict(store.links(connection, wanted)),
        )


def tree_page(
    source: Source, session: str, limit: int, *, after: UUID | None = None, scope: str | None = None
) -> SessionTree:
    """A session with ``limit`` nodes at most in tree order; the next page starts after the last one. No links.

    Raises UsageError or NotFoundError.
    """
    with reading_from(source) as connection:
        wanted = store.resolve_session(connection, session, scope)
        return SessionTree(
            session=store.session(connection, wanted),
            nodes=store.session_tree_page(connection, wanted, after, limit),
            links={},
        )


def node(source: Source, node: str, scope: str | None = None, limit: int | None = None) -> NodeDetail:
    """One node with all its children, runs and alternatives, or the first ``limit`` of each.

    Raises UsageError or NotFoundError.
    """
    with reading_from(source) as connection:
        found = store.node(connection, store.resolve_node(connection, node, scope))
        wanted: UUID = found["node_id"]
        anchor_id = found["context_anchor_turn_id"]
        return NodeDetail(
            node=found,
            path=store.path(connection, wanted),
            children=store.children(connection, wanted, limit),
            runs=store.runs(connection, wanted, limit),
            alternatives=store.alternatives(connection, anchor_id, limit=limit) if anchor_id else [],
            rollouts=rollouts.of_node(connection, wanted),
            links=store.links(connection, found["session_id"])[wanted],
            snapshots=registry.snapshots_of_node(connection, wanted, scope),
        )


def node_id(source: Source, node: str, scope: str | None = None) -> UUID:
    """The id of a node. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        return store.resolve_node(connection, node, scope)


def path(source: Source, node: str) -> list[Row]:
    """The nodes from the root to a node: node_id, depth, branch_kind. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        return store.path(connection, store.resolve_node(connection, node))


def anchor(
    source: Source, turn: str, scope: str | None = None, *, after: int | None = None, limit: int | None = None
) -> Anchor:
    """The anchor of a turn, and the answers under it: all, or ``limit`` at most after a branch index.

    Raises UsageError or NotFoundError.
    """
    with reading_from(source) as connection:
        found = store.anchor(connection, store.resolve_turn(connection, turn, scope))
        answers = store.alternatives(connection, found["context_anchor_turn_id"], after=after, limit=limit)
        return Anchor(anchor=found, alternatives=answers)


def anchors(source: Source, nodes: Sequence[UUID]) -> dict[UUID, UUID]:
    """Anchors of nodes, each with the last of the given nodes under it. Raises NotFoundError."""
    with reading_from(source) as connection:
        return {store.node(connection, each)["context_anchor_turn_id"]: each for each in nodes}


def alternatives(source: Source, anchor_id: UUID) -> list[Row]:
    """The answers under an anchor by branch index; none for an id that is not an anchor."""
    with reading_from(source) as connection:
        return store.alternatives(connection, anchor_id)


def find(source: Source, text: str, limit: int, scope: str | None = None) -> list[Row]:
    """Nodes whose answer or last question matches the text: node_id, session_id, place, rank, started_at, excerpt.

    ``text`` is read like a web search: words, "phrases", ``or``, ``-not``.
    """
    with reading_from(source) as connection:
        return search.find(connection, text, limit, scope)


def values(row: Row) -> dict[str, Any]:
    """A row for programs: its stored JSON parsed, numbers as Python numbers."""
    parsed: dict[str, Any] = plain(store.parsed(row))
    return parsed
