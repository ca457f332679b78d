"""Who asks for something of the review queue: their desk, and whether they may judge."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Request

from regraft.domain.errors import ForbiddenError, UsageError
from regraft.flows.evaluation.desk import ReviewDesk
from regraft.flows.evaluation.review_service import ReviewService
from regraft.presentation.web.answer import FailedReply
from regraft.presentation.web.request import storable
from regraft.presentation.web.sign_in import server_user

RESPONSES: dict[int | str, dict[str, Any]] = {
    403: {"model": FailedReply, "description": "This token may not judge, or not under that name."},
    409: {"model": FailedReply, "description": "What happened meanwhile contradicts the request."},
    413: {"model": FailedReply, "description": "The body is too long."},
}


async def _service(request: Request) -> ReviewService:
    service: ReviewService = request.app.state.review
    return service


Service = Annotated[ReviewService, Depends(_service)]
Named = Annotated[
    str | None,
    Header(
        alias="X-Regraft-Reviewer",
        max_length=200,
        description="Reviewer, for a token without a name; the user who runs the server if not given.",
    ),
]


def _reader_desk(request: Request, service: Service, named: Named = None) -> ReviewDesk:
    """The desk of the reviewer who asks, read only."""
    grant = request.state.grant
    if not grant.holds():
        raise UsageError("This token is no longer valid. Ask for a new one.")
    name = storable("X-Regraft-Reviewer", named)
    if grant.name is not None and name not in (None, grant.name):
        raise ForbiddenError(f"This token judges as {grant.name}.")
    return service.desk(grant.name or name or server_user(), grant.scope)


def _desk(request: Request, desk: Annotated[ReviewDesk, Depends(_reader_desk)]) -> ReviewDesk:
    """The desk of a reviewer."""
    request.state.grant.require("reviewer")
    return desk


Reading = Annotated[ReviewDesk, Depends(_reader_desk)]
Desk = Annotated[ReviewDesk, Depends(_desk)]
