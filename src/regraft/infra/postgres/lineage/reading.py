"""What people and pages read of the truth. JSON columns come as the text that is stored; ``parsed`` opens them."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.ids import parse_json
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/reading")

Row = dict[str, Any]

JSON_COLUMNS = frozenset(
    {"history", "answer", "tools", "variant_config", "usage", "error", "sampling", "variant", "first_divergence"}
)
SHORTEST_PREFIX = 6
_HEX = re.compile(r"[0-9a-f]{1,32}")

_HINTS = {
    "session": " `regraft sessions -n 0` lists them.",
    "node": " `regraft tree SESSION` shows those of a session, `regraft find WORDS` those that hold words.",
}


def parsed(row: Row) -> Row:
    """The row with its JSON columns as values; numbers with a fraction stay ``Number``."""
    return {
        name: parse_json(value) if name in JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items()
    }


def resolve_node(connection: Connection, text: str, scope: str | None = None) -> UUID:
    """The node that an id, or the start of one, names, among those of ``scope``. Raises UsageError or NotFoundError."""
    return _resolve(connection, "node", text, scope)


def resolve_session(connection: Connection, text: str, scope: str | None = None) -> UUID:
    """The session of ``scope`` with this id, start of an id, or client's name. Raises UsageError or NotFoundError."""
    if not _HEX.fullmatch(_bare(text)) and text.isprintable():  # PostgreSQL refuses NUL and lone surrogates
        found = connection.execute(_SQL["sessions_named"], {"name": text, "scope": scope}).fetchall()
        if len(found) > 1:
            raise UsageError(f"Several sessions are called {text!r}. Give the id.")
        if found:
            return UUID(str(found[0]["id"]))
    return _resolve(connection, "session", text, scope)


def resolve_turn(connection: Connection, text: str, scope: str | None = None) -> UUID:
    """The placed turn of ``scope`` that an id, or the start of one, names. Raises UsageError or NotFoundError."""
    return _resolve(connection, "turn", text, scope)


def _bare(text: str) -> str:
    return text.strip().lower().replace("-", "")


def _resolve(connection: Connection, noun: str, text: str, scope: str | None) -> UUID:
    prefix = _bare(text)
    if not _HEX.fullmatch(prefix):
        raise UsageError(f"{text[:80]!r} is not a {noun} id: give hexadecimal digits, at least {SHORTEST_PREFIX}.")
    if len(prefix) < SHORTEST_PREFIX:
        raise UsageError(f"{text!r} is too short for a {noun} id: give at least {SHORTEST_PREFIX} digits.")
    bounds = {"low": UUID(prefix.ljust(32, "0")), "high": UUID(prefix.ljust(32, "f")), "scope": scope}
    found = connection.execute(_SQL[f"{noun}s_like"], bounds).fetchall()
    if not found:
        raise NotFoundError(f"There is no {noun} {text}.{_hint(connection, noun, text, bounds)}")
    if len(found) > 1:
        raise UsageError(f"Several {noun}s start with {text}. Give more digits.")
    return UUID(str(found[0]["id"]))


def _hint(connection: Connection, noun: str, text: str, bounds: Row) -> str:
    """Where to look for what an id does not name."""
    if noun == "session" and connection.execute(_SQL["nodes_like"], bounds).fetchone():
        return f" It is a node: `regraft show {text}`."
    return _HINTS.get(noun, "")


def status(connection: Connection, scope: str | None = None) -> Row:
    """Counts of every layer, and ``builds``: how far each derived one is.

    Of a tenant, ``scope``: its own counts, and no builds, which count the turns of all.
    """
    if scope is not None:
        row = connection.execute(_SQL["status_of_scope"], {"scope": scope}).fetchone() or {}
        return {**row, "builds": []}
    row = connection.execute(_SQL["status"]).fetchone() or {}
    return {**row, "builds": connection.execute(_SQL["builds"]).fetchall()}


def themes(
    connection: Connection, *, scope: str | None = None, after: UUID | None = None, limit: int | None = None
) -> list[Row]:
    """Themes by name, with their counts of sessions: ``limit`` at most, after one of them. Raises NotFoundError."""
    if after is not None and connection.execute(_SQL["theme"], {"theme": after, "scope": scope}).fetchone() is None:
        raise NotFoundError(f"There is no theme {after}.")
    return connection.execute(_SQL["themes"], {"scope": scope, "after": after, "limit": limit}).fetchall()


def sessions(
    connection: Connection,
    limit: int = 50,
    *,
    before: datetime | None = None,
    before_id: UUID | None = None,
    theme: str | None = None,
    side: bool | None = None,
    scope: str | None = None,
) -> list[Row]:
    """Sessions, the most recent first; the next page starts before the last row's ``last_turn_at``, ``session_id``.

    ``side``: only those of which every call is a client's side call, or only the others. ``scope``: of this tenant.
    """
    asked = {"before": before, "before_id": before_id, "theme": theme, "side": side, "scope": scope}
    return _sessions(connection, limit=limit, **asked)


