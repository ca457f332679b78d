"""List sessions: filtered, sorted, a page at a time, with counts by facet. ``scope`` is the tenant; None: all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.lineage.session_filter import FACETS, Direction, SessionFilter, Sort
from regraft.infra.postgres.lineage import session_list as store
from regraft.infra.postgres.pool import Source, reading_from

Row = dict[str, Any]

MOST_COUNTED = 100_000  # sessions; of more a sample is counted
MOST_MESSAGES = 5_000  # that a search looks at


@dataclass(frozen=True, slots=True)
class PageEnd:
    """Where a page ended: the value that was sorted by, and the id."""

    value: datetime | float
    session_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """``sessions``, and the ``end`` that the next page starts after; None: this is the last one. ``cut``: the text of
    the filter is in more messages than were looked at."""

    sessions: list[Row]
    end: PageEnd | None
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacets:
    """How many sessions meet the filter (``total``, of ``every``), and by facet and value how many would with that
    value in the place of what the filter asks of the facet. ``estimated``: counted over a random sample."""

    total: int
    every: int
    estimated: bool
    cut: bool
    facets: dict[str, list[tuple[str, int]]]


def session_page(
    source: Source,
    wanted: SessionFilter,
    *,
    sort: Sort = "recent",
    direction: Direction = "desc",
    after: PageEnd | None = None,
    limit: int = 50,
    scope: str | None = None,
) -> SessionPage:
    """A page of sessions. Sorted by outcome, sessions without one are left out."""
    with reading_from(source) as connection:
        query = store.SessionQuery(connection, wanted, scope, MOST_MESSAGES)
        if after is None:
            found = query.page(sort, direction, limit)
        else:
            found = query.page(sort, direction, limit, after.value, after.session_id)
        sessions = store.rows(connection, [row["session_id"] for row in found])
    last = found[-1] if len(found) == limit else None
    end = PageEnd(last["value"], last["session_id"]) if last else None
    return SessionPage(sessions=sessions, end=end, cut=query.cut)


def first_sessions(
    source: Source,
    wanted: SessionFilter,
    limit: int,
    *,
    sort: Sort = "recent",
    direction: Direction = "desc",
    scope: str | None = None,
) -> list[Row]:
    """The first sessions, read in pages. Sorted by outcome, sessions without one are left out."""
    found: list[Row] = []
    after: PageEnd | None = None
    while len(found) < limit:
        size = min(limit - len(found), 1_000)
        page = session_page(source, wanted, sort=sort, direction=direction, after=after, limit=size, scope=scope)
        found += page.sessions
        after = page.end
        if after is None:
            break
    return found


def every_session(
    source: Source,
    wanted: SessionFilter,
    *,
    sort: Sort = "recent",
    direction: Direction = "desc",
    scope: str | None = None,
    limit: int = 1_000,
) -> Iterator[list[Row]]:
    """All pages, of ``limit`` sessions each."""
    after: PageEnd | None = None
    while True:
        page = session_page(source, wanted, sort=sort, direction=direction, after=after, limit=limit, scope=scope)
        yield page.sessions
        if page.end is None:
            return
        after = page.end


def session_facets(
    source: Source, wanted: SessionFilter, *, scope: str | None = None, most: int = MOST_COUNTED
) -> SessionFacets:
    """Counts by facet, exact up to ``most`` sessions; of more they are estimated from that many."""
    with reading_from(source) as connection:
        query = store.SessionQuery(connection, wanted, scope, MOST_MESSAGES)
        every = store.every(connection, scope)
        share = min(1.0, most / max(every, 1))
        found = query.facets(share)
    counts: dict[str, list[tuple[str, int]]] = {name: [] for name in FACETS}
    total = 0
    for row in found:
        sessions = round(row["sessions"] / share)
        if row["facet"] == "":
            total = sessions
        else:
            counts[row["facet"]].append((row["value"], sessions))
    for values in counts.values():
        values.sort(key=lambda each: (-each[1], each[0]))
    return SessionFacets(total=total, every=every, estimated=every > most, cut=query.cut, facets=counts)
