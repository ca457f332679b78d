"""Virtual keys of the gateway, in one small file: what a client may do, and never the key itself.

A file and not a table, because calls must be let through while PostgreSQL is away. It is replaced as a whole, and every
gateway process looks at it again when it has changed: a key made or revoked counts within a second or two. Gateways on
several machines share the file, or get copies of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from regraft.domain.errors import ConfigError, NotFoundError, UnavailableError

PREFIX = "rgk_"
LOOK_SECONDS = 1.0


class VirtualKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key. ``digest`` is its BLAKE2b-256 (the key has 256 random bits: there is nothing to guess slowly).

    ``models`` are globs, and so are ``paths``, what it may call beside the captured calls. ``per_minute`` and
    ``max_concurrency`` 0 are no limit. Times are Unix seconds.
    """

    key_id: str
    name: str
    digest: str
    scope: str = "default"
    models: tuple[str, ...] = ("*",)
    per_minute: int = 0
    max_concurrency: int = 0
    paths: tuple[str, ...] = ()
    created: int = 0
    revoked: int | None = None


class _Document(msgspec.Struct):
    keys: list[VirtualKey] = []


def digest_of(secret: str) -> str:
    """What the file knows of a key."""
    return hashlib.blake2b(secret.encode("utf-8", "surrogateescape"), digest_size=32, person=b"regraft-key").hexdigest()


class KeyStore:
    """The file at ``path``. A file that is not there holds no keys; with one that cannot be read every key is
    refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._by_digest: dict[str, VirtualKey] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._looked = -LOOK_SECONDS

    def find(self, secret: str) -> VirtualKey | None:
        """The key, unless it is unknown or revoked. Raises UnavailableError when the file cannot be read."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._refresh()
            self._looked = now
        found = self._by_digest.get(digest_of(secret)) if secret.startswith(PREFIX) else None
        return found if found is not None and found.revoked is None else None

    def create(
        self,
        name: str,
        scope: str = "default",
        models: tuple[str, ...] = ("*",),
        per_minute: int = 0,
        max_concurrency: int = 0,
        paths: tuple[str, ...] = (),
    ) -> tuple[VirtualKey, str]:
        """A new key, and its secret: this is the only time that anybody sees it."""
        secret = PREFIX + secrets.token_urlsafe(32)
        digest = digest_of(secret)
        key = VirtualKey(
            key_id=digest[:12],
            name=name,
            digest=digest,
            scope=scope,
            models=models,
            per_minute=per_minute,
            max_concurrency=max_concurrency,
            paths=paths,
            created=int(time.time()),
        )
        with self._changing() as keys:
            keys.append(key)
        return key, secret

    def all(self) -> list[VirtualKey]:
        """Every key, revoked ones too, in the order of their making."""
        return self._read()

    def revoke(self, key_id: str) -> VirtualKey:
        """End a key, by its id or the beginning of it. Raises NotFoundError."""
        with self._changing() as keys:
            matching = [number for number, key in enumerate(keys) if key_id and key.key_id.startswith(key_id)]
            if len(matching) != 1:
                many = f"{len(matching)} keys begin" if matching else "No key begins"
                raise NotFoundError(f"{many} with {key_id!r}: `regraft keys list` shows them all.")
            number = matching[0]
            keys[number] = msgspec.structs.replace(keys[number], revoked=keys[number].revoked or int(time.time()))
            return keys[number]

    def _refresh(self) -> None:
        try:
            state = self.path.stat()
        except FileNotFoundError:
            self._by_digest, self._stamp = {}, None
            return
        except OSError as error:
            raise UnavailableError(f"The keys in {self.path} cannot be read: {error.strerror}.") from error
        stamp = (state.st_ino, state.st_mtime_ns, state.st_size)
        if stamp != self._stamp:
            self._by_digest = {key.digest: key for key in self._read()}
            self._stamp = stamp

    def _read(self) -> list[VirtualKey]:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Document).keys
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnavailableError(f"The keys in {self.path} cannot be read: {error.strerror}.") from error
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{self.path} is no file of keys: {error}.") from error

    @contextmanager
    def _changing(self) -> Iterator[list[VirtualKey]]:
        """The keys to change; they are written when the block ends, and no other process writes meanwhile."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with (self.path.parent / f"{self.path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                keys = self._read()
                yield keys
                fresh = self.path.with_name(f"{self.path.name}.new")
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(_Document(keys)), indent=1))
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(self.path)
        except OSError as error:
            raise UnavailableError(f"The keys in {self.path} cannot be written: {error.strerror}.") from error
