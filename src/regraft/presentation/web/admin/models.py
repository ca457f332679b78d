"""What the routes of administrators take and answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from regraft.flows.access import Role
from regraft.flows.administration import UpstreamHealth
from regraft.flows.capture.quarantine import RetryCounts
from regraft.presentation.web.answer import Model, fields_of


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewKey(_Body):
    """A key to make. ``models`` are globs; limits of 0 are none. Without a ``scope`` it is the administrator's."""

    name: str = Field(min_length=1, max_length=200)
    scope: str | None = Field(None, max_length=200)
    models: list[str] = Field(["*"], max_length=100)
    per_minute: int = Field(0, ge=0, le=10**6)
    max_concurrency: int = Field(0, ge=0, le=10**6)


class Key(Model):
    """A key of the gateway, without its secret."""

    id: str
    name: str
    scope: str
    models: list[str]
    paths: list[str]
    per_minute: int
    max_concurrency: int
    created_at: datetime | None
    revoked_at: datetime | None


class Keys(Model):
    """Keys, the newest first. ``needed``: the gateway refuses calls without one."""

    keys: list[Key]
    needed: bool


class MadeKey(Model):
    """A new key. Its ``secret`` is shown only here."""

    key: Key
    secret: str


class NewToken(_Body):
    """A token to make. Without a ``scope`` it is of the administrator's tenant, or of all."""

    name: str = Field(min_length=1, max_length=200)
    scope: str | None = Field(None, max_length=200)
    role: Role = "viewer"


class Token(Model):
    """A token of the web UI, without its secret. ``browsers`` are signed in with it."""

    id: str
    name: str
    scope: str | None
    role: Role
    created_at: datetime | None
    revoked_at: datetime | None
    browsers: int
    last_used_at: datetime | None


class Tokens(Model):
    """Tokens, the newest first. ``owner_browsers`` are signed in with the owner's, which is in no list."""

    tokens: list[Token]
    owner_browsers: int


class MadeToken(Model):
    """A new token. Its ``secret`` is shown only here."""

    token: Token
    secret: str


class Figures(Model):
    """The calls of the last hour. Times are in milliseconds, of answers that came whole."""

    calls: int
    errors: int
    cut: int
    limited: int
    retried: int
    median_ms: float | None
    p95_ms: float | None
    median_first_byte_ms: float | None
    last_at: datetime | None
    last_error_at: datetime | None


class Upstream(Model):
    """A model server. ``state`` is `unknown` where it was not asked; ``problem`` says why it does not answer."""

    name: str
    base_url: str
    serves: list[str]
    state: Literal["answers", "fails", "unknown"]
    problem: str
    answered_ms: float | None
    models: list[str]
    figures: Figures | None

    @classmethod
    def of(cls, health: UpstreamHealth) -> Upstream:
        """The model of a server's health."""
        answer = health.answer
        return cls(
            name=health.name,
            base_url=health.base_url,
            serves=list(health.models),
            state="unknown" if answer is None else "fails" if answer.problem else "answers",
            problem=answer.problem if answer else "",
            answered_ms=answer.milliseconds if answer else None,
            models=list(answer.models) if answer else [],
            figures=Figures.from_record(health.figures) if health.figures else None,
        )


class Upstreams(Model):
    """Model servers, those of the settings first. Without any, the local model answers."""

    upstreams: list[Upstream]


class QuarantinedCall(Model):
    """A captured call that could not be read, or that waits for another one. ``bytes`` is its size."""

    event_id: UUID
    reason: str
    waits_for: str | None
    received_at: datetime
    tries: int
    next_try_at: datetime | None
    bytes: int
    dismissed_because: str | None


class Quarantine(Model):
    """Calls in quarantine, the latest first, and how many there are by reason."""

    calls: list[QuarantinedCall]
    reasons: dict[str, int]


class Dismissal(_Body):
    """Calls that need no more attention, by id, and why. Without ``calls``: all that cannot be read."""

    calls: list[UUID] | None = Field(None, min_length=1, max_length=1000)
    because: str = Field(min_length=1, max_length=2000)


class Dismissed(Model):
    """How many calls were dismissed."""

    dismissed: int


class Retry(_Body):
    """``everything``: also calls that could not be read. ``place``: calls that wait are placed by their opening."""

    everything: bool = False
    place: bool = False


@fields_of(RetryCounts)
class Retried(Model):
    """What a retry did; ``left`` is what is still in quarantine."""


def moment(seconds: int | None) -> datetime | None:
    """Unix seconds as a time."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def key_of(key: Any) -> Key:
    """The model of a stored key."""
    return Key(
        id=key.key_id,
        name=key.name,
        scope=key.scope,
        models=list(key.models),
        paths=list(key.paths),
        per_minute=key.per_minute,
        max_concurrency=key.max_concurrency,
        created_at=moment(key.created),
        revoked_at=moment(key.revoked),
    )


def token_of(token: Any, browsers: Any = None) -> Token:
    """The model of a stored token, with the browsers that are signed in with it."""
    return Token(
        id=token.key_id,
        name=token.name,
        scope=token.scope,
        role=token.role,
        created_at=moment(token.created),
        revoked_at=moment(token.revoked),
        browsers=browsers.browsers if browsers else 0,
        last_used_at=browsers.last_used_at if browsers else None,
    )
