"""Routes of what paths came to: pivots, the values of answers, and the categories of paths."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from regraft.flows.evaluation import categories
from regraft.flows.evaluation import pivots as flow
from regraft.flows.evaluation.cluster_reading import own_sessions
from regraft.flows.lineage import reading
from regraft.presentation.web.answer import JsonReply, Model
from regraft.presentation.web.request import Limit, Truth, Workbench, storable

router = APIRouter(tags=["evaluation"])


class Pivot(Model):
    """A context whose answers have different values (0 to 1) by one source. ``node_id`` is the node to replay.

    ``spread`` is the standard deviation of the answers' values, ``error`` the standard error of their ``mean``,
    ``weight`` spread times ``leaves``. ``asked`` and the answers are cut.
    """

    node_id: UUID
    anchor_turn_id: UUID
    session_id: UUID
    theme: str
    source: str
    answers: int
    leaves: int
    mean: float
    spread: float
    error: float
    weight: float
    best: UUID
    highest: float
    worst: UUID
    lowest: float
    asked: str | None
    best_answer: str | None
    best_model: str | None
    worst_answer: str | None
    worst_model: str | None


class Pivots(Model):
    """The heaviest pivots, as they were last found."""

    pivots: list[Pivot]


@router.get("/pivots", response_model=Pivots)
def pivots(
    truth: Truth,
    workbench: Workbench,
    limit: Limit = 50,
    source: Annotated[
        Literal["human", "outcome", "judge"] | None,
        Query(description="Only by people's judgements, by measured outcomes, or by models' judgements."),
    ] = None,
    theme: Annotated[str | None, Query(description="Only of this theme.")] = None,
    session: Annotated[str | None, Query(description="Only of this session.")] = None,
) -> JsonReply:
    """Contexts whose answers led to different outcomes, the heaviest first."""
    storable("theme", theme)
    wanted = None
    with truth.connection() as connection:
        if session is not None:
            wanted = reading.session(connection, session, truth.scope)["session_id"]
        found = flow.described_pivots(
            connection, workbench, by=source, theme=theme, session=wanted, scope=truth.scope, limit=limit
        )
    return JsonReply(Pivots(pivots=Pivot.from_rows(found)))


class AnswerValue(Model):
    """The value of an answer under a pivot by one source: the mean of what its ``leaves`` came to, 0 to 1.

    ``spread`` and ``weight`` are of the pivot that the node is to be replayed for; null: it is another answer's.
    """

    node_id: UUID
    source: str
    mean: float | None
    leaves: int
    spread: float | None
    weight: float | None


class AnswerValues(Model):
    """The values of the answers under a session's pivots, as they were last found."""

    values: list[AnswerValue]


class CategoryLabel(Model):
    """What one maker says of a path and a category. ``layer``: rules, model, learned or human. ``standing`` of a judge:
    ``calibrated``, or ``uncalibrated`` with the reason; '' of others."""

    category: str
    layer: str
    maker: str
    version: str
    value: float | None
    decided: bool
    confidence: float
    votes: int
    unparseable: int
    evidence: list[str]
    model_snapshot: str | None
    standing: str


class CategoryLabels(Model):
    """Judgements of the path that ends at a node; none where no path ends."""

    node_id: UUID
    labels: list[CategoryLabel]


class CategoryMaker(Model):
    """What one maker says of a category: how many labels, and of how many paths that it holds."""

    category: str
    layer: str
    maker: str
    version: str
    labels: int
    decided: int
    unreadable: int
    standing: str


class Categories(Model):
    """The categories that paths have labels of, by who says so."""

    categories: list[CategoryMaker]


@router.get("/categories", response_model=Categories)
def every_category(truth: Truth, workbench: Workbench) -> JsonReply:
    """Categories with their labels by layer and maker, as they were last found."""
    with truth.connection() as connection:
        own = own_sessions(connection, truth.scope)
    return JsonReply(Categories(categories=CategoryMaker.from_rows(categories.by_category(workbench, own))))


@router.get("/sessions/{id}/values", response_model=AnswerValues)
def values(id: str, truth: Truth, workbench: Workbench) -> JsonReply:
    """The values of the answers under a session's pivots, propagated up from the leaves."""
    with truth.connection() as connection:
        session: UUID = reading.session(connection, id, truth.scope)["session_id"]
    found = []
    for node, sources in flow.values_in_tree(workbench, session).items():
        for source, value in sources.items():
            pivot = value["pivot"] or {"spread": None, "weight": None}
            same = {"mean": value["mean"], "leaves": value["leaves"], "spread": pivot["spread"]}
            found.append(AnswerValue(node_id=node, source=source, weight=pivot["weight"], **same))
    return JsonReply(AnswerValues(values=found))


@router.get("/nodes/{id}/categories", response_model=CategoryLabels)
def node_categories(id: str, truth: Truth, workbench: Workbench) -> JsonReply:
    """What rules, judges, the learned labeller and people say of the path that ends at a node, as it was last found."""
    with truth.connection() as connection:
        node = reading.node_id(connection, id, truth.scope)
    found = [{**row, "evidence": list(map(str, row["evidence"]))} for row in categories.labels(workbench, unit=node)]
    return JsonReply(CategoryLabels(node_id=node, labels=CategoryLabel.from_rows(found)))
