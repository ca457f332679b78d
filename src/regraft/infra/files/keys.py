"""Virtual keys of the gateway: the tenant of calls, and the allowed models and paths."""

from __future__ import annotations

from pathlib import Path

from regraft.infra.files.secret_file import SecretFile, StoredSecret

PREFIX = "rgk_"


class VirtualKey(StoredSecret, frozen=True, kw_only=True):
    """One key. ``models`` are globs, and so are ``paths``, what it may call beside the captured calls. ``per_minute``
    and ``max_concurrency`` 0 are no limit."""

    scope: str = "default"
    models: tuple[str, ...] = ("*",)
    per_minute: int = 0
    max_concurrency: int = 0
    paths: tuple[str, ...] = ()


class KeyStore(SecretFile[VirtualKey]):
    """The keys in the file at ``path``."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, VirtualKey, prefix=PREFIX, person=b"regraft-key", noun="key", command="regraft keys list"
        )

    def create(
        self,
        name: str,
        scope: str = "default",
        models: tuple[str, ...] = ("*",),
        per_minute: int = 0,
        max_concurrency: int = 0,
        paths: tuple[str, ...] = (),
    ) -> tuple[VirtualKey, str]:
        """A new key, and its secret, which is shown only once."""
        return self._add(
            lambda key_id, digest, now: VirtualKey(
                key_id=key_id,
                name=name,
                digest=digest,
                scope=scope,
                models=models,
                per_minute=per_minute,
                max_concurrency=max_concurrency,
                paths=paths,
                created=now,
            )
        )
