"""Routes of administrators: keys of the gateway, tokens, model servers, and the quarantine."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from regraft.flows.access import OWNER
from regraft.flows.administration import Administration, require_setup
from regraft.flows.capture import quarantine as calls
from regraft.presentation.web.admin.models import (
    Dismissal,
    Dismissed,
    Key,
    Keys,
    MadeKey,
    MadeToken,
    NewKey,
    NewToken,
    Quarantine,
    QuarantinedCall,
    Retried,
    Retry,
    Token,
    Tokens,
    Upstream,
    Upstreams,
    key_of,
    token_of,
)
from regraft.presentation.web.answer import FailedReply, JsonReply
from regraft.presentation.web.request import Admin, Limit, Truth, storable

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    responses={403: {"model": FailedReply, "description": "This token does not administer, or not this tenant."}},
)


def _administration(request: Request, admin: Admin) -> Administration:
    return Administration(request.app.state.dsn, require_setup(request.app.state.admin), admin.scope)


def _whole(request: Request, admin: Admin) -> Administration:
    found = _administration(request, admin)
    found.require_all()
    return found


Administering = Annotated[Administration, Depends(_administration)]
Whole = Annotated[Administration, Depends(_whole)]  # of all tenants


@router.get("/keys", response_model=Keys)
def gateway_keys(administration: Administering) -> JsonReply:
    """Keys of the gateway, the newest first. Secrets are never shown."""
    keys = [key_of(key) for key in administration.gateway_keys()]
    return JsonReply(Keys(keys=keys, needed=administration.setup.needs_keys))


@router.post("/keys", response_model=MadeKey)
def create_gateway_key(administration: Administering, wanted: NewKey) -> JsonReply:
    """Make a key. Its secret is shown only in this answer."""
    name, scope = storable("name", wanted.name) or "", storable("scope", wanted.scope)
    made = administration.create_key(name, scope, tuple(wanted.models), wanted.per_minute, wanted.max_concurrency)
    return JsonReply(MadeKey(key=key_of(made[0]), secret=made[1]))


@router.post("/keys/{id}/revoke", response_model=Key)
def revoke_gateway_key(id: str, administration: Administering) -> JsonReply:
    """Revoke a key. Running gateways refuse it within two seconds."""
    return JsonReply(key_of(administration.revoke_key(id)))


@router.get("/tokens", response_model=Tokens)
def web_tokens(administration: Administering, truth: Truth) -> JsonReply:
    """Tokens of the web UI, the newest first, with the browsers that are signed in. Secrets are never shown."""
    with truth.connection() as connection:
        browsers = administration.browsers(connection)
    tokens = [token_of(token, browsers.get(token.key_id)) for token in administration.web_tokens()]
    owner = browsers.get(OWNER)
    return JsonReply(Tokens(tokens=tokens, owner_browsers=owner.browsers if owner else 0))


@router.post("/tokens", response_model=MadeToken)
def create_web_token(administration: Administering, wanted: NewToken) -> JsonReply:
    """Make a token. Its secret is shown only in this answer. From the first one on, every request needs one."""
    name, scope = storable("name", wanted.name) or "", storable("scope", wanted.scope)
    token, secret = administration.create_token(name, scope, wanted.role)
    return JsonReply(MadeToken(token=token_of(token), secret=secret))


@router.post("/tokens/{id}/revoke", response_model=Token)
def revoke_web_token(id: str, administration: Administering) -> JsonReply:
    """Revoke a token, and sign out the browsers that were signed in with it."""
    return JsonReply(token_of(administration.revoke_token(id)))


@router.get("/upstreams", response_model=Upstreams)
def upstream_health(
    administration: Administering,
    truth: Truth,
    ask: Annotated[bool, Query(description="Ask each server for its models now.")] = False,
) -> JsonReply:
    """Model servers: whether they answer, and their calls of the last hour."""
    with truth.connection() as connection:
        figures = administration.figures(connection)
    found = administration.upstreams(figures, asking=ask)
    return JsonReply(Upstreams(upstreams=[Upstream.of(each) for each in found]))


@router.get("/quarantine", response_model=Quarantine)
def quarantined_calls(
    request: Request, administration: Whole, limit: Limit = 100, waiting: bool = False, dismissed: bool = False
) -> JsonReply:
    """Captured calls that could not be read, or that wait for another. Their content is never shown."""
    rows = calls.contents(request.app.state.dsn, limit, waiting=waiting, dismissed=dismissed)
    reasons = calls.reasons(request.app.state.dsn)
    return JsonReply(Quarantine(calls=QuarantinedCall.from_rows(rows), reasons=reasons))


@router.post("/quarantine/dismiss", response_model=Dismissed)
def dismiss_quarantined_calls(request: Request, administration: Whole, wanted: Dismissal) -> JsonReply:
    """Count calls that cannot be read no longer, with a reason. They stay stored."""
    chosen = None if wanted.calls is None else [str(call) for call in wanted.calls]
    because = storable("because", wanted.because) or ""
    return JsonReply(Dismissed(dismissed=calls.dismiss(request.app.state.dsn, chosen, because)))


@router.post("/quarantine/retry", response_model=Retried)
def retry_quarantined_calls(request: Request, administration: Whole, wanted: Retry) -> JsonReply:
    """Read calls in quarantine again: those that wait, and the others too if asked."""
    setup = administration.setup
    patience = timedelta(0) if wanted.place else setup.patience
    done = calls.retry(request.app.state.dsn, patience=patience, everything=wanted.everything, table=setup.table)
    return JsonReply(Retried.model_validate(asdict(done)))
