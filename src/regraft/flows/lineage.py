"""From the execution log to the conversation graph: load what new turns touch, decide, save; a transaction a chunk."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from regraft.domain.context import EMPTY, root_of
from regraft.domain.errors import UnavailableError
from regraft.domain.graph import Branch, Node, PlacedTurn, branches, depths, nodes
from regraft.domain.ids import Digest, NodeId, SessionId, TurnId, canonical_json, digest, parse_json, uuid_of
from regraft.domain.message import PROJECTION_VERSION
from regraft.domain.rollout import Told, told_by
from regraft.domain.taskification import read_plan_header
from regraft.domain.usage import tokens
from regraft.domain.variant import Components, model_snapshot
from regraft.infra.postgres import lineage as store
from regraft.infra.postgres.inbox import storable
from regraft.infra.postgres.pool import Connection, transaction

log = logging.getLogger(__name__)

_CHUNK = 5_000  # turns to a transaction
_INT4 = 2**31 - 1
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class BuildCounts:
    """What a build did. ``build`` is 0 when nothing waited; ``failed`` turns are set aside with a reason."""

    turns: int
    nodes: int
    sessions: int
    build: int
    failed: int = 0


def build(dsn: str, sessions: Collection[UUID] | None = None, progress: Progress | None = None) -> BuildCounts:
    """Place every waiting turn, of the given sessions or of all. Safe to call at any time, and from several places.

    A turn that cannot be placed is found by halving, set aside with the reason, and stops no other.
    """
    counts = BuildCounts(0, 0, 0, 0, 0)
    touched: set[UUID] = set()
    size = _CHUNK
    while True:
        taken: list[UUID] = []
        try:
            with transaction(dsn, name="regraft-lineage") as connection:
                store.lock(connection)
                taken = store.take_queue(connection, sessions, size)
                if not taken:
                    break
                rows = _decide(connection, taken)
                number = store.save(connection, rows, datetime.now(UTC), PROJECTION_VERSION)
        except (psycopg.OperationalError, UnavailableError):
            raise
        except Exception as error:  # one bad turn never stops the others, whatever is in it
            if len(taken) > 1:
                size = len(taken) // 2
                continue
            if not taken:
                raise
            log.exception("turn %s cannot be placed and is set aside", taken[0])
            with transaction(dsn, name="regraft-lineage") as connection:
                store.set_aside(connection, taken[0], storable(f"{type(error).__name__}: {error}"[:2000]) or "")
            counts = replace(counts, failed=counts.failed + 1)
        else:
            touched |= rows.sessions
            counts = replace(
                counts, turns=counts.turns + len(taken), nodes=counts.nodes + len(rows.nodes), build=number
            )
            size = min(size * 2, _CHUNK)
            if progress:
                progress(len(taken))
    return replace(counts, sessions=len(touched))


def retry(dsn: str, progress: Progress | None = None) -> BuildCounts:
    """Try again the turns that could not be placed, and place all others that wait."""
    with transaction(dsn, name="regraft-lineage") as connection:
        store.retry_failed(connection)
    return build(dsn, None, progress)


def rebuild(dsn: str, progress: Progress | None = None) -> BuildCounts:
    """Derive the whole graph again from the log. Same log, same projection version: the same rows."""
    with transaction(dsn, name="regraft-lineage") as connection:
        store.lock(connection)
        store.clear(connection)
    return build(dsn, None, progress)


@dataclass(slots=True)
class _Place:
    parent: NodeId
    evidence: str
    root: NodeId


def _decide(connection: Connection, new: list[UUID]) -> store.GraphRows:
    affected = {*store.affected(connection, new), *new}
    origin = store.origins(connection, affected)
    found = store.parents(connection, {turn: row["origin"] for turn, row in origin.items()})
    facts = store.facts(connection, affected)
    places = _places(connection, facts, found)

    current = store.current_parents(connection, places.keys())
    old_parents = {row["parent_node_id"] for row in current.values() if row["parent_node_id"]}
    families = store.families(connection, {place.parent for place in places.values()} | old_parents)
    settled = [row for row in families if NodeId(row["node_id"]) not in places]
    others = {row["turn_id"] for row in settled}
    facts.update(store.facts(connection, others))
    origin.update(store.origins(connection, others))
    for row in settled:
        places[NodeId(row["node_id"])] = _Place(
            NodeId(row["parent_node_id"]), row["parent_evidence"], NodeId(row["root_node_id"])
        )

    bodies = store.parts(connection, {bytes(row[key]) for row in facts.values() for key in ("tools_id", "sampling_id")})
    by_parent: dict[NodeId, list[PlacedTurn]] = defaultdict(list)
    for turn, row in facts.items():
        parent = places[row["node_id"]].parent
        by_parent[parent].append(_placed(row, parent, Digest(bytes(origin[turn]["anchor_projection"])), bodies))
    all_branches = [branch for family in by_parent.values() for branch in branches(family)]

    rows = store.GraphRows()
    _add_nodes(rows, connection, nodes(all_branches), places, facts)
    rows.branches = [_branch_row(branch, facts[branch.turn.turn_id]) for branch in all_branches]
    for turn in new:
        _add_run(rows, facts[turn])
    rows.sessions = {facts[turn]["session_id"] for turn in affected}
    rows.moved = [
        node
        for node, row in current.items()
        if row["parent_node_id"] is not None and row["parent_node_id"] != places[NodeId(node)].parent
    ]
    return rows


def _places(connection: Connection, facts: dict[UUID, store.Row], found: dict[UUID, store.Row]) -> dict[NodeId, _Place]:
    """Where each node hangs: where its first run does. A claim that would close a circle is not honoured."""
    runs: dict[NodeId, list[store.Row]] = defaultdict(list)
    for row in facts.values():
        runs[row["node_id"]].append(row)
    places: dict[NodeId, _Place] = {}
    by_prefix: dict[NodeId, _Place] = {}
    uncertain: set[NodeId] = set()
    for node, group in runs.items():
        first = min(group, key=lambda row: (row["purpose"] == "replay", row["started_at"], row["turn_id"].bytes))
        row = found[first["turn_id"]]
        root = root_of(SessionId(row["session_id"]))
        by_prefix[node] = _Place(NodeId(row["prefix_node_id"] or root), row["prefix_evidence"], root)
        claimed = row["claimed_node_id"]
        if claimed or row["origin"] != first["turn_id"]:
            uncertain.add(node)
        places[node] = _Place(NodeId(claimed), "explicit_header", root) if claimed else by_prefix[node]
    _break_circles(connection, places, by_prefix, uncertain)
    return places


def _break_circles(
    connection: Connection, places: dict[NodeId, _Place], by_prefix: dict[NodeId, _Place], uncertain: set[NodeId]
) -> None:
    """A prefix is shorter than what grows from it, so only claims and replays can close a circle. The nodes on one go
    where their own history puts them; if that closes one too, below the root."""
    if not uncertain:
        return
    parents = {places[node].parent for node in uncertain}
    above = {row["node_id"]: row["parent_node_id"] for row in store.ancestors(connection, parents)}
    for node in _on_circles(places, above):
        places[node] = by_prefix[node]
    for node in _on_circles(places, above):
        places[node] = _Place(places[node].root, "unmatched", places[node].root)


def _on_circles(places: dict[NodeId, _Place], above: Mapping[NodeId, NodeId | None]) -> list[NodeId]:
    links = {node: parent for node, parent in above.items() if parent}
    links.update((node, place.parent) for node, place in places.items())
    known = dict.fromkeys({*links.values()} - links.keys(), 0)
    placed = depths(links, known)
    return [node for node in places if node not in placed]


def _placed(row: store.Row, parent: NodeId, anchor: Digest, bodies: dict[bytes, dict[str, Any]]) -> PlacedTurn:
    tools_id, sampling_id = Digest(bytes(row["tools_id"])), bytes(row["sampling_id"])
    return PlacedTurn(
        turn_id=TurnId(row["turn_id"]),
        node_id=NodeId(row["node_id"]),
        parent_node_id=parent,
        started_at=row["started_at"],
        is_replay=row["purpose"] == "replay",
        context_projection=Digest(bytes(row["context_projection"])),
        anchor_projection=anchor,
        components=Components(
            model=row["model_requested"],
            sampling=bodies[sampling_id],
            tools=bodies[tools_id],
            tools_id=tools_id,
            system=Digest(bytes(row["system_digest"])),
            user=Digest(bytes(row["user_digest"])),
            plan=row["identity"].get("plan") or "",
        ),
    )


def _add_nodes(
    rows: store.GraphRows,
    connection: Connection,
    found: list[Node],
    places: dict[NodeId, _Place],
    facts: dict[UUID, store.Row],
) -> None:
    links = {node: place.parent for node, place in places.items()}
    roots = {root_of(SessionId(row["session_id"])): row["session_id"] for row in facts.values()}
    known: dict[NodeId, int] = {
        NodeId(node): row["depth"] for node, row in store.current_parents(connection, links.values()).items()
    }
    known.update(dict.fromkeys(roots, 0))
    depth = depths(links, known)
    for root, session in roots.items():
        empty = (root, session, None, None, 0, "root", "where the session starts", "{}", "ok", EMPTY, "root", 0)
        rows.nodes.append(empty)
    for node in found:
        branch, turn = node.first, node.first.turn
        fact = facts[turn.turn_id]
        rows.nodes.append(
            (
                turn.node_id,
                fact["session_id"],
                turn.parent_node_id,
                turn.turn_id,
                depth[turn.node_id],
                branch.branch_kind,
                storable(branch.branch_reason),
                _jsonb(branch.variant_config),
                fact["node_status"],
                fact["context_id"],
                places[turn.node_id].evidence,
                node.runs,
            )
        )


def _branch_row(branch: Branch, fact: store.Row) -> tuple[Any, ...]:
    turn = branch.turn
    told = told_by(fact["identity"].get("variant")) if turn.is_replay else Told()
    return (
        turn.turn_id,
        fact["session_id"],
        turn.node_id,
        turn.parent_node_id,
        branch.anchor_turn_id,
        branch.branch_index,
        branch.branch_kind,
        _jsonb(branch.variant_config),
        branch.same_context,
        branch.same_tools,
        turn.is_replay,
        told.fidelity,
        None if told.first_divergence is None else _jsonb(told.first_divergence),
    )


def _jsonb(value: dict[str, Any]) -> str:
    """JSON text for a ``jsonb`` column, which refuses NUL and lone surrogates."""
    return canonical_json(_storable(value))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _add_run(rows: store.GraphRows, fact: store.Row) -> None:
    identity = fact["identity"]
    theme_id = None
    name = storable(identity.get("theme"))
    if name:
        theme_id = uuid_of(digest(b"theme", fact["scope"].encode(), name.encode()))
        rows.themes.append((theme_id, name, fact["scope"], fact["started_at"]))
    usage = fact["usage"] if fact["choice_index"] == 0 and isinstance(fact["usage"], dict) else {}
    counted = tokens(usage)
    model = fact["model_answered"] or fact["model_requested"]
    taskification_id, step = read_plan_header(identity.get("plan"))
    error = fact["error"]
    if error is None and fact["node_status"] == "error":
        error = {"message": f"HTTP {fact['http_status']} without an answer"}
    rows.runs.append(
        (
            fact["turn_id"],
            fact["session_id"],
            fact["node_id"],
            fact["event_id"],
            fact["purpose"],
            theme_id,
            storable(identity.get("task")),
            model,
            storable(model_snapshot(model, fact["fingerprint"], fact["upstream_pin"])),
            fact["upstream"],
            fact["node_status"],
            fact["finish_reason"],
            fact["answer_id"],
            _count(counted.prompt),
            _count(counted.completion),
            _count(counted.cached),
            canonical_json(usage) if usage else None,
            fact["duration_ms"],
            fact["first_byte_ms"],
            None if error is None else canonical_json(error),
            fact["sampling_id"],
            fact["tools_id"],
            fact["tool_calls"],
            _variant_json(identity.get("variant")),
            taskification_id,
            storable(step) or None,
            fact["started_at"],
        )
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= _INT4 else None


def _variant_json(variant: Any) -> str | None:
    if not isinstance(variant, str):
        return None
    try:
        return canonical_json(parse_json(variant))
    except ValueError:
        return canonical_json(variant)
