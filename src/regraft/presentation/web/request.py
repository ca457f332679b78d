"""What the routes take: the reader, and the parameters of a query."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from regraft.domain.errors import UnavailableError, UsageError
from regraft.flows.access import Grant
from regraft.flows.datasets.service import DatasetService
from regraft.flows.reader import Reader, ScopedReader

LONGEST_PAGE = 200
LONGEST_SCROLL = 5000


async def _reader(request: Request) -> Reader:
    reader: Reader = request.app.state.reader
    return reader


async def _scoped_reader(request: Request) -> ScopedReader:
    return ScopedReader(request.app.state.reader, request.state.grant)


async def _workbench(request: Request) -> Path:
    workbench: Path | None = request.app.state.workbench
    if workbench is None:
        raise UnavailableError("This server was started without a workbench.")
    return workbench


async def _admin(request: Request) -> Grant:
    grant: Grant = request.state.grant
    grant.require("admin")
    return grant


async def _datasets(request: Request) -> DatasetService:
    service: DatasetService | None = request.app.state.datasets
    if service is None:
        raise UnavailableError("This server was started without a warehouse of datasets.")
    return service


Datasets = Annotated[DatasetService, Depends(_datasets)]  # every call says whose, by the scope of `Truth`
Admin = Annotated[Grant, Depends(_admin)]  # of those who may change what is not a judgement
Database = Annotated[Reader, Depends(_reader)]  # to see whether it answers, never what is in it
Truth = Annotated[ScopedReader, Depends(_scoped_reader)]
Workbench = Annotated[Path, Depends(_workbench)]  # of all tenants: what is read of it is filtered by `Truth.scope`
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Longest page.")]
Scroll = Annotated[int, Query(ge=1, le=LONGEST_SCROLL, description="Longest page.")]  # of rows that are small
Before = Annotated[str | None, Query(description="`next` of an earlier page, or an ISO 8601 time.")]
AfterNumber = Annotated[int | None, Query(ge=0, le=2**31 - 1, description="`next` of an earlier page.")]
AfterId = Annotated[UUID | None, Query(description="`next` of an earlier page.")]


def page_start(before: str | None) -> tuple[datetime | None, UUID | None]:
    """The time and the id that ``before`` holds: the ``next`` of an earlier page, or any ISO 8601 time."""
    if before is None:
        return None, None
    moment, _, identity = before.replace(" ", "+").partition(",")  # an unescaped + arrives as a blank
    try:
        at = datetime.fromisoformat(moment)
        return at if at.tzinfo else at.replace(tzinfo=UTC), UUID(identity) if identity else None
    except ValueError:
        raise UsageError("before is the `next` of an earlier page, or a time such as 2026-01-31T12:00:00Z.") from None


def page_end(at: datetime, identity: UUID) -> str:
    """The ``before`` of the page that begins after a row of this time and id."""
    return f"{at.astimezone(UTC).isoformat()},{identity}"


def storable(name: str, text: str | None) -> str | None:
    """The text of a parameter. Raises UsageError for characters that PostgreSQL cannot hold."""
    if text is not None and ("\0" in text or re.search("[\ud800-\udfff]", text)):
        raise UsageError(f"{name} must not contain NUL or lone surrogates.")
    return text
