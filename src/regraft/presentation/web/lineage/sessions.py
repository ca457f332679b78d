"""Routes of the list of sessions: pages, counts by facet, and all of it as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from starlette.responses import StreamingResponse

from regraft.domain.errors import UsageError
from regraft.domain.lineage.session_filter import Direction, SessionFilter, Sort
from regraft.flows.lineage import session_list as flow
from regraft.flows.lineage.session_list import SessionFacets
from regraft.presentation.web.answer import JsonReply, Model, encode, fields_of
from regraft.presentation.web.lineage.graph import Session
from regraft.presentation.web.request import Before, Limit, Truth, page_start, storable

router = APIRouter(tags=["lineage"])

_COLUMNS = (
    *("session_id", "external_id", "theme", "opening", "turns", "nodes", "replays", "errors", "reward"),
    *("reward_source", "models", "purposes", "kinds", "started_at", "last_turn_at", "scope"),
)


class Sessions(Model):
    """A page of sessions. ``next`` is the ``before`` of the following page. ``cut``: the text is in more messages than
    a search looks at."""

    sessions: list[Session]
    next: str | None
    cut: bool


class FacetValue(Model):
    """A value that sessions can be narrowed down to, and how many sessions there would be."""

    value: str
    sessions: int


class Facet(Model):
    """The values of a facet, the most frequent first. Of ``theme`` '' is none; ``outcome`` is low (to 0.25), middle,
    high (from 0.75) or none."""

    name: str
    values: list[FacetValue]


@fields_of(SessionFacets)
class Facets(Model):
    """How many sessions meet the filter (``total``, of ``every``), and what exists to choose. ``estimated``: counted
    over a random sample, because there are too many sessions."""

    facets: list[Facet]


def _wanted(
    theme: Annotated[list[str] | None, Query(description="Only of one of these themes; empty: of none.")] = None,
    model: Annotated[list[str] | None, Query(description="Only with a call of one of these models.")] = None,
    purpose: Annotated[list[str] | None, Query(description="Only with a call for one of these purposes.")] = None,
    kind: Annotated[list[str] | None, Query(description="Only with a branch of one of these kinds.")] = None,
    side: Annotated[
        bool | None, Query(description="Only clients' side calls (titles, probes), or only others.")
    ] = None,
    errors: Annotated[bool | None, Query(description="Only with a call that failed, or only without.")] = None,
    replays: Annotated[bool | None, Query(description="Only with replays, or only without.")] = None,
    judged: Annotated[bool | None, Query(description="Only with an outcome, or only without.")] = None,
    least: Annotated[float | None, Query(allow_inf_nan=False, description="Least outcome.")] = None,
    most: Annotated[float | None, Query(allow_inf_nan=False, description="Greatest outcome.")] = None,
    since: Annotated[datetime | None, Query(description="Last turn at this time or after.")] = None,
    until: Annotated[datetime | None, Query(description="Last turn before this time.")] = None,
    text: Annotated[
        str, Query(max_length=1000, description="Words of an answer or a question, read like a web search.")
    ] = "",
) -> SessionFilter:
    lists = {"theme": theme, "model": model, "purpose": purpose, "kind": kind}
    for name, values in lists.items():
        for value in values or ():
            storable(name, value)
    storable("text", text)
    return SessionFilter(
        themes=tuple(theme or ()),
        models=tuple(model or ()),
        purposes=tuple(purpose or ()),
        kinds=tuple(kind or ()),
        side=side,
        errors=errors,
        replays=replays,
        judged=judged,
        least=least,
        most=most,
        since=since,
        until=until,
        text=text,
    )


Wanted = Annotated[SessionFilter, Depends(_wanted)]
Sorted = Annotated[Sort, Query(description="What the list is sorted by; by reward, only sessions with an outcome.")]
Order = Annotated[Direction, Query(description="The largest first (desc), or the smallest.")]


@router.get("/sessions", response_model=Sessions)
def sessions(
    truth: Truth,
    wanted: Wanted,
    sort: Sorted = "recent",
    order: Order = "desc",
    limit: Limit = 50,
    before: Before = None,
) -> JsonReply:
    """Sessions, the most recent first unless sorted otherwise."""
    after = _after(sort, before)
    with truth.connection() as connection:
        page = flow.session_page(
            connection, wanted, sort=sort, direction=order, after=after, limit=limit, scope=truth.scope
        )
    following = _end(page.end) if page.end else None
    return JsonReply(Sessions(sessions=Session.from_rows(page.sessions), next=following, cut=page.cut))


@router.get("/sessions/facets", response_model=Facets)
def session_facets(truth: Truth, wanted: Wanted) -> JsonReply:
    """Counts of sessions by what they can be narrowed down to; a facet's own choice is left aside in its counts."""
    with truth.connection() as connection:
        found = flow.session_facets(connection, wanted, scope=truth.scope)
    shown = [
        Facet(name=name, values=[FacetValue(value=value, sessions=sessions) for value, sessions in values])
        for name, values in found.facets.items()
    ]
    counts = {"total": found.total, "every": found.every, "estimated": found.estimated, "cut": found.cut}
    return JsonReply(Facets(facets=shown, **counts))


@router.get(
    "/sessions/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "The file."}},
)
def export_sessions(
    truth: Truth,
    wanted: Wanted,
    sort: Sorted = "recent",
    order: Order = "desc",
    form: Annotated[Literal["csv", "jsonl"], Query(description="Form of the file.")] = "jsonl",
) -> StreamingResponse:
    """All sessions of the list, as CSV or JSON lines."""

    def pages() -> Iterator[list[Session]]:
        with truth.connection() as connection:
            every = flow.every_session(connection, wanted, sort=sort, direction=order, scope=truth.scope)
            with closing(every):  # type: ignore[type-var]
                for page in every:
                    yield Session.from_rows(page)

    kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
    lines = _csv(pages()) if form == "csv" else (b"".join(encode(one) + b"\n" for one in page) for page in pages())
    name = {"Content-Disposition": f'attachment; filename="sessions.{form}"'}
    return StreamingResponse(lines, media_type=kind, headers=name)


def _csv(pages: Iterator[list[Session]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for page in pages:
        for one in page:
            writer.writerow([_cell(getattr(one, name)) for name in _COLUMNS])
        yield text.getvalue().encode("utf-8", "replace")
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    """A cell. A spreadsheet must not take a text for a formula."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def _after(sort: Sort, before: str | None) -> flow.PageEnd | None:
    """Where a page begins. Raises UsageError."""
    if before is None:
        return None
    if sort in ("recent", "started"):
        at, identity = page_start(before)
        return flow.PageEnd(at, identity or UUID(int=0)) if at else None
    value, _, last = before.partition(",")
    try:
        number = float(value) if sort == "reward" else int(value)
        if not -(2**31) <= number < 2**31:
            raise ValueError
        return flow.PageEnd(number, UUID(last))
    except ValueError:
        raise UsageError("before is the `next` of an earlier page of the same sort.") from None


def _end(end: flow.PageEnd) -> str:
    value = end.value.isoformat() if isinstance(end.value, datetime) else repr(end.value)
    return f"{value},{end.session_id}"
