"""The parents of nodes: the node that was claimed, that their history continues, or whose answer came back in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from regraft.domain.ids import Digest, NodeId, SessionId, TurnId, no_parts, parse_json
from regraft.domain.lineage.compaction import EVIDENCE as COMPACTION_EVIDENCE
from regraft.domain.lineage.compaction import ShortenedTurn, SurvivingAnswer, compaction
from regraft.domain.lineage.fingerprints import ANSWER, CALL, kind_of
from regraft.domain.lineage.graph import depths
from regraft.domain.lineage.history import root_of
from regraft.domain.lineage.history_change import HistoryChange, stored_change
from regraft.domain.lineage.projection import plain_text, projection_digest
from regraft.domain.lineage.returned_answers import EVIDENCE as RETURNED_EVIDENCE
from regraft.domain.lineage.returned_answers import (
    FROM_VERSION,
    DeliveringTurn,
    ReturnedAnswer,
    RewrittenTurn,
    TailMessage,
    continuation,
)
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.pool import Connection

UNMATCHED = frozenset({"unmatched", "longest_prefix"})  # evidence of a history that continues no known one as it is
UNSETTLED = UNMATCHED | {COMPACTION_EVIDENCE, RETURNED_EVIDENCE}  # of a place that a late arrival may still improve
_TAIL = 48  # messages before an answer that are compared
_NO_INSTRUCTIONS = no_parts().digest()


@dataclass(frozen=True, slots=True)
class ParentLink:
    """A node's parent and how it was found. ``change`` says how the history differs from the parent's."""

    parent: NodeId
    evidence: str
    change: HistoryChange | None = None


def parent_links(
    connection: Connection, facts: Mapping[UUID, store.Row], found: Mapping[UUID, store.Row], version: int
) -> dict[NodeId, ParentLink]:
    """The parent of each node: that of its first run. A claim that would form a cycle is ignored."""
    runs: dict[NodeId, list[store.Row]] = defaultdict(list)
    for fact in facts.values():
        runs[fact["node_id"]].append(fact)
    places: dict[NodeId, ParentLink] = {}
    by_prefix: dict[NodeId, ParentLink] = {}
    roots: dict[NodeId, NodeId] = {}
    uncertain: set[NodeId] = set()
    unmatched: list[store.UnmatchedHistory] = []
    for node, group in runs.items():
        first = min(group, key=lambda row: (row["purpose"] == "replay", row["started_at"], row["turn_id"].bytes))
        row = found[first["turn_id"]]
        roots[node] = root = root_of(SessionId(row["session_id"]))
        by_prefix[node] = ParentLink(NodeId(row["prefix_node_id"] or root), row["prefix_evidence"])
        claimed = row["claimed_node_id"]
        if claimed or row["origin"] != first["turn_id"]:
            uncertain.add(node)
        places[node] = ParentLink(NodeId(claimed), "explicit_header") if claimed else by_prefix[node]
        if not claimed and row["prefix_evidence"] in UNMATCHED:
            unmatched.append(store.UnmatchedHistory(node_id=node, turn_id=row["origin"], known=row["prefix_depth"]))
    if version >= FROM_VERSION:
        uncertain |= _continue(connection, unmatched, places)
    else:
        joined = _compactions(connection, unmatched, version)
        places.update(joined)
        uncertain |= joined.keys()
    _break_circles(connection, places, by_prefix, roots, uncertain)
    return places


def settled_link(row: store.Row) -> ParentLink:
    """The parent of a node that new turns do not affect."""
    change = None
    if row["parent_evidence"] in (COMPACTION_EVIDENCE, RETURNED_EVIDENCE):
        change = stored_change(row["branch_kind"], row["branch_reason"], row["variant_config"])
    return ParentLink(NodeId(row["parent_node_id"]), row["parent_evidence"], change)


def _continue(
    connection: Connection, unmatched: list[store.UnmatchedHistory], places: dict[NodeId, ParentLink]
) -> set[NodeId]:
    """Place the nodes whose history holds an answer that an earlier turn delivered, and return them.

    The earliest come first: which tree a deliverer is in may decide, and only earlier turns deliver.
    """
    rows = store.deliverers(connection, unmatched)
    wanted = {bytes(row[name]) for row in rows for name in ("context_before", "owner_context") if row[name] is not None}
    tails = _tails(connection, wanted)
    by_node: dict[NodeId, dict[int, list[store.Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_node[NodeId(row["node_id"])][row["depth"]].append(row)
    first_of = {node: next(iter(positions.values()))[0] for node, positions in by_node.items()}
    known = _KnownTurns(connection, places, {row["owner_node_id"] for row in rows})
    found = set()
    for node, first in sorted(first_of.items(), key=lambda each: (each[1]["started_at"], each[1]["turn_id"].bytes)):
        positions = by_node[node]
        turn = RewrittenTurn(
            turn_id=TurnId(first["turn_id"]),
            session_id=SessionId(first["session_id"]),
            named=first["named"],
            name=first["external_id"],
            started_at=first["started_at"],
            system=Digest(bytes(first["system_digest"])),
            instructed=bytes(first["system_digest"]) != _NO_INSTRUCTIONS,
        )
        returned = [
            ReturnedAnswer(
                position=position,
                tail=tails.get(bytes(group[0]["context_before"] or b""), ()),
                deliverers=[_deliverer(row, tails) for row in group],
            )
            for position, group in positions.items()
        ]
        found_parent = continuation(turn, returned, known)
        if found_parent is not None:
            evidence = COMPACTION_EVIDENCE if found_parent.shortened else RETURNED_EVIDENCE
            change = HistoryChange(found_parent.shortened, found_parent.reason, found_parent.config)
            places[node] = ParentLink(found_parent.node_id, evidence, change)
            found.add(node)
    return found


class _KnownTurns:
    """The trees of turns that delivered answers, as stored where this build does not place them anew, and openings.

    Both are read when they are asked for, which is seldom.
    """

    def __init__(self, connection: Connection, places: Mapping[NodeId, ParentLink], nodes: set[UUID]) -> None:
        self._connection, self._places, self._nodes = connection, places, nodes
        self._above: dict[NodeId, NodeId | None] | None = None
        self._openings: dict[TurnId, str] = {}

    def tree(self, turn: DeliveringTurn) -> NodeId:
        """The root above a turn's node, or the node at which a circle of claims closes."""
        if self._above is None:
            nodes = {*self._nodes, *(place.parent for place in self._places.values())}
            self._above = {row["node_id"]: row["parent_node_id"] for row in store.ancestors(self._connection, nodes)}
        node, passed = turn.node_id, set()
        while node not in passed:
            passed.add(node)
            place = self._places.get(node)
            parent = place.parent if place else self._above.get(node)
            if parent is None:
                break
            node = parent
        return node

    def opening(self, turn: TurnId) -> str:
        """What was said before the first answer."""
        if turn not in self._openings:
            bodies = store.opening(self._connection, turn)
            self._openings[turn] = "\n".join(plain_text(parse_json(body)) for body in bodies)
        return self._openings[turn]


