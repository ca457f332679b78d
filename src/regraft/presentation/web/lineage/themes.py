"""Routes of themes: their figures, and what admins change of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from regraft.domain.errors import UsageError
from regraft.flows import themes as flow
from regraft.flows.themes import ThemeChange
from regraft.presentation.web.answer import FailedReply, JsonReply, Model, fields_of
from regraft.presentation.web.request import Admin, Truth, storable

router = APIRouter(tags=["lineage"])


class ThemeFigures(Model):
    """A theme and what its sessions come to, side calls left out. ``theme_id`` null and ``name`` '': sessions of none.

    ``errors`` and ``replays`` are sessions with some; ``reward`` is the mean of the ``judged`` ones."""

    theme_id: UUID | None
    name: str
    scope: str
    description: str
    created_at: datetime | None
    sessions: int
    turns: int
    errors: int
    replays: int
    judged: int
    reward: float | None
    last_turn_at: datetime | None


class ThemesFigures(Model):
    """Themes by name."""

    themes: list[ThemeFigures]


class ThemeAct(Model):
    """One change: calls that name ``called`` are filed under ``theme``; ``description`` null: it is unchanged."""

    called: str
    theme: str
    description: str | None
    made_by: str
    made_at: datetime


class ThemeActs(Model):
    """What was changed of a theme, the latest first."""

    acts: list[ThemeAct]


class ThemeRequest(BaseModel):
    """What is changed of a theme: its name, which may be that of another one to merge both, or what it is about."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=500)
    description: str | None = Field(None, max_length=4_000)


@fields_of(ThemeChange)
class ChangedTheme(Model):
    """A theme after a change; its id changes with its name. ``sessions``: how many were filed again. ``merged``: there
    was a theme of that name."""


@router.get("/themes/figures", response_model=ThemesFigures)
def theme_figures(truth: Truth) -> JsonReply:
    """Themes with what their sessions come to."""
    with truth.connection() as connection:
        found = flow.theme_figures(connection, truth.scope)
    return JsonReply(ThemesFigures(themes=ThemeFigures.from_rows(found)))


@router.get("/themes/{id}/changes", response_model=ThemeActs)
def theme_changes(
    id: UUID, truth: Truth, limit: Annotated[int, Query(ge=1, le=200, description="Longest list.")] = 100
) -> JsonReply:
    """Who changed what of a theme."""
    with truth.connection() as connection:
        found = flow.theme_history(connection, id, truth.scope, limit)
    return JsonReply(ThemeActs(acts=ThemeAct.from_rows(found)))


@router.post(
    "/themes/{id}",
    response_model=ChangedTheme,
    responses={403: {"model": FailedReply, "description": "This token may not change anything."}},
)
def change_theme(id: UUID, request: Request, admin: Admin, wanted: ThemeRequest) -> JsonReply:
    """Rename, merge or describe a theme. Kept with who did it and when; a merge cannot be taken back."""
    dsn: str = request.app.state.review.dsn
    storable("name", wanted.name)
    storable("description", wanted.description)
    by = admin.name or admin.role
    changed = None
    if wanted.description is not None:
        changed = flow.describe_theme(dsn, id, wanted.description, by, scope=admin.scope)
    if wanted.name is not None:
        changed = flow.rename_theme(dsn, id, wanted.name, by, scope=admin.scope)
    if changed is None:
        raise UsageError("Say what is to change: name, description, or both.")
    return JsonReply(ChangedTheme.from_record(changed))
