"""The route that finds anything by an id, a name or words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request

from regraft.flows.finding import Found as FoundRecord
from regraft.flows.finding import find_anything
from regraft.presentation.web.answer import JsonReply, Model, fields_of
from regraft.presentation.web.request import Truth, storable

router = APIRouter(tags=["lineage"])


@fields_of(FoundRecord)
class FoundThing(Model):
    """Something that was found. ``words`` is a node by its question or answer (``name``); ``excerpt`` is of that."""


class FoundThings(Model):
    """What was found: by id, by name, then by words; the best first."""

    found: list[FoundThing]


@router.get("/find", response_model=FoundThings)
def find(
    request: Request,
    truth: Truth,
    q: Annotated[str, Query(max_length=400, description="Digits of an id (four at least), a name, or words.")] = "",
    limit: Annotated[int, Query(ge=1, le=50, description="Most of each kind.")] = 8,
) -> JsonReply:
    """Sessions, nodes, themes and clusters by the digits of their ids, by their names, or by what they say."""
    workbench: Path | None = request.app.state.workbench
    storable("q", q)
    with truth.connection() as connection:
        found = find_anything(connection, q, workbench=workbench, scope=truth.scope, limit=limit)
    return JsonReply(FoundThings(found=[FoundThing.from_record(one) for one in found]))
