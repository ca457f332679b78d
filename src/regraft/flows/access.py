"""Who may read the truth through the web API, and which tenant's part of it."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regraft.infra.files.web_tokens import WebTokenStore

Role = Literal["viewer", "reviewer", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a request may read: all that is of the tenant ``scope``, or everything where that is None.

    ``name`` is who the token was made for, None where it is nobody's in particular. A viewer reads; a reviewer also
    judges items of the review queue, under that name; an admin also changes all else.
    ``holds`` says whether it still holds: a token may be revoked while an answer is being sent.
    """

    scope: str | None
    holds: Callable[[], bool]
    name: str | None = None
    role: Role = "admin"

    @property
    def reviews(self) -> bool:
        """Whether it may judge items of the review queue."""
        return self.role != "viewer"

    @property
    def changes(self) -> bool:
        """Whether it may start replays, freeze datasets, fill the review queue, and manage keys."""
        return self.role == "admin"


class ReadAccess:
    """Checks tokens: ``token`` reads everything, those in the file ``tokens`` what each was made for.

    A token is needed as soon as there is one, a revoked one included, and where ``required``. Without any, every client
    reads everything.
    """

    def __init__(self, token: str = "", tokens: Path | None = None, *, required: bool = False) -> None:
        self._token = token.encode()
        self._store = WebTokenStore(tokens) if tokens else None
        self._required = required or bool(token)

    def grant(self, shown: str | None) -> Grant | None:
        """What a request may read that shows this token, or none; None: nothing.

        Raises UnavailableError or ConfigError while the file of tokens cannot be read.
        """
        if not self._is_needed():
            return Grant(scope=None, holds=lambda: not self._is_needed())
        if not shown:
            return None
        if self._token and hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._token):
            return Grant(scope=None, holds=lambda: True)
        found = self._store.find(shown) if self._store else None
        if found is None:
            return None
        return Grant(
            scope=found.scope,
            holds=lambda: self._store is not None and self._store.find(shown) == found,
            name=found.name,
            role="reviewer" if found.review else "viewer",
        )

    def _is_needed(self) -> bool:
        return self._required or (self._store is not None and self._store.is_used())
