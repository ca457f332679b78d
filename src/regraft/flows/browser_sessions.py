"""Browsers that are signed in: a random cookie each, which represents a token for as long as that is valid."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from regraft.flows.access import AccessControl, Grant, KnownToken
from regraft.infra.postgres.browser_sessions import (
    LONGEST,
    BrowserSession,
    add_session,
    end_session,
    find_session,
    touch_session,
)
from regraft.infra.postgres.client_pool import WritePool

MAX_AGE = int(LONGEST.total_seconds())  # seconds that a browser keeps the cookie

_LOOK_SECONDS = 1.0  # a session that another process ended is used for so long at most
_MOST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser that has just signed in: the ``cookie`` to keep, and what it may do."""

    cookie: str
    grant: Grant


class BrowserSessions:
    """Sessions in the database ``dsn``, of the tokens that ``access`` knows."""

    def __init__(self, dsn: str, access: AccessControl) -> None:
        self._access = access
        self._pool = WritePool(dsn, "regraft-web-sessions")
        self._seen: dict[bytes, tuple[float, BrowserSession | None]] = {}

    def sign_in(self, token: str) -> SignedIn | None:
        """A new session for a valid token, else None.

        Raises UnavailableError or ConfigError when tokens cannot be checked or the session cannot be stored.
        """
        known = self._access.find(token)
        if known is None:
            return None
        cookie = secrets.token_urlsafe(32)
        with self._pool.connection() as connection:
            digest, proof = _digest(cookie), _proof(cookie, known)
            add_session(connection, digest, known.token_id, proof, self._access.sessions.idle)
        return SignedIn(cookie, self._grant(cookie, known))

    def grant(self, cookie: str) -> Grant | None:
        """The rights of a browser with this cookie; None: it is not signed in any more. Raises as ``sign_in`` does."""
        known = self._token_of(cookie)
        return self._grant(cookie, known) if known else None

    def sign_out(self, cookie: str) -> None:
        """End a session, if there is one."""
        digest = _digest(cookie)
        with self._pool.connection() as connection:
            end_session(connection, digest)
        self._seen.pop(digest, None)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def _grant(self, cookie: str, known: KnownToken) -> Grant:
        return self._access.grant_of(known, lambda: self._token_of(cookie) == known)

    def _token_of(self, cookie: str) -> KnownToken | None:
        """The token that a session represents, if both are valid and it is the one that was shown at the sign-in."""
        session = self._find(_digest(cookie))
        known = self._access.current(session.token_id) if session else None
        if session is None or known is None or not hmac.compare_digest(session.token_proof, _proof(cookie, known)):
            return None
        return known

    def _find(self, digest: bytes) -> BrowserSession | None:
        looked, found = self._seen.get(digest, (-_LOOK_SECONDS, None))
        now = time.monotonic()
        if now - looked < _LOOK_SECONDS:
            return found
        with self._pool.connection() as connection:
            found = find_session(connection, digest)
            if found and found.is_stale:
                touch_session(connection, digest, self._access.sessions.idle)
        if len(self._seen) >= _MOST_KEPT:
            self._seen.clear()
        if found:
            self._seen[digest] = (now, found)
        return found


def csrf_value(cookie: str) -> str:
    """The value that a page sends with each request that changes something: only a page that received it has it."""
    return hashlib.blake2b(cookie.encode(), digest_size=24, person=b"regraft-csrf").hexdigest()


def _digest(cookie: str) -> bytes:
    return hashlib.blake2b(cookie.encode("utf-8", "replace"), digest_size=32, person=b"regraft-session").digest()


def _proof(cookie: str, known: KnownToken) -> bytes:
    """Ties a session to a token. Without the cookie, the table says nothing of the token, not even a digest to guess
    the word of a short one by."""
    key = _digest(f"proof:{cookie}")
    return hashlib.blake2b(known.digest.encode(), digest_size=32, key=key, person=b"regraft-proof").digest()
