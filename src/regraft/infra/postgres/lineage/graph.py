"""The conversation graph in PostgreSQL: what the builder reads, and its rows written set by set."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.ids import parse_json
from regraft.domain.lineage.fingerprints import ANSWER, CALL, TEXT
from regraft.infra.postgres.copy import copy_rows
from regraft.infra.postgres.lineage.graph_rows import BranchRow, NodeRow, RunRow, ThemeRow
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/graph")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """A conversation that another one started, by turns. ``call_id`` is the tool call's."""

    to_turn: UUID
    evidence: str
    from_turn: UUID
    call_id: str | None
    detail: str


@dataclass(slots=True)
class GraphRows:
    """Rows for one build, one list per table."""

    themes: list[ThemeRow] = field(default_factory=list)
    nodes: list[NodeRow] = field(default_factory=list)
    runs: list[RunRow] = field(default_factory=list)
    branches: list[BranchRow] = field(default_factory=list)
    moved: list[UUID] = field(default_factory=list)
    trees: set[UUID] = field(default_factory=set)  # sessions that turns were placed in
    sessions: set[UUID] = field(default_factory=set)  # these, those that nodes left, and where calls were filed
    links: list[Link] = field(default_factory=list)


def lock(connection: Connection) -> None:
    """Wait until no other builder is at work; held to the end of the transaction."""
    connection.execute(_SQL["lock"])


def lock_order(connection: Connection) -> None:
    """Wait until no other builder numbers its build; held to the end of the transaction."""
    connection.execute(_SQL["lock_order"])


def builder_at_work(connection: Connection) -> bool:
    """Whether another builder is at work. If not, this transaction keeps others from it until its end."""
    row = connection.execute(_SQL["builder_at_work"]).fetchone()
    return bool(row and row["busy"])


def affected(connection: Connection, turns: Collection[UUID]) -> list[UUID]:
    """Every turn whose place may change because ``turns`` arrived, themselves included."""
    rows = connection.execute(_SQL["affected"], {"turns": list(turns)}).fetchall()
    return [row["turn_id"] for row in rows]


def origins(connection: Connection, turns: Collection[UUID]) -> dict[UUID, Row]:
    """By turn: ``origin`` (the turn whose place it takes) and ``anchor_projection``."""
    rows = connection.execute(_SQL["origins"], {"turns": list(turns)}).fetchall()
    return {row["turn_id"]: row for row in rows}


