"""Routes of the conversation graph: sessions, trees, nodes, and the answers under an anchor."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter

from regraft.flows.lineage import reading
from regraft.presentation.web.answer import JsonReply, Model, StoredJson
from regraft.presentation.web.request import (
    AfterId,
    AfterNumber,
    Limit,
    Scroll,
    Truth,
)

router = APIRouter(tags=["lineage"])


class Theme(Model):
    """A theme that sessions are filed under."""

    theme_id: UUID
    name: str
    scope: str
    description: str
    created_at: datetime
    sessions: int


class Themes(Model):
    """A page of themes by name. ``next`` is the ``after`` of the following page."""

    themes: list[Theme]
    next: UUID | None


class Session(Model):
    """One conversation tree. ``opening`` is the start of its first question; ``purposes`` are those of its
    calls, ``kinds`` those of its branches, ``errors`` its calls that failed."""

    session_id: UUID
    scope: str
    external_id: str | None
    theme: str | None
    root_node_id: UUID
    turns: int
    nodes: int
    started_at: datetime
    last_turn_at: datetime
    build: int
    replays: int
    errors: int
    models: list[str]
    purposes: list[str]
    kinds: list[str]
    reward: float | None
    reward_source: str | None
    lowest_fidelity: float | None
    opening_role: str | None
    opening: str | None


class TreeNode(Model):
    """A node in its tree, with the first run that gave it. ``asked``, ``answer_text`` and ``called``, its tool
    calls, are cut."""

    node_id: UUID
    parent_node_id: UUID | None
    turn_id: UUID | None
    depth: int
    branch_kind: str
    branch_reason: str | None
    variant_config: StoredJson
    node_status: str
    parent_evidence: str | None
    runs: int
    context_anchor_turn_id: UUID | None
    branch_index: int | None
    is_replay: bool | None
    fidelity: float | None
    first_divergence: StoredJson
    model: str | None
    finish_reason: str | None
    tool_calls: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    duration_ms: float | None
    started_at: datetime | None
    reward: float | None
    reward_source: str | None
    asked_role: str | None
    asked: str | None
    answer_text: str | None
    called: str | None


class Tree(Model):
    """A session with a page of its nodes in tree order: a node, then all nodes below it; siblings by time.

    ``next`` is the ``after`` of the following page.
    """

    session: Session
    nodes: list[TreeNode]
    next: UUID | None


class PathStep(Model):
    """A node on the path from the root."""

    node_id: UUID
    depth: int
    branch_kind: str


class ChildNode(PathStep):
    """A node directly below another."""

    node_status: str
    runs: int
    model: str
    started_at: datetime


class AnsweredRun(Model):
    """What a run asked a model for, and the answer."""

    branch_index: int | None
    same_context: bool | None
    same_tools: bool | None
    is_replay: bool | None
    fidelity: float | None
    first_divergence: StoredJson
    model: str
    model_snapshot_id: str | None
    backend: str | None
    run_status: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    duration_ms: float
    tool_calls: int
    sampling: StoredJson
    error: StoredJson
    started_at: datetime
    reward: float | None
    reward_source: str | None
    answer: StoredJson
    answer_text: str | None


class Run(AnsweredRun):
    """One execution that gave a node."""

    run_id: UUID
    event_id: UUID
    purpose: str
    task_key: str | None
    cached_tokens: int | None
    usage: StoredJson
    first_byte_ms: float | None
    variant: StoredJson
    context_anchor_turn_id: UUID | None


class Alternative(AnsweredRun):
    """One of the answers under an anchor."""

    turn_id: UUID
    node_id: UUID
    parent_node_id: UUID | None
    branch_kind: str
    variant_config: StoredJson


class NodeSnapshot(Model):
    """A dataset row that holds a node."""

    snapshot_id: str
    row_id: str
    part: str


class Node(Model):
    """A node: its history, the runs that gave it, and the other answers to the same context.

    ``children``, ``run_records`` and ``siblings`` are the first ones; all are in the tree and under the anchor.
    """

    node_id: UUID
    session_id: UUID
    parent_node_id: UUID | None
    turn_id: UUID | None
    depth: int
    branch_kind: str
    branch_reason: str | None
    variant_config: StoredJson
    node_status: str
    parent_evidence: str | None
    run_count: int
    context_snapshot_id: str | None
    context_anchor_turn_id: UUID | None
    branch_index: int | None
    history: StoredJson
    tools: StoredJson
    path: list[PathStep]
    children: list[ChildNode]
    run_records: list[Run]
    siblings: list[Alternative]
    snapshots: list[NodeSnapshot]


class Anchor(Model):
    """A context, and a page of the answers to it. ``next`` is the ``after`` of the following page."""

    context_anchor_turn_id: UUID
    session_id: UUID
    node_id: UUID
    parent_node_id: UUID | None
    context_snapshot_id: str
    history: StoredJson
    alternatives: list[Alternative]
    next: int | None


@router.get("/themes", response_model=Themes)
def themes(truth: Truth, limit: Limit = 200, after: AfterId = None) -> JsonReply:
    """Themes with their numbers of sessions."""
    with truth.connection() as connection:
        found = reading.themes(connection, scope=truth.scope, after=after, limit=limit)
    following = found[-1]["theme_id"] if len(found) == limit else None
    return JsonReply(Themes(themes=Theme.from_rows(found), next=following))


@router.get("/sessions/{id}", response_model=Session)
def session(id: str, truth: Truth) -> JsonReply:
    """One session, by its id, the first digits of it, or the name that its client gave."""
    with truth.connection() as connection:
        return JsonReply(Session.model_validate(reading.session(connection, id, truth.scope)))


@router.get("/sessions/{id}/tree", response_model=Tree)
def tree(id: str, truth: Truth, limit: Scroll = 1000, after: AfterId = None) -> JsonReply:
    """A session's nodes in tree order."""
    with truth.connection() as connection:
        found = reading.tree_page(connection, id, limit, after=after, scope=truth.scope)
    following = found.nodes[-1]["node_id"] if len(found.nodes) == limit else None
    shown = Session.model_validate(found.session)
    return JsonReply(Tree(session=shown, nodes=TreeNode.from_rows(found.nodes), next=following))


@router.get("/nodes/{id}", response_model=Node)
def node(id: str, truth: Truth, limit: Scroll = 1000) -> JsonReply:
    """One node, by its id or the first digits of it."""
    with truth.connection() as connection:
        found = reading.node(connection, id, truth.scope, limit)
    parts = {
        "path": found.path,
        "children": found.children,
        "run_records": found.runs,
        "siblings": found.alternatives,
        "snapshots": found.snapshots,
    }
    return JsonReply(Node.model_validate({**found.node, **parts}))


@router.get("/anchors/{id}", response_model=Anchor)
def anchor(id: str, truth: Truth, limit: Scroll = 1000, after: AfterNumber = None) -> JsonReply:
    """The anchor of a turn, with the history and the answers to it."""
    with truth.connection() as connection:
        found = reading.anchor(connection, id, truth.scope, after=after, limit=limit)
    following = found.alternatives[-1]["branch_index"] if len(found.alternatives) == limit else None
    return JsonReply(Anchor.model_validate({**found.anchor, "alternatives": found.alternatives, "next": following}))
