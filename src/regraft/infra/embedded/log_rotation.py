"""Rotation of logs while other processes append to them: NAME.log, with older content in NAME.log.1, .2 and so on.

With the standard library alone: the keeper of a server loads it by its path. Who writes the log need not know, as it
appends. Where the file system can cut off the beginning of a file (ext4, xfs), no line is lost; elsewhere the file is
emptied once nothing new is found in it, and only what is written in the microseconds between is lost. A rotation that
was killed half-way leaves lines both in the file and in its copy, and loses none.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_COLLAPSE_RANGE = 0x08  # of fallocate: what follows the range moves to its place, in one step
_DRAFT = ".rotating"
_PIECE = 1 << 20  # bytes


def rotate(log: Path, limit: int, keep: int) -> bool:
    """Move what a log holds to its copies once it is larger than ``limit`` bytes; whether it was.

    ``keep`` copies are kept; with 0 nothing is. Raises OSError: a full disk, a folder that cannot be written.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return False
    if size <= limit:
        return False
    if not keep:
        os.truncate(log, 0)
        return True
    draft = log.with_name(log.name + _DRAFT)
    with log.open("rb+", buffering=0) as source, draft.open("wb", buffering=0) as copy:
        os.fchmod(copy.fileno(), os.fstat(source.fileno()).st_mode & 0o777)
        block = os.statvfs(source.fileno()).f_bsize
        head = _copy(source.fileno(), copy.fileno(), 0, (size - 1) // block * block)
        os.fsync(copy.fileno())
        _shift(log, draft, keep)
        if head and _cut_off(source.fileno(), head):
            return True
        while (found := os.fstat(source.fileno()).st_size) > head:
            head += _copy(source.fileno(), copy.fileno(), head, found - head)
        os.truncate(log, 0)
    return True


def copies_of(log: Path) -> list[Path]:
    """The copies of a log that there are, the newest first, and what a killed rotation left."""
    found = [path for path in log.parent.glob(f"{log.name}.*") if path.suffix[1:].isdecimal() or path.suffix == _DRAFT]
    return sorted(found, key=lambda path: int(path.suffix[1:]) if path.suffix != _DRAFT else 0)


def _shift(log: Path, draft: Path, keep: int) -> None:
    """Give each copy the next number, drop those beyond ``keep``, and make the draft the first."""
    for copy in reversed(copies_of(log)):
        if copy != draft:
            number = int(copy.suffix[1:])
            if number >= keep:
                copy.unlink(missing_ok=True)
            else:
                copy.replace(log.with_name(f"{log.name}.{number + 1}"))
    draft.replace(log.with_name(f"{log.name}.1"))


def _copy(source: int, target: int, start: int, count: int) -> int:
    """Append bytes of a file to another; how many there were."""
    copied = 0
    while copied < count and (piece := os.pread(source, min(_PIECE, count - copied), start + copied)):
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
        copied += len(piece)
    return copied


def _cut_off(descriptor: int, count: int) -> bool:
    """Remove the first bytes of a file, whole blocks, in one step; False where that cannot be done."""
    if sys.platform != "linux":
        return False
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    return bool(fallocate(descriptor, _COLLAPSE_RANGE, ctypes.c_int64(0), ctypes.c_int64(count)) == 0)