def parents(connection: Connection, origin_of: dict[UUID, UUID]) -> dict[UUID, Row]:
    """By turn: the claimed parent, the parent by prefix, and the evidence of the latter."""
    given = {"turns": list(origin_of), "origins": list(origin_of.values())}
    rows = connection.execute(_SQL["parents"], given).fetchall()
    return {row["turn_id"]: row for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedHistory:
    """A node's history that continues no known one as it is; ``known``: how many messages of it are matched."""

    node_id: UUID
    turn_id: UUID
    known: int


def survivors(connection: Connection, unmatched: Collection[UnmatchedHistory]) -> list[Row]:
    """Known answers in histories, where one session alone gave them; up to version 2 of the projection.

    Also keeps, for ``save``, what each such history can be recognised by later.
    """
    return _owners(connection, "survivors", unmatched, (TEXT, CALL), 64)


def deliverers(connection: Connection, unmatched: Collection[UnmatchedHistory]) -> list[Row]:
    """Earlier turns that delivered answers of these histories; also keeps the answers' anchors, for ``save``."""
    return _owners(connection, "deliverers", unmatched, (CALL, ANSWER), 16)


def _owners(
    connection: Connection, query: str, unmatched: Collection[UnmatchedHistory], kinds: Collection[int], most: int
) -> list[Row]:
    connection.execute(_SQL["keep_histories"])
    if not unmatched:
        return []
    given = {
        "nodes": [each.node_id for each in unmatched],
        "turns": [each.turn_id for each in unmatched],
        "known": [each.known for each in unmatched],
        "kinds": list(kinds),
        "most": most,
    }
    connection.execute(_SQL["fill_histories"], given)
    return connection.execute(_SQL[query]).fetchall()


def tails(connection: Connection, contexts: Collection[bytes], most: int) -> list[Row]:
    """The last ``most`` messages of histories by ``start``, the nearest first."""
    return connection.execute(_SQL["tails"], {"contexts": list(contexts), "most": most}).fetchall()


def opening(connection: Connection, turn: UUID) -> list[str]:
    """The messages of a turn's history before its first answer, as JSON."""
    return [row["body"] for row in connection.execute(_SQL["opening"], {"turn": turn}).fetchall()]


def links(connection: Connection, turns: Collection[UUID], evidence: str) -> list[Row]:
    """Links that ``turns`` make or change, by kind of evidence: ``claims``, ``agents``, ``tasks``, ``results``,
    ``traces``."""
    return connection.execute(_SQL[f"link_{evidence}"], {"turns": list(turns)}).fetchall()


def drop_agent_links(connection: Connection, sessions: Collection[UUID]) -> None:
    """Forget the links of agents' conversations that are looked at again."""
    connection.execute(_SQL["drop_agent_links"], {"sessions": list(sessions)})


def drop_trace_links(connection: Connection, turns: Collection[UUID]) -> None:
    """Forget the links of traces that are looked at again."""
    connection.execute(_SQL["drop_trace_links"], {"turns": list(turns)})


def _save_links(connection: Connection, found: Collection[Link]) -> None:
    given = {
        "to": [link.to_turn for link in found],
        "evidence": [link.evidence for link in found],
        "from": [link.from_turn for link in found],
        "calls": [link.call_id for link in found],
        "details": [link.detail for link in found],
    }
    connection.execute(_SQL["save_links"], given)


def ancestors(connection: Connection, nodes: Collection[UUID]) -> list[Row]:
    """The given nodes and all above them: ``node_id``, ``parent_node_id``, ``depth``."""
    return connection.execute(_SQL["ancestors"], {"nodes": list(nodes)}).fetchall()


def leaning(connection: Connection, nodes: Collection[UUID]) -> list[UUID]:
    """Turns whose place may change because these nodes, and what grows from them, are in another tree now."""
    rows = connection.execute(_SQL["leaning"], {"nodes": list(nodes)}).fetchall()
    return [row["turn_id"] for row in rows]


def families(connection: Connection, parent_nodes: Collection[UUID]) -> list[Row]:
    """Placed turns under the given parents, with their nodes' places and the evidence for them."""
    return connection.execute(_SQL["families"], {"parents": list(parent_nodes)}).fetchall()


def current_parents(connection: Connection, nodes: Collection[UUID]) -> dict[UUID, Row]:
    """The current places of the given nodes, by node: parent, depth and tree."""
    rows = connection.execute(_SQL["current_parents"], {"nodes": list(nodes)}).fetchall()
    return {row["node_id"]: row for row in rows}


def facts(connection: Connection, turns: Collection[UUID]) -> dict[UUID, Row]:
    """What the log says of each turn, its JSON parsed without rounding; ``usage_text`` is as stored."""
    rows = connection.execute(_SQL["facts"], {"turns": list(turns)}).fetchall()
    identities: dict[str, Any] = {}  # clients say the same of many calls
    for row in rows:
        row["usage_text"] = row["usage"]
        for name in ("usage", "error"):
            row[name] = None if row[name] is None else parse_json(row[name])
        said = row["identity"]
        if said not in identities:
            identities[said] = parse_json(said)
        row["identity"] = identities[said]
    return {row["turn_id"]: row for row in rows}


def parts(connection: Connection, ids: Collection[bytes]) -> dict[bytes, dict[str, Any]]:
    """Request components by id."""
    rows = connection.execute(_SQL["parts"], {"parts": list(ids)}).fetchall()
    return {bytes(row["part_id"]): parse_json(row["body"]) for row in rows}


def save_places(connection: Connection, rows: GraphRows) -> None:
    """Write where turns are placed, in the current transaction. ``save_build`` has to follow."""
    named = _SQL
    connection.execute(named["stage"])
    copy_rows(connection, "stage_theme", ThemeRow, rows.themes)
    copy_rows(connection, "stage_node", NodeRow, rows.nodes)
    copy_rows(connection, "stage_run", RunRow, rows.runs)
    copy_rows(connection, "stage_branch", BranchRow, rows.branches)
    connection.execute(named["save_themes"])
    connection.execute(named["save_nodes"])
    connection.execute(named["save_unsettled"])
    connection.execute(named["add_unsettled"])
    connection.execute(named["save_runs"])
    connection.execute(named["save_branches"])
    if rows.moved:
        connection.execute(named["save_moves"], {"moved": rows.moved})
    connection.execute(named["drop_empty_trees"], {"sessions": list(rows.sessions)})
    connection.execute("DROP TABLE stage_node, stage_run, stage_branch, stage_theme")


def save_build(connection: Connection, rows: GraphRows, now: datetime, version: int) -> int:
    """Write what a build's places make of sessions and links, and return the build's number. Needs ``lock_order``."""
    named = _SQL
    number = next_build(connection)
    if rows.links:
        _save_links(connection, rows.links)
    connection.execute(named["save_sessions"], {"sessions": list(rows.sessions), "build": number})
    connection.execute(named["requeue_outcomes"], {"sessions": list(rows.sessions)})
    connection.execute(named["save_watermark"], {"build": number, "version": version, "now": now})
    return number


def next_build(connection: Connection) -> int:
    """The number of a build that is to be made. Needs the builder's lock, or ``lock_order``."""
    build = connection.execute(_SQL["next_build"]).fetchone()
    return int(build["build"]) if build else 1


def clear(connection: Connection) -> None:
    """Empty the derived tables and let every turn of the log wait again."""
    connection.execute(_SQL["clear_graph"])
    connection.execute(_SQL["requeue_all"])


def set_aside(connection: Connection, turn: UUID, reason: str) -> int:
    """Keep a turn that cannot be placed from being tried with every build; returns 0 if another builder did so."""
    return connection.execute(_SQL["set_aside"], {"turn": turn, "reason": reason}).rowcount


def retry_failed(connection: Connection) -> int:
    """Let turns that could not be placed be retried; returns how many there are."""
    return connection.execute(_SQL["retry_failed"]).rowcount


def waiting(connection: Connection) -> tuple[int, int]:
    """How many turns, of how many sessions, the graph has not placed yet."""
    row = connection.execute(_SQL["waiting"]).fetchone()
    return (int(row["turns"]), int(row["sessions"])) if row else (0, 0)


def outcomes_wait(connection: Connection) -> bool:
    """Whether feedback on whole sessions came since their outcomes were looked up."""
    row = connection.execute(_SQL["outcomes_wait"]).fetchone()
    return bool(row and row["wait"])


def settle_outcomes(connection: Connection) -> None:
    """Look up the outcomes of sessions that feedback came for. Needs the builder's lock."""
    connection.execute(_SQL["settle_outcomes"])


def waiting_sessions(connection: Connection, limit: int) -> list[UUID]:
    """The sessions with turns that wait, most overdue first."""
    rows = connection.execute(_SQL["waiting_sessions"], {"limit": limit}).fetchall()
    return [row["session_id"] for row in rows]
