"""Tokens of the web API: the name, role and tenant of each user."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from regraft.infra.files.secret_file import SecretFile, StoredSecret

Role = Literal["viewer", "reviewer", "admin"]

PREFIX = "rgw_"
_PERSON = b"regraft-web"


def token_digest(secret: str) -> str:
    """The BLAKE2b-256 of a token, by which it is known."""
    return hashlib.blake2b(secret.encode("utf-8", "surrogateescape"), digest_size=32, person=_PERSON).hexdigest()


class WebToken(StoredSecret, frozen=True, kw_only=True):
    """One token. It sees what is of the tenant ``scope``; None: everything.

    Earlier versions wrote ``review`` in place of a role.
    """

    scope: str | None
    written_role: Role | None = msgspec.field(default=None, name="role")
    review: bool = False

    @property
    def role(self) -> Role:
        """A viewer reads; a reviewer also judges; an admin does everything."""
        return self.written_role or ("reviewer" if self.review else "viewer")


class WebTokenStore(SecretFile[WebToken]):
    """The tokens in the file at ``path``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, WebToken, prefix=PREFIX, person=_PERSON, noun="token", command="regraft web-token list")

    def create(self, name: str, scope: str | None = None, *, role: Role = "viewer") -> tuple[WebToken, str]:
        """A new token, and its secret, which is shown only once."""
        return self._add(
            lambda key_id, digest, now: WebToken(
                key_id=key_id,
                name=name,
                digest=digest,
                scope=scope,
                written_role=role,
                review=role == "reviewer",  # what an earlier version reads
                created=now,
            )
        )
