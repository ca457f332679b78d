"""Large request bodies: in memory as long as all of them together fit, and else in files that nobody else can see.

A body in a file is a map of it, which reads like bytes; whoever has gone over it lets go of its pages.
"""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard

IN_FILE = 32 << 20  # bytes from which on one body alone goes to a file
_STEP = 1 << 20
_PAGE = mmap.ALLOCATIONGRANULARITY


@dataclass(slots=True)
class BodyMemory:
    """``most`` bytes of large bodies stay in memory; the rest is in files in ``folder`` (unset: the temporary one)."""

    most: int = 256 << 20
    folder: Path | None = None
    held: int = field(default=0, init=False)


class HeldBody(bytearray):
    """A body in memory, counted as long as it lives."""

    memory: BodyMemory | None = None

    def __del__(self) -> None:
        if self.memory is not None:
            self.memory.held -= len(self)


class MappedBody(mmap.mmap):
    """A body in a file without a name, gone with this object."""

    def let_go(self, start: int = 0, end: int | None = None) -> None:
        """Take these bytes out of memory, as far as they fill pages: they are read again when somebody asks."""
        start -= start % _PAGE
        end = len(self) if end is None else end - end % _PAGE
        if end > start:
            self.madvise(mmap.MADV_DONTNEED, start, end - start)

    def __contains__(self, word: object) -> bool:
        """Whether the bytes of a short word are anywhere in it."""
        if not isinstance(word, bytes):
            return False
        for start in range(0, len(self), _STEP):
            found = self.find(word, start, start + _STEP + len(word)) >= 0
            self.let_go(start, start + _STEP)
            if found:
                return True
        return False


class GatheredBody:
    """A body while its pieces arrive. ``append`` raises OSError when there is no room on the disk."""

    __slots__ = ("_buffer", "_file", "_memory", "size")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._buffer: HeldBody | None = HeldBody()
        self._buffer.memory = memory
        self._file: IO[bytes] | None = None
        self.size = 0

    def append(self, piece: bytes) -> None:
        memory, buffer = self._memory, self._buffer
        self.size += len(piece)
        if buffer is not None and (self.size >= IN_FILE or memory.held + len(piece) > memory.most):
            self._file = tempfile.TemporaryFile(dir=memory.folder)  # noqa: SIM115 lives as long as its map
            self._file.write(buffer)
            self._buffer = buffer = None
        if buffer is not None:
            buffer += piece
            memory.held += len(piece)
        elif self._file is not None:
            self._file.write(piece)

    def finish(self) -> HeldBody | MappedBody:
        """The whole body."""
        if self._buffer is not None:
            return self._buffer
        assert self._file is not None
        return mapped(self._file)


def mapped(file: IO[bytes]) -> MappedBody:
    """What was written to a file, which is closed."""
    with file:
        file.flush()
        return MappedBody(file.fileno(), 0, access=mmap.ACCESS_READ)


def compressed(body: bytes | bytearray | MappedBody, memory: BodyMemory) -> bytes | MappedBody:
    """The body as one zstd frame with its size, in a file if the body is in one and it is large. Raises OSError."""
    if not isinstance(body, MappedBody):
        return zstandard.ZstdCompressor(level=1).compress(body)
    compressor = zstandard.ZstdCompressor(level=1).compressobj(size=len(body))
    file = tempfile.TemporaryFile(dir=memory.folder)  # noqa: SIM115 lives as long as its map
    for start in range(0, len(body), _STEP):
        file.write(compressor.compress(body[start : start + _STEP]))
        body.let_go(start, start + _STEP)
    file.write(compressor.flush())
    if file.tell() > _STEP:
        return mapped(file)
    with file:
        file.seek(0)
        return file.read()
