"""Route of pivots: contexts whose answers came to different ends."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from regraft.flows.evaluation import pivots as flow
from regraft.flows.lineage import reading
from regraft.presentation.web.answer import JsonReply, Model
from regraft.presentation.web.request import Limit, Truth, Workbench, storable

router = APIRouter(tags=["evaluation"])


class Pivot(Model):
    """A context whose answers have different values (0 to 1) by one source. ``node_id`` is the node to replay.

    ``spread`` is the standard deviation of the answers' values, ``error`` the standard error of their ``mean``,
    ``weight`` spread times ``leaves``.
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
    """Contexts whose answers came to different ends, the heaviest first."""
    storable("theme", theme)
    wanted = None
    with truth.connection() as connection:
        if session is not None:
            wanted = reading.session(connection, session, truth.scope)["session_id"]
    found = flow.pivots(workbench, source=source, theme=theme, session=wanted, scope=truth.scope, limit=limit)
    return JsonReply(Pivots(pivots=Pivot.from_rows(found)))
