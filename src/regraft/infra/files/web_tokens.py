"""Tokens of the web API: who reads it, and which tenant's data."""

from __future__ import annotations

from pathlib import Path

from regraft.infra.files.secret_file import SecretFile, StoredSecret

PREFIX = "rgw_"


class WebToken(StoredSecret, frozen=True, kw_only=True):
    """One token. It reads what is of the tenant ``scope``; None: everything. ``review``: it may also judge."""

    scope: str | None
    review: bool = False


class WebTokenStore(SecretFile[WebToken]):
    """The tokens in the file at ``path``."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, WebToken, prefix=PREFIX, person=b"regraft-web", noun="token", command="regraft web-token list"
        )

    def create(self, name: str, scope: str | None = None, *, review: bool = False) -> tuple[WebToken, str]:
        """A new token, and its secret, which is shown only once."""
        return self._add(
            lambda key_id, digest, now: WebToken(
                key_id=key_id, name=name, digest=digest, scope=scope, review=review, created=now
            )
        )
