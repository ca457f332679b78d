"""What a build writes: load what new turns touch, decide, and lay out the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from regraft.domain.ids import Digest, NodeId, SessionId, TurnId, canonical_json, parse_json
from regraft.domain.lineage.difference import Components, model_snapshot
from regraft.domain.lineage.graph import Branch, Node, PlacedTurn, branches, depths, nodes, trees
from regraft.domain.lineage.history import EMPTY, root_of
from regraft.domain.lineage.theme import theme_id_of
from regraft.domain.orchestration.taskification import read_plan_header
from regraft.domain.replay.rollout import RolloutLabel, rollout_label
from regraft.domain.usage import tokens
from regraft.flows.lineage.parents import UNMATCHED, UNSETTLED, ParentLink, parent_links, settled_link
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.lineage import queue
from regraft.infra.postgres.lineage.graph_rows import BranchRow, NodeRow, RunRow, ThemeRow
from regraft.infra.postgres.lineage.themes import filed_under
from regraft.infra.postgres.pool import Connection

_INT4 = 2**31 - 1


class JoiningError(Exception):
    """Placing turns of these sessions concerns other sessions, so that no other builder may be at work."""

    def __init__(self, sessions: set[UUID]) -> None:
        super().__init__(f"{len(sessions)} sessions may be joined with others")
        self.sessions = sessions


def decide(connection: Connection, new: list[UUID], version: int) -> store.GraphRows:
    """The rows that placing ``new`` turns adds and changes, in a log under a version of the projection.

    Needs the builder's lock.
    """
    affected = {*store.affected(connection, new), *new}
    while True:
        origin = store.origins(connection, affected)
        found = store.parents(connection, {turn: row["origin"] for turn, row in origin.items()})
        facts = store.facts(connection, affected)
        places = parent_links(connection, facts, found, version)
        moved = _moved(store.current_parents(connection, places.keys()), places)
        leaning = set(store.leaning(connection, moved)) - affected if moved else set()
        if not leaning:
            return _decided(connection, new, facts, origin, places)
        affected |= leaning


def decide_apart(connection: Connection, new: Mapping[UUID, UUID], version: int) -> tuple[store.GraphRows, set[UUID]]:
    """The same beside other builders, for turns of shards that this one holds, each with its session.

    Also returns the turns that are left for a builder that is alone, because their session may be joined with another
    one: where other builders place turns at the same time, neither would see what the other does. Whatever else
    concerns other sessions raises JoiningError.
    """
    joining = queue.joining(connection, new)
    rest = [turn for turn, session in new.items() if session not in joining]
    origin = store.origins(connection, {*store.affected(connection, rest), *rest})
    found = store.parents(connection, {turn: row["origin"] for turn, row in origin.items()})
    joining |= {row["session_id"] for row in found.values() if row["prefix_evidence"] in UNMATCHED}
    rest = [turn for turn in rest if new[turn] not in joining]
    facts = store.facts(connection, [turn for turn, row in found.items() if row["session_id"] not in joining])
    left = new.keys() - set(rest)
    if not rest:
        return store.GraphRows(), left
    places = parent_links(connection, facts, found, version)
    own = set(new.values())
    beyond = {row["session_id"] for row in facts.values() if row["session_id"] not in own}
    beyond |= {row["session_id"] for row in facts.values() if places[row["node_id"]].evidence in UNSETTLED}
    if beyond:
        raise JoiningError(own if beyond - own else beyond)
    rows = _decided(connection, rest, facts, origin, places)
    if rows.moved or not rows.trees <= own:
        raise JoiningError(own)
    return rows, left


def _decided(
    connection: Connection,
    new: list[UUID],
    facts: dict[UUID, store.Row],
    origin: dict[UUID, store.Row],
    places: dict[NodeId, ParentLink],
) -> store.GraphRows:
    touched = set(places)
    current = store.current_parents(connection, places.keys())
    old_parents = {row["parent_node_id"] for row in current.values() if row["parent_node_id"]}
    families = store.families(connection, {place.parent for place in places.values()} | old_parents)
    settled = [row for row in families if NodeId(row["node_id"]) not in places]
    others = {row["turn_id"] for row in settled}
    facts.update(store.facts(connection, others))
    origin.update(store.origins(connection, others))
    for row in settled:
        places[NodeId(row["node_id"])] = settled_link(row)

    bodies = store.parts(connection, {bytes(row[key]) for row in facts.values() for key in ("tools_id", "sampling_id")})
    by_parent: dict[NodeId, list[PlacedTurn]] = defaultdict(list)
    for turn, row in facts.items():
        place = places[row["node_id"]]
        by_parent[place.parent].append(_placed(row, place, Digest(bytes(origin[turn]["anchor_projection"])), bodies))
    all_branches = [branch for family in by_parent.values() for branch in branches(family)]

    rows, filed = store.GraphRows(), filed_under(connection)
    tree = _add_nodes(rows, connection, nodes(all_branches), places, facts, touched)
    rows.branches = [
        _branch_row(branch, facts[branch.turn.turn_id], tree[branch.turn.node_id]) for branch in all_branches
    ]
    for turn in new:
        _add_run(rows, facts[turn], tree[facts[turn]["node_id"]], filed)
    rows.trees = {tree[node] for node in touched}
    rows.sessions = {*rows.trees, *(row["session_id"] for row in facts.values())}
    rows.sessions.update(row["session_id"] for row in current.values())
    rows.moved = _moved(current, places)
    return rows


def _moved(current: Mapping[UUID, store.Row], places: Mapping[NodeId, ParentLink]) -> list[UUID]:
    """The nodes that had another parent before."""
    return [
        node
        for node, row in current.items()
        if row["parent_node_id"] is not None and row["parent_node_id"] != places[NodeId(node)].parent
    ]


def _placed(row: store.Row, place: ParentLink, anchor: Digest, bodies: dict[bytes, dict[str, Any]]) -> PlacedTurn:
    tools_id, sampling_id = Digest(bytes(row["tools_id"])), bytes(row["sampling_id"])
    return PlacedTurn(
        turn_id=TurnId(row["turn_id"]),
        node_id=NodeId(row["node_id"]),
        parent_node_id=place.parent,
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
        change=place.change,
    )


def _add_nodes(
    rows: store.GraphRows,
    connection: Connection,
    found: list[Node],
    places: Mapping[NodeId, ParentLink],
    facts: Mapping[UUID, store.Row],
    touched: set[NodeId],
) -> dict[NodeId, SessionId]:
    """Add the nodes and the roots of all sessions that calls were filed under; returns the tree of each node."""
    links = {node: place.parent for node, place in places.items()}
    roots = {root_of(SessionId(row["session_id"])): SessionId(row["session_id"]) for row in facts.values()}
    above = store.current_parents(connection, links.values())
    known: dict[NodeId, int] = {NodeId(node): row["depth"] for node, row in above.items()}
    known.update(dict.fromkeys(roots, 0))
    depth = depths(links, known)
    tree = trees(links, depth, {**{NodeId(node): SessionId(row["session_id"]) for node, row in above.items()}, **roots})
    for root, session in roots.items():
        rows.nodes.append(
            NodeRow(
                node_id=root,
                session_id=session,
                parent_node_id=None,
                turn_id=None,
                depth=0,
                branch_kind="root",
                branch_reason="where the session starts",
                variant_config="{}",
                node_status="ok",
                context_snapshot_id=EMPTY,
                parent_evidence="root",
                runs=0,
                affected=False,
            )
        )
    for node in found:
        branch, turn = node.first, node.first.turn
        fact = facts[turn.turn_id]
        rows.nodes.append(
            NodeRow(
                node_id=turn.node_id,
                session_id=tree[turn.node_id],
                parent_node_id=turn.parent_node_id,
                turn_id=turn.turn_id,
                depth=depth[turn.node_id],
                branch_kind=branch.branch_kind,
                branch_reason=storable(branch.branch_reason),
                variant_config=_jsonb(branch.variant_config),
                node_status=fact["node_status"],
                context_snapshot_id=fact["context_id"],
                parent_evidence=places[turn.node_id].evidence,
                runs=node.runs,
                affected=turn.node_id in touched,
            )
        )
    return tree


def _branch_row(branch: Branch, fact: store.Row, tree: SessionId) -> BranchRow:
    turn = branch.turn
    told = rollout_label(fact["identity"].get("variant")) if turn.is_replay else RolloutLabel()
    return BranchRow(
        turn_id=turn.turn_id,
        session_id=tree,
        node_id=turn.node_id,
        parent_node_id=turn.parent_node_id,
        context_anchor_turn_id=branch.anchor_turn_id,
        branch_index=branch.branch_index,
        branch_kind=branch.branch_kind,
        variant_config=_jsonb(branch.variant_config),
        same_context=branch.same_context,
        same_tools=branch.same_tools,
        is_replay=turn.is_replay,
        fidelity=told.fidelity,
        first_divergence=None if told.first_divergence is None else _jsonb(told.first_divergence),
    )


def _jsonb(value: dict[str, Any]) -> str:
    """JSON text for a ``jsonb`` column, which refuses NUL and lone surrogates."""
    return canonical_json(_storable(value)) if value else "{}"


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _add_run(rows: store.GraphRows, fact: store.Row, tree: SessionId, filed: Mapping[tuple[str, str], str]) -> None:
    identity = fact["identity"]
    theme_id = None
    name = storable(identity.get("theme"))
    if name:
        name = filed.get((fact["scope"], name), name)
        theme_id = theme_id_of(fact["scope"], name)
        rows.themes.append(ThemeRow(theme_id=theme_id, name=name, scope=fact["scope"], created_at=fact["started_at"]))
    usage = fact["usage"] if fact["choice_index"] == 0 and isinstance(fact["usage"], dict) else {}
    counted = tokens(usage)
    model = fact["model_answered"] or fact["model_requested"]
    taskification_id, step = read_plan_header(identity.get("plan"))
    error = fact["error"]
    if error is None and fact["node_status"] == "error":
        error = {"message": f"HTTP {fact['http_status']} without an answer"}
    rows.runs.append(
        RunRow(
            run_id=fact["turn_id"],
            session_id=tree,
            node_id=fact["node_id"],
            event_id=fact["event_id"],
            purpose=fact["purpose"],
            theme_id=theme_id,
            task_key=storable(identity.get("task")),
            model=model,
            model_snapshot_id=storable(model_snapshot(model, fact["fingerprint"], fact["upstream_pin"])),
            backend=fact["upstream"],
            run_status=fact["node_status"],
            finish_reason=fact["finish_reason"],
            answer_id=fact["answer_id"],
            prompt_tokens=_count(counted.prompt),
            completion_tokens=_count(counted.completion),
            cached_tokens=_count(counted.cached),
            usage=fact["usage_text"] if usage else None,
            duration_ms=fact["duration_ms"],
            first_byte_ms=fact["first_byte_ms"],
            error=None if error is None else canonical_json(error),
            sampling_id=fact["sampling_id"],
            tools_id=fact["tools_id"],
            tool_calls=fact["tool_calls"],
            variant=_variant_json(identity.get("variant")),
            taskification_id=taskification_id,
            taskify_step=storable(step) or None,
            started_at=fact["started_at"],
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