def session(connection: Connection, session_id: UUID) -> Row:
    """One session. Raises NotFoundError: while it waits to be placed, and where its calls joined another's tree."""
    rows = _sessions(connection, session=session_id)
    if rows:
        return rows[0]
    trees = connection.execute(_SQL["hangs_in"], {"session": session_id}).fetchall()
    if not trees:
        raise NotFoundError(f"Session {session_id} is not in the graph.")
    found = "; ".join(
        f"{each['calls']} in the tree of session {each['session_id']}, under node {each['under_node_id']}"
        for each in trees
    )
    raise NotFoundError(
        f"Session {session_id} has no tree of its own: its calls continue those of another session and are in its tree:"
        f" {found}. See `regraft tree {trees[0]['session_id']}`."
    )


def links(connection: Connection, session_id: UUID) -> dict[UUID, dict[str, list[Row]]]:
    """By node of a session: ``starts``, the nodes of other sessions that it started, and ``started_by``."""
    found: dict[UUID, dict[str, list[Row]]] = defaultdict(lambda: {"starts": [], "started_by": []})
    for row in connection.execute(_SQL["links"], {"session": session_id}).fetchall():
        names = ("evidence", "detail", "tool_call_id")
        other = {"session_id": row["other_session_id"], "node_id": row["other_node_id"]}
        found[row["node_id"]][row["way"]].append({**other, **{name: row[name] for name in names}})
    return found


def _sessions(connection: Connection, **given: Any) -> list[Row]:
    asked: dict[str, Any] = {
        "limit": 1,
        "session": None,
        "before": None,
        "before_id": None,
        "theme": None,
        "side": None,
        "scope": None,
    }
    asked |= given
    if asked["before"] is not None and asked["before_id"] is None:
        asked["before_id"] = UUID(int=0)
    return connection.execute(_SQL["sessions"], asked).fetchall()


def session_tree(connection: Connection, session_id: UUID) -> list[Row]:
    """Every node of a session in tree order: a node, then all below it; siblings by time."""
    return _in_tree_order(connection.execute(_SQL["tree"], {"session": session_id, "nodes": None}).fetchall())


def session_tree_page(connection: Connection, session_id: UUID, after: UUID | None, limit: int) -> list[Row]:
    """Nodes of a session in tree order: ``limit`` at most, after one of them. Raises NotFoundError."""
    places = _in_tree_order(connection.execute(_SQL["tree_order"], {"session": session_id}).fetchall())
    order = [row["node_id"] for row in places]
    if after is not None and after not in order:
        raise NotFoundError(f"There is no node {after} in this session.")
    start = 0 if after is None else order.index(after) + 1
    wanted = order[start : start + limit]
    found = connection.execute(_SQL["tree"], {"session": session_id, "nodes": wanted}).fetchall()
    rows = {row["node_id"]: row for row in found}
    return [rows[node] for node in wanted]


def _in_tree_order(rows: list[Row]) -> list[Row]:
    children: dict[UUID | None, list[Row]] = defaultdict(list)
    for row in rows:
        children[row["parent_node_id"]].append(row)
    ordered: list[Row] = []
    waiting = children[None][::-1]
    while waiting:
        row = waiting.pop()
        ordered.append(row)
        waiting.extend(reversed(children[row["node_id"]]))
    return ordered


def node(connection: Connection, node_id: UUID) -> Row:
    """A node with its ``history``. Raises NotFoundError."""
    row = connection.execute(_SQL["node"], {"node": node_id}).fetchone()
    if row is None:
        raise NotFoundError(f"There is no node {node_id}.")
    return row


def path(connection: Connection, node_id: UUID) -> list[Row]:
    """The nodes from the root to a node: node_id, depth, branch_kind."""
    return connection.execute(_SQL["path"], {"node": node_id}).fetchall()


def children(connection: Connection, node_id: UUID, limit: int | None = None) -> list[Row]:
    """The nodes that grow from a node, the first ``limit`` of them."""
    return connection.execute(_SQL["children"], {"node": node_id, "limit": limit}).fetchall()


def runs(connection: Connection, node_id: UUID, limit: int | None = None) -> list[Row]:
    """The runs that gave a node, the first ``limit`` of them, each with its ``answer``."""
    return connection.execute(_SQL["runs"], {"node": node_id, "limit": limit}).fetchall()


def anchor(connection: Connection, turn_id: UUID) -> Row:
    """The anchor of a turn, with the ``history`` it was asked with. Raises NotFoundError."""
    row = connection.execute(_SQL["anchor"], {"turn": turn_id}).fetchone()
    if row is None:
        raise NotFoundError(f"Turn {turn_id} is not in the graph.")
    return row


def alternatives(
    connection: Connection, anchor_turn_id: UUID, *, after: int | None = None, limit: int | None = None
) -> list[Row]:
    """The answers under an anchor by branch index: ``limit`` at most, after an index."""
    given = {"anchor": anchor_turn_id, "after": after, "limit": limit}
    return connection.execute(_SQL["alternatives"], given).fetchall()


def snapshot_counts(connection: Connection, snapshot_id: str) -> Row:
    """Rows, nodes and sessions of a snapshot."""
    return connection.execute(_SQL["snapshot_nodes"], {"snapshot": snapshot_id}).fetchone() or {}
