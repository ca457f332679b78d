"""Browsers that are signed in to the web UI, in PostgreSQL: by digests, so that a copy of the table opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

LONGEST = timedelta(days=30)  # from a sign-in to the next one

_SQL = queries("postgres/browser_sessions")


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A session that has not expired. ``is_stale``: its last use should be noted again."""

    token_id: str
    token_proof: bytes
    is_stale: bool


@dataclass(frozen=True, slots=True)
class SignedInBrowsers:
    """Browsers that are signed in with one token."""

    token_id: str
    browsers: int
    last_used_at: datetime


def add_session(connection: Connection, digest: bytes, token_id: str, proof: bytes, idle: timedelta) -> None:
    """Note a new session, which lasts for ``idle`` if it is not used. Forgets those that are over."""
    connection.execute(_SQL["forget_expired"])
    given = {"digest": digest, "token_id": token_id, "proof": proof, "idle": idle}
    connection.execute(_SQL["add"], given)


def find_session(connection: Connection, digest: bytes) -> BrowserSession | None:
    """The session of a cookie with this digest; None where there is none, or it has expired."""
    row = connection.execute(_SQL["find"], {"digest": digest}).fetchone()
    return BrowserSession(row["token_id"], bytes(row["token_proof"]), row["is_stale"]) if row else None


def touch_session(connection: Connection, digest: bytes, idle: timedelta) -> None:
    """A session was used: it lasts for ``idle`` from now, and at most ``LONGEST`` from its sign-in."""
    connection.execute(_SQL["touch"], {"digest": digest, "idle": idle, "longest": LONGEST})


def end_session(connection: Connection, digest: bytes) -> None:
    """End a session, if there is one."""
    connection.execute(_SQL["end"], {"digest": digest})


def end_sessions_of(connection: Connection, token_id: str) -> None:
    """End all sessions of a token."""
    connection.execute(_SQL["end_of_token"], {"token_id": token_id})


def sessions_by_token(connection: Connection) -> list[SignedInBrowsers]:
    """How many browsers are signed in with each token."""
    return [SignedInBrowsers(**row) for row in connection.execute(_SQL["by_token"]).fetchall()]
