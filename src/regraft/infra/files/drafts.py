"""Draft folders for temporary files. A killed process leaves one behind: its lock, which
ends with the process, distinguishes it from one in use."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

_RANDOM = re.compile(r"[a-z0-9_]{8}")  # how tempfile ends a name


@contextmanager
def draft_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """A locked folder in ``parent`` whose name starts with ``prefix``; it is gone after the block.

    Drafts of the same prefix that killed processes left there are removed first.
    """
    remove_abandoned([prefix], parent)
    path, lock = _locked(prefix, parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def remove_abandoned(prefixes: Iterable[str], parent: Path) -> int:
    """Remove the drafts in ``parent`` that no process has in use; how many."""
    removed = 0
    for prefix in prefixes:
        for path in parent.glob(f"{_literal(prefix)}*"):
            if _RANDOM.fullmatch(path.name.removeprefix(prefix)) and path.is_dir() and not path.is_symlink():
                removed += _removed(path)
    return removed


def _removed(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
            return True
        return False
    finally:
        os.close(lock)


def _locked(prefix: str, parent: Path) -> tuple[Path, int]:
    """A new folder with its lock; made again when another process took it for abandoned before it was locked."""
    while True:
        path = Path(mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _literal(prefix: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", prefix)
