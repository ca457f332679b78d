"""The bytes of delivered calls: they stay in the spool's files until a segment is full, or are overwritten here."""

from __future__ import annotations

import os
from pathlib import Path

from regraft.infra.spool.reader import Cursor

_BLOCK = bytes(1 << 20)


def blank_delivered(folder: Path) -> int:
    """Overwrite with zeros what was delivered out of each spool in a folder, and sync it; how many bytes.

    Safe beside a living writer and its reader: both are behind the position that the cursor says, and a reader that
    lost its cursor skips zeros.
    """
    blanked = 0
    for home in sorted(folder.iterdir()) if folder.is_dir() else ():
        cursor = home / "cursor"
        if not cursor.is_file():
            continue
        reader = Cursor(cursor)
        try:
            at = reader.load()
        finally:
            reader.close()
        for path in sorted(home.glob("*.seg")):
            number = int(path.stem)
            if number <= at.segment:
                blanked += _blank(path, at.offset if number == at.segment else None)
    return blanked


def _blank(path: Path, size: int | None) -> int:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        end = os.fstat(descriptor).st_size if size is None else size
        place = 0
        while place < end:
            place += os.pwrite(descriptor, _BLOCK[: end - place], place)
        os.fdatasync(descriptor)
        return end
    finally:
        os.close(descriptor)