def _tails(connection: Connection, contexts: set[bytes]) -> dict[bytes, tuple[TailMessage, ...]]:
    found: dict[bytes, list[TailMessage]] = defaultdict(list)
    for row in store.tails(connection, contexts, _TAIL) if contexts else []:
        keys = frozenset(key for key in row["anchors"] or () if kind_of(key) in (CALL, ANSWER))
        text = plain_text(parse_json(row["body"])) if row["body"] is not None else ""
        found[bytes(row["start"])].append(
            TailMessage(message_id=Digest(bytes(row["message_id"])), role=row["role"] or "", keys=keys, text=text)
        )
    return {start: tuple(messages) for start, messages in found.items()}


def _deliverer(row: store.Row, tails: Mapping[bytes, tuple[TailMessage, ...]]) -> DeliveringTurn:
    return DeliveringTurn(
        turn_id=TurnId(row["owner_turn_id"]),
        node_id=NodeId(row["owner_node_id"]),
        session_id=SessionId(row["owner_session_id"]),
        named=row["owner_named"],
        name=row["owner_external_id"],
        started_at=row["owner_started_at"],
        system=Digest(bytes(row["owner_system_digest"])),
        position=row["owner_depth"],
        tail=tails.get(bytes(row["owner_context"]), ()),
        by_call=row["by_call"],
        by_answer=row["by_answer"],
        long=row["long"],
    )


def _compactions(
    connection: Connection, unmatched: list[store.UnmatchedHistory], version: int
) -> dict[NodeId, ParentLink]:
    """The nodes whose history was replaced by another that kept something of it; up to version 2 of the projection."""
    known: dict[NodeId, list[store.Row]] = defaultdict(list)
    for row in store.survivors(connection, unmatched):
        known[NodeId(row["node_id"])].append(row)
    found = {}
    for node, rows in known.items():
        first = rows[0]
        turn = ShortenedTurn(
            turn_id=TurnId(first["turn_id"]),
            session_id=SessionId(first["session_id"]),
            named=first["named"],
            started_at=first["started_at"],
            system=Digest(bytes(first["system_digest"])),
        )
        replaced = compaction(turn, [_survivor(row, version) for row in rows])
        if replaced and replaced.node_id != node:
            change = HistoryChange(True, replaced.reason, replaced.config)
            found[node] = ParentLink(replaced.node_id, COMPACTION_EVIDENCE, change)
    return found


def _survivor(row: store.Row, version: int) -> SurvivingAnswer:
    same = row["same_before"]
    if not same and row["above"] is not None and row["before"] is not None:
        above, before = parse_json(row["above"]), parse_json(row["before"])
        same = projection_digest(above, version) == projection_digest(before, version)
    return SurvivingAnswer(
        anchor=row["anchor"],
        position=row["depth"],
        same_before=same,
        owner_turn=TurnId(row["owner_turn_id"]),
        owner_node=NodeId(row["owner_node_id"]),
        owner_session=SessionId(row["owner_session_id"]),
        owner_named=row["owner_named"],
        owner_started_at=row["owner_started_at"],
        owner_position=row["owner_depth"],
        owner_system=Digest(bytes(row["owner_system_digest"])),
    )


def _break_circles(
    connection: Connection,
    places: dict[NodeId, ParentLink],
    by_prefix: Mapping[NodeId, ParentLink],
    roots: Mapping[NodeId, NodeId],
    uncertain: set[NodeId],
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
        places[node] = ParentLink(roots[node], "unmatched")


def _on_circles(places: dict[NodeId, ParentLink], above: Mapping[NodeId, NodeId | None]) -> list[NodeId]:
    links = {node: parent for node, parent in above.items() if parent}
    links.update((node, place.parent) for node, place in places.items())
    known = dict.fromkeys({*links.values()} - links.keys(), 0)
    placed = depths(links, known)
    return [node for node in places if node not in placed]
