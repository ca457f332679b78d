"""Routes of who uses the page: sign in with a token, sign out, and who is signed in."""

from __future__ import annotations

import getpass
import math
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from regraft.flows.access import Grant, Role
from regraft.flows.browser_sessions import BrowserSessions, csrf_value
from regraft.presentation.web.answer import FailedReply, JsonReply, Model
from regraft.presentation.web.failed_attempts import FailedAttempts
from regraft.presentation.web.session_cookie import SessionCookie

router = APIRouter(tags=["access"])

_WRONG = "This token is not valid. `regraft open` signs in with the owner's, `regraft web-token create` makes others."


class SignInRequest(BaseModel):
    """The token to sign in with."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=500)


class Me(Model):
    """Who uses the page. A viewer reads, a reviewer also judges, an admin also changes the rest.

    ``scope`` is the tenant whose data are shown, null: all. ``csrf`` is for the header `X-Regraft-Csrf` of each request
    that changes something; it is empty where no browser is signed in.
    """

    name: str | None
    role: Role
    scope: str | None
    signed_in: bool
    csrf: str


class SignedOut(Model):
    """End the browser's session."""

    signed_in: bool = False


async def _sessions(request: Request) -> BrowserSessions:
    sessions: BrowserSessions = request.app.state.sessions
    return sessions


async def _failed(request: Request) -> FailedAttempts:
    failed: FailedAttempts = request.app.state.failed_sign_ins
    return failed


async def _cookie(request: Request) -> SessionCookie:
    return SessionCookie(request.scope, https=request.app.state.session_policy.https)


Sessions = Annotated[BrowserSessions, Depends(_sessions)]
Failed = Annotated[FailedAttempts, Depends(_failed)]
Cookie = Annotated[SessionCookie, Depends(_cookie)]


@router.post(
    "/sign-in",
    response_model=Me,
    responses={
        403: {"model": FailedReply, "description": "The header X-Regraft-Csrf is missing."},
        429: {"model": FailedReply, "description": "Too many failed sign-ins."},
    },
)
async def sign_in(
    request: Request, sessions: Sessions, failed: Failed, cookie: Cookie, given: SignInRequest
) -> JsonReply:
    """Sign this browser in with a token: it gets a cookie. The header `X-Regraft-Csrf` must be there, of any value."""
    client = request.client.host if request.client else ""
    if wait := failed.wait(client, time.monotonic()):
        seconds = str(math.ceil(wait))
        raise HTTPException(429, f"Too many failed sign-ins: try again in {seconds} s.", {"Retry-After": seconds})
    signed_in = await run_in_threadpool(sessions.sign_in, given.token.strip())
    if signed_in is None:
        failed.add(client, time.monotonic())
        raise HTTPException(401, _WRONG)
    if former := cookie.value():
        await run_in_threadpool(sessions.sign_out, former)
    reply = JsonReply(_me(signed_in.grant, csrf_value(signed_in.cookie)))
    cookie.set(reply, signed_in.cookie)
    return reply


@router.post("/sign-out", response_model=SignedOut)
async def sign_out(request: Request, sessions: Sessions, cookie: Cookie) -> JsonReply:
    """Sign this browser out. Its cookie opens nothing any more, in whatever hands it is."""
    if request.state.cookie:
        await run_in_threadpool(sessions.sign_out, request.state.cookie)
    reply = JsonReply(SignedOut())
    cookie.clear(reply)
    return reply


@router.get("/me", response_model=Me)
async def me(request: Request) -> JsonReply:
    """Who uses the page, and what they may do."""
    return JsonReply(_me(request.state.grant, request.state.csrf))


def _me(grant: Grant, csrf: str) -> Me:
    name = None if grant.anonymous else grant.name or server_user()
    return Me(name=name, role=grant.role, scope=grant.scope, signed_in=bool(csrf), csrf=csrf)


def server_user() -> str:
    """The user who runs the server: who acts with a token without a name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "reviewer"
