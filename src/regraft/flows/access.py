"""Access to the web API: tokens, roles and tenants."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from regraft.domain.errors import ForbiddenError
from regraft.infra.files.owner_token import OwnerTokenFile
from regraft.infra.files.web_tokens import Role as Role
from regraft.infra.files.web_tokens import WebTokenStore, token_digest

OWNER, SETTING = "owner", "setting"  # ids of the tokens that are in no list
SIGN_IN = (
    "Nothing is changed without signing in: `regraft open` signs a browser in, and"
    " `regraft web-token create NAME --role reviewer` (or admin) makes a token."
)

_RANK: dict[Role, int] = {"viewer": 0, "reviewer": 1, "admin": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The rights of a request: the data of the tenant ``scope``, or everything if that is None.

    ``name`` is who the token was made for, None for a token without a name. A viewer reads; a reviewer also judges
    items of the review queue, under that name; an admin does everything. ``holds`` says whether it still holds: a token
    may be revoked while an answer is being sent. ``anonymous``: no token was shown, and none is needed to read."""

    scope: str | None
    holds: Callable[[], bool]
    name: str | None = None
    role: Role = "admin"
    anonymous: bool = False

    @property
    def reviews(self) -> bool:
        """Whether it may judge items of the review queue."""
        return _RANK[self.role] >= _RANK["reviewer"]

    @property
    def changes(self) -> bool:
        """Whether it may start replays, freeze datasets, fill the review queue, and manage keys."""
        return self.role == "admin"

    def require(self, role: Role) -> None:
        """Raises ForbiddenError, which says what to do, unless it has this role or one that may do more."""
        if _RANK[self.role] >= _RANK[role]:
            return
        if self.anonymous:
            raise ForbiddenError(SIGN_IN)
        what = "reads only" if self.role == "viewer" else "reads and judges only"
        raise ForbiddenError(f"This token {what}. `regraft web-token create NAME --role {role}` makes one that may.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToken:
    """A token that is valid now. ``digest`` distinguishes it from another token with the same id."""

    token_id: str
    digest: str
    scope: str | None
    name: str | None
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How browsers stay signed in. ``https``: browsers reach the server by https alone, through a proxy.

    ``idle``: without a request for so long, a browser is signed out.
    """

    https: bool = False
    idle: timedelta = timedelta(days=7)


class AccessControl:
    """Checks tokens: ``token`` may do everything, and so may the ``owner``'s; those in the file ``tokens`` what each
    was made for.

    A token is needed as soon as there is one in the file, a revoked one included, and where ``required``. Otherwise
    a client without one reads everything and changes nothing.
    """

    def __init__(
        self,
        token: str = "",
        tokens: Path | None = None,
        *,
        required: bool = False,
        owner: OwnerTokenFile | None = None,
        sessions: SessionPolicy | None = None,
    ) -> None:
        self._token_digest = token_digest(token) if token else ""
        self._store = WebTokenStore(tokens) if tokens else None
        self._required = required or bool(token)
        self._owner = owner
        self.sessions = sessions or SessionPolicy()

    def grant(self, shown: str | None) -> Grant | None:
        """The rights of a request with this token, or without one; None: no rights.

        Raises UnavailableError or ConfigError while the file of tokens cannot be read.
        """
        if shown is None:
            return self._anonymous()
        known = self.find(shown)
        return self.grant_of(known, lambda: self.current(known.token_id) == known) if known else None

    def find(self, shown: str) -> KnownToken | None:
        """The token that is shown, if it is valid. Raises as ``grant`` does."""
        digest = token_digest(shown)
        for token_id in (SETTING, OWNER):
            known = self.current(token_id)
            if known and hmac.compare_digest(digest, known.digest):
                return known
        stored = self._store.find(shown) if self._store else None
        return self.current(stored.key_id) if stored else None

    def current(self, token_id: str) -> KnownToken | None:
        """The token that has this id now, if it is valid. Raises as ``grant`` does."""
        if token_id in (SETTING, OWNER):
            digest = self._token_digest if token_id == SETTING else self._owner_digest()
            return KnownToken(token_id=token_id, digest=digest, scope=None, name=None, role="admin") if digest else None
        stored = self._store.find_id(token_id) if self._store else None
        return (
            KnownToken(token_id=token_id, digest=stored.digest, scope=stored.scope, name=stored.name, role=stored.role)
            if stored
            else None
        )

    def grant_of(self, known: KnownToken, holds: Callable[[], bool]) -> Grant:
        """The rights of a token, as long as ``holds`` returns true."""
        return Grant(scope=known.scope, holds=holds, name=known.name, role=known.role)

    def _anonymous(self) -> Grant | None:
        if self._is_needed():
            return None
        return Grant(scope=None, holds=lambda: not self._is_needed(), role="viewer", anonymous=True)

    def _owner_digest(self) -> str:
        token = self._owner.current() if self._owner else None
        return token_digest(token) if token else ""

    def _is_needed(self) -> bool:
        return self._required or (self._store is not None and self._store.is_used())
