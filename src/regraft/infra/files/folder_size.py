"""How much of the disk files take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512  # bytes in a unit of st_blocks, on every system


@dataclass(frozen=True, slots=True)
class FileSizes:
    """``bytes`` that ``files`` take on the disk, as ``du`` counts them; ``unread`` folders could not be looked into."""

    bytes: int = 0
    files: int = 0
    unread: int = 0

    def __add__(self, more: FileSizes) -> FileSizes:
        return FileSizes(self.bytes + more.bytes, self.files + more.files, self.unread + more.unread)


def file_size(path: Path) -> FileSizes:
    """One file; nothing where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return FileSizes()
    return FileSizes(found.st_blocks * _BLOCK, 1)


def folder_size(folder: Path) -> FileSizes:
    """All files below a folder, each once however many names it has, without following links; nothing where there is
    no folder. Files that come and go meanwhile may be missing."""
    size = files = unread = 0
    seen: set[tuple[int, int]] = set()
    open_folders = [folder]
    while open_folders:
        try:
            entries = list(os.scandir(open_folders.pop()))
        except FileNotFoundError:
            continue
        except OSError:
            unread += 1
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    open_folders.append(Path(entry.path))
                    continue
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if found.st_nlink > 1:
                if (found.st_dev, found.st_ino) in seen:
                    continue
                seen.add((found.st_dev, found.st_ino))
            size += found.st_blocks * _BLOCK
            files += 1
    return FileSizes(size, files, unread)
