"""Where nodes hang: under the node that was claimed, that their history continues, or that it is a summary of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from regraft.domain.ids import Digest, NodeId, SessionId, TurnId, parse_json
from regraft.domain.lineage.compaction import EVIDENCE, Compaction, ShortenedTurn, SurvivingAnswer, compaction
from regraft.domain.lineage.graph import depths
from regraft.domain.lineage.history import root_of
from regraft.domain.lineage.projection import projection_digest
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.pool import Connection

_SHORTENED = frozenset({"unmatched", "longest_prefix"})


@dataclass(frozen=True, slots=True)
class ParentLink:
    """A node's parent and how it was found."""

    parent: NodeId
    evidence: str
    compaction: Compaction | None = None


def parent_links(
    connection: Connection, facts: Mapping[UUID, store.Row], found: Mapping[UUID, store.Row], version: int
) -> dict[NodeId, ParentLink]:
    """Where each node hangs: where its first run does. A claim that would close a circle is not honoured."""
    runs: dict[NodeId, list[store.Row]] = defaultdict(list)
    for fact in facts.values():
        runs[fact["node_id"]].append(fact)
    places: dict[NodeId, ParentLink] = {}
    by_prefix: dict[NodeId, ParentLink] = {}
    roots: dict[NodeId, NodeId] = {}
    uncertain: set[NodeId] = set()
    shortened: list[tuple[UUID, UUID, int]] = []
    for node, group in runs.items():
        first = min(group, key=lambda row: (row["purpose"] == "replay", row["started_at"], row["turn_id"].bytes))
        row = found[first["turn_id"]]
        roots[node] = root = root_of(SessionId(row["session_id"]))
        by_prefix[node] = ParentLink(NodeId(row["prefix_node_id"] or root), row["prefix_evidence"])
        claimed = row["claimed_node_id"]
        if claimed or row["origin"] != first["turn_id"]:
            uncertain.add(node)
        places[node] = ParentLink(NodeId(claimed), "explicit_header") if claimed else by_prefix[node]
        if not claimed and row["prefix_evidence"] in _SHORTENED:
            shortened.append((node, row["origin"], row["prefix_depth"]))
    for node, replaced in _compactions(connection, shortened, version).items():
        places[node] = ParentLink(replaced.node_id, EVIDENCE, replaced)
        uncertain.add(node)
    _break_circles(connection, places, by_prefix, roots, uncertain)
    return places


def settled_link(row: store.Row) -> ParentLink:
    """Where a node hangs that nothing new touches."""
    replaced = None
    if row["parent_evidence"] == EVIDENCE and row["branch_kind"] == "compaction":
        replaced = Compaction(NodeId(row["parent_node_id"]), row["branch_reason"], row["variant_config"])
    return ParentLink(NodeId(row["parent_node_id"]), row["parent_evidence"], replaced)


def _compactions(
    connection: Connection, shortened: list[tuple[UUID, UUID, int]], version: int
) -> dict[NodeId, Compaction]:
    """The nodes whose history was replaced by another that kept something of it."""
    known: dict[NodeId, list[store.Row]] = defaultdict(list)
    for row in store.survivors(connection, shortened):
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
            found[node] = replaced
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
