"""Credentials of clients in one small file: the rights and the digest of each, never the secret itself.

A file and not a table, because calls must be let through while PostgreSQL is away. It is replaced as a whole, and every
process looks at it again when it has changed: a secret made or revoked counts within a second or two. Processes on
several machines share the file, or get copies of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from regraft.domain.errors import ConfigError, NotFoundError, UnavailableError
from regraft.infra.data_folder import make_data_folder

LOOK_SECONDS = 1.0


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret. ``digest`` is its BLAKE2b-256 (it has 256 random bits: there is nothing to guess slowly). Times are
    Unix seconds."""

    key_id: str
    name: str
    digest: str
    created: int = 0
    revoked: int | None = None


class _Document(msgspec.Struct):
    keys: list[msgspec.Raw] = []


S = TypeVar("S", bound=StoredSecret)


class SecretFile(Generic[S]):
    """The file at ``path`` with secrets of one ``kind``: each begins with ``prefix``, and ``person`` sets its digest
    apart from those of other kinds. ``command`` names the one that lists them.

    A file that is not there holds none; with one that cannot be read every secret is refused.
    """

    def __init__(self, path: Path, kind: type[S], *, prefix: str, person: bytes, noun: str, command: str) -> None:
        self.path = path
        self._kind = kind
        self._prefix = prefix
        self._person = person
        self._noun = noun
        self._command = command
        self._by_digest: dict[str, S] = {}
        self._by_id: dict[str, S] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._looked = -LOOK_SECONDS

    def digest_of(self, secret: str) -> str:
        """The entry of a secret in the file."""
        said = secret.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(said, digest_size=32, person=self._person).hexdigest()

    def find(self, secret: str) -> S | None:
        """The secret's entry, unless it is unknown or revoked. Raises UnavailableError or ConfigError when the file
        cannot be read."""
        self._look()
        found = self._by_digest.get(self.digest_of(secret)) if secret.startswith(self._prefix) else None
        return found if found is not None and found.revoked is None else None

    def find_id(self, key_id: str) -> S | None:
        """The entry of an id, unless it is unknown or revoked. Raises as ``find`` does."""
        self._look()
        found = self._by_id.get(key_id)
        return found if found is not None and found.revoked is None else None

    def is_used(self) -> bool:
        """Whether a secret was ever made here, a revoked one included. Raises as ``find`` does."""
        self._look()
        return bool(self._by_digest)

    def all(self) -> list[S]:
        """Every entry, revoked ones too, oldest first."""
        return self._read()

    def revoke(self, key_id: str) -> S:
        """End a secret, by its id or the beginning of it. Raises NotFoundError."""
        with self._changing() as entries:
            matching = [number for number, each in enumerate(entries) if key_id and each.key_id.startswith(key_id)]
            if len(matching) != 1:
                many = f"{len(matching)} {self._noun}s begin" if matching else f"No {self._noun} begins"
                raise NotFoundError(f"{many} with {key_id!r}: `{self._command}` shows them all.")
            number = matching[0]
            revoked = entries[number].revoked or int(time.time())
            entries[number] = msgspec.structs.replace(entries[number], revoked=revoked)
            return entries[number]

    def _add(self, make: Callable[[str, str, int], S]) -> tuple[S, str]:
        """A new secret: its entry, which ``make`` gives for an id, a digest and the time, and the secret."""
        secret = self._prefix + secrets.token_urlsafe(32)
        digest = self.digest_of(secret)
        entry = make(digest[:12], digest, int(time.time()))
        with self._changing() as entries:
            entries.append(entry)
        return entry, secret

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._refresh()
            self._looked = now

    def _refresh(self) -> None:
        try:
            state = self.path.stat()
        except FileNotFoundError:
            self._by_digest, self._by_id, self._stamp = {}, {}, None
            return
        except OSError as error:
            raise self._unreadable(error) from error
        stamp = (state.st_ino, state.st_mtime_ns, state.st_size)
        if stamp != self._stamp:
            found = self._read()
            self._by_digest = {each.digest: each for each in found}
            self._by_id = {each.key_id: each for each in found}
            self._stamp = stamp

    def _read(self) -> list[S]:
        try:
            document = msgspec.json.decode(self.path.read_bytes(), type=_Document)
            return [msgspec.json.decode(each, type=self._kind) for each in document.keys]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error) from error
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{self.path} is not a file of {self._noun}s: {error}.") from error

    def _unreadable(self, error: OSError) -> UnavailableError:
        return UnavailableError(f"The {self._noun}s in {self.path} cannot be read: {error.strerror}.")

    @contextmanager
    def _changing(self) -> Iterator[list[S]]:
        """The entries to change; they are written when the block ends, and no other process writes meanwhile."""
        try:
            make_data_folder(self.path.parent)
            with (self.path.parent / f"{self.path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                entries = self._read()
                yield entries
                fresh = self.path.with_name(f"{self.path.name}.new")
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode({"keys": entries}), indent=1))
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(self.path)
        except OSError as error:
            raise UnavailableError(f"The {self._noun}s in {self.path} cannot be written: {error.strerror}.") from error
