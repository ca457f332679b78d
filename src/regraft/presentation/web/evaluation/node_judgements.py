"""The route of all judgements of one node."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter

from regraft.flows.evaluation import node_judgements as flow
from regraft.presentation.web.answer import JsonReply, Model
from regraft.presentation.web.request import Truth

router = APIRouter(tags=["evaluation"])


class NodeRating(Model):
    """A rating of the path that ends at a node, 1 (worst) to 5 (best); a judge's is the mean of its ``votes``."""

    source: Literal["human", "judge"]
    by: str
    rating: float | None
    categories: list[str]
    note: str
    adjudicates: bool
    at: datetime
    votes: int | None


class NodePreference(Model):
    """How a node's answer compares with another one."""

    source: str
    by: str
    other_node_id: UUID
    outcome: Literal["better", "worse", "equal", "both_bad"]
    note: str
    at: datetime


class NodeFeedback(Model):
    """An outcome that was reported for a run of a node."""

    name: str
    value: float
    comment: str | None
    source: str
    at: datetime


class NodeJudgements(Model):
    """What people, judges and clients say of a node, the latest first."""

    node_id: UUID
    ratings: list[NodeRating]
    preferences: list[NodePreference]
    feedback: list[NodeFeedback]


@router.get("/nodes/{id}/judgements", response_model=NodeJudgements)
def node_judgements(id: str, truth: Truth) -> JsonReply:
    """Ratings, comparisons and reported outcomes of a node."""
    with truth.connection() as connection:
        found = flow.node_judgements(connection, id, truth.scope)
    return JsonReply(
        NodeJudgements(
            node_id=found.node_id,
            ratings=NodeRating.from_rows(found.ratings),
            preferences=NodePreference.from_rows(found.preferences),
            feedback=NodeFeedback.from_rows(found.feedback),
        )
    )
