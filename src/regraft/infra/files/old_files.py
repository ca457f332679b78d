"""Files that were last written before a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path


def old_files(folder: Path, before: datetime) -> Iterator[tuple[Path, int]]:
    """Files below a folder that were last written before, with their sizes in bytes; links are left out."""
    limit = before.timestamp()
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            with contextlib.suppress(OSError):
                found = path.lstat()
                if found.st_mtime < limit and not path.is_symlink():
                    yield path, found.st_size


def remove_files(folder: Path, before: datetime) -> None:
    """Remove them, and folders that are empty then."""
    for path, _ in list(old_files(folder, before)):
        path.unlink(missing_ok=True)
    for where, _, _ in os.walk(folder, topdown=False):
        if Path(where) != folder:
            with contextlib.suppress(OSError):  # it is not empty
                Path(where).rmdir()
