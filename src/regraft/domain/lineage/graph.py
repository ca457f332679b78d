"""The branching graph: parents, anchors, kinds and the order of siblings.

Everything here is decided from the set of turns alone, never from the order in which they arrived: any permutation
and any batching of the same events gives the same tree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regraft.domain.ids import Digest, NodeId, SessionId, TurnId
from regraft.domain.lineage.difference import Components, difference
from regraft.domain.lineage.history_change import HistoryChange

_NEAREST_AMONG = 64  # how many earlier siblings a turn is compared with to find its nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTurn:
    """A turn whose parent is known. ``anchor_projection`` is the history it answers: its own, or, for a replay, that of
    the replayed node. ``change``: how its history differs from its parent's, where it is not an extension of it."""

    turn_id: TurnId
    node_id: NodeId
    parent_node_id: NodeId
    started_at: datetime
    is_replay: bool
    context_projection: Digest
    anchor_projection: Digest
    components: Components
    change: HistoryChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A turn's answer as one of the alternatives under its anchor."""

    turn: PlacedTurn
    anchor_turn_id: TurnId
    branch_index: int
    branch_kind: str
    branch_reason: str
    variant_config: dict[str, Any]
    same_context: bool
    same_tools: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A place in the tree: ``first`` is the branch of the first run that gave it, ``runs`` how many gave it."""

    first: Branch
    runs: int


def canonical_order(turn: PlacedTurn) -> tuple[bool, datetime, bytes]:
    """Originals before replays, then by time, then by id: no two turns tie."""
    return (turn.is_replay, turn.started_at, turn.turn_id.bytes)


def branches(family: Iterable[PlacedTurn]) -> list[Branch]:
    """All alternatives under one parent: grouped by anchor, numbered 0..K in each group, each with its kind."""
    ordered = sorted(family, key=canonical_order)
    groups: dict[Digest, list[PlacedTurn]] = defaultdict(list)
    firsts: list[PlacedTurn] = []
    found = []
    for turn in ordered:
        group = groups[turn.anchor_projection]
        changed = turn.change if not group else None
        replaced = changed if changed is not None and changed.shortened else None
        reference = group[0] if group else None if replaced else _nearest(turn, firsts)
        if not group and not replaced:
            firsts.append(turn)
        group.append(turn)
        if replaced:
            kind, reason, config = "compaction", replaced.reason, dict(replaced.config)
        elif reference is None:
            kind, reason, config = "continuation", "goes on from its parent", {}
        else:
            change = difference(reference.components, turn.components)
            kind, reason, config = change.kind, change.reason, change.config
        if changed is not None and not replaced:
            reason, config = f"{reason}; {changed.reason}", {**config, **changed.config}
        anchor = group[0]
        found.append(
            Branch(
                turn=turn,
                anchor_turn_id=anchor.turn_id,
                branch_index=len(group) - 1,
                branch_kind=kind,
                branch_reason=reason,
                variant_config=config,
                same_context=turn.context_projection == anchor.context_projection,
                same_tools=turn.components.tools_id == anchor.components.tools_id,
            )
        )
    return found


def _nearest(turn: PlacedTurn, earlier: list[PlacedTurn]) -> PlacedTurn | None:
    """The earlier sibling that differs in the fewest components; of equals, the first."""
    candidates = earlier[-_NEAREST_AMONG:]
    if not candidates:
        return None
    return min(candidates, key=lambda sibling: len(difference(sibling.components, turn.components).config))


def nodes(found: Iterable[Branch]) -> list[Node]:
    """One node per distinct place; equal answers to equal histories are one node that counts its runs."""
    by_node: dict[NodeId, list[Branch]] = defaultdict(list)
    for branch in found:
        by_node[branch.turn.node_id].append(branch)
    return [
        Node(first=min(group, key=lambda branch: canonical_order(branch.turn)), runs=len(group))
        for group in by_node.values()
    ]


def depths(parents: Mapping[NodeId, NodeId], known: Mapping[NodeId, int]) -> dict[NodeId, int]:
    """The depth of every node in ``parents``; ``known`` holds the depth of parents outside of it.

    Nodes on a cycle (claims may contradict one another) are not in the answer.
    """
    found: dict[NodeId, int] = {}
    for start in parents:
        path: list[NodeId] = []
        on_path: set[NodeId] = set()
        node = start
        while node in parents and node not in found and node not in on_path:
            path.append(node)
            on_path.add(node)
            node = parents[node]
        depth = found.get(node, None if node in parents else known.get(node))
        if depth is None:
            continue
        for step in reversed(path):
            depth += 1
            found[step] = depth
    return found


def trees(
    parents: Mapping[NodeId, NodeId], depth: Mapping[NodeId, int], known: Mapping[NodeId, SessionId]
) -> dict[NodeId, SessionId]:
    """The session in whose tree each node of ``parents`` hangs: that of its root, wherever its calls were filed.

    ``depth`` holds the depth of each, ``known`` the tree of parents outside.
    """
    found: dict[NodeId, SessionId] = {}
    for node in sorted(parents, key=depth.__getitem__):
        parent = parents[node]
        found[node] = found[parent] if parent in found else known[parent]
    return found
