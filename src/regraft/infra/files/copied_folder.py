"""Folders that are copied with a digest of every file, and checked against these later."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.errors import IntegrityError

_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file by its path below the folder, with its size in bytes and its SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str


def copy_file(source: Path, folder: Path, name: str) -> CopiedFile:
    """Copy a file to ``folder / name``, on the disk when this returns. Only the owner can read the copy."""
    target = folder / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
        while chunk := reader.read(_CHUNK):
            whole.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return CopiedFile(name, size, whole.hexdigest())


def described(folder: Path, name: str) -> CopiedFile:
    """A file that exists already."""
    whole, size = hashlib.sha256(), 0
    with (folder / name).open("rb") as reader:
        while chunk := reader.read(_CHUNK):
            whole.update(chunk)
            size += len(chunk)
    return CopiedFile(name, size, whole.hexdigest())


def copy_folder(source: Path, folder: Path, name: str) -> Iterator[CopiedFile]:
    """Copy all files below ``source`` to ``folder / name``, sorted. One that disappears meanwhile is left out."""
    for file in sorted(source.rglob("*")):
        if not file.is_file() or file.is_symlink():
            continue
        try:
            yield copy_file(file, folder, f"{name}/{file.relative_to(source).as_posix()}")
        except FileNotFoundError:
            (folder / name / file.relative_to(source)).unlink(missing_ok=True)


def check(folder: Path, files: Mapping[str, CopiedFile]) -> None:
    """Compare files with what they were. Raises IntegrityError that names the first one that is missing or changed."""
    for name, expected in files.items():
        try:
            found = described(folder, name)
        except OSError as error:
            raise IntegrityError(f"{folder / name} cannot be read: {error.strerror or error}") from error
        if found != expected:
            raise IntegrityError(
                f"{folder / name} is not the file that was backed up: it has {found.size:,} bytes and the digest"
                f" {found.sha256[:16]}, not {expected.size:,} bytes and {expected.sha256[:16]}."
            )
