"""Large bodies in flight: in memory as long as all of them together fit, and otherwise in files that no other process
can see.

A body in a file is a map of it, which reads like bytes; a reader that has gone over it lets go of its pages.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import zstandard

IN_FILE = 8 << 20  # bytes from which on one body alone goes to a file
_STEP = 1 << 20
_PAGE = mmap.ALLOCATIONGRANULARITY
_HEAD, _SIZED_HEAD = 6, 14  # bytes of a frame's head: magic, description, window; and with a size of 8 bytes
_PREFIX, _NAMED_SECONDS = ".body-", 60.0


@dataclass(slots=True)
class BodyMemory:
    """``most`` bytes of large bodies stay in memory; the rest is in files in ``folder`` (unset: the temporary one)."""

    most: int = 256 << 20
    folder: Path | None = None
    held: int = field(default=0, init=False)

    def file(self) -> IO[bytes]:
        """A file that has no name, or loses it at once where the file system knows no other. Raises OSError."""
        return tempfile.TemporaryFile(prefix=_PREFIX, dir=self.folder)

    def take(self, body: bytes) -> bytes:
        """The same bytes, counted with the other large ones or in a file. Raises OSError."""
        if len(body) <= _STEP:
            return body
        gathered = GatheredBody(self)
        for start in range(0, len(body), _STEP):
            gathered.append(body[start : start + _STEP])
        return cast(bytes, gathered.finish())

    def sweep(self) -> None:
        """Remove files whose process was killed between the making and the losing of their names."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"{_PREFIX}*"):
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > _NAMED_SECONDS:
                        path.unlink()


class HeldBody(bytearray):
    """A body in memory, counted as long as it lives."""

    memory: BodyMemory | None = None

    def __del__(self) -> None:
        if self.memory is not None:
            self.memory.held -= len(self)


class MappedBody(mmap.mmap):
    """A body in a file without a name, which is removed with this object."""

    def release(self, start: int = 0, end: int | None = None) -> None:
        """Take these bytes out of memory, as far as they fill pages: they are read again on access."""
        start -= start % _PAGE
        end = len(self) if end is None else end - end % _PAGE
        if end > start:
            self.madvise(mmap.MADV_DONTNEED, start, end - start)

    def steps(self) -> Iterator[bytes]:
        """All of it, a piece at a time that then leaves the memory."""
        for start in range(0, len(self), _STEP):
            yield self[start : start + _STEP]
            self.release(start, start + _STEP)

    def __contains__(self, word: object) -> bool:
        """Whether the bytes of a short word are anywhere in it."""
        if not isinstance(word, bytes):
            return False
        for start in range(0, len(self), _STEP):
            found = self.find(word, start, start + _STEP + len(word)) >= 0
            self.release(start, start + _STEP)
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
            self._file = memory.file()
            self._file.write(buffer)
            self._buffer = buffer = None
        if buffer is not None:
            buffer += piece
            memory.held += len(piece)
        elif self._file is not None:
            self._file.write(piece)

    def finish(self) -> HeldBody | MappedBody:
        """The whole body. Raises OSError."""
        if self._buffer is not None:
            return self._buffer
        assert self._file is not None
        return mapped(self._file)

    def overwrite(self, start: bytes) -> None:
        """Put other bytes in place of the first ones. Raises OSError."""
        if self._buffer is not None:
            self._buffer[: len(start)] = start
        elif self._file is not None:
            self._file.seek(0)
            self._file.write(start)


class PackedBody:
    """A body that is compressed while its pieces arrive, into one zstd frame with its size. Raises OSError.

    A frame says its size in its head, before that is known: so there is room for the longer head from the first.
    """

    __slots__ = ("_compressor", "_gathered", "_head", "size")

    def __init__(self, memory: BodyMemory) -> None:
        self._gathered = GatheredBody(memory)
        self._gathered.append(bytes(_SIZED_HEAD))
        self._compressor = zstandard.ZstdCompressor(level=1).compressobj()
        self._head = b""
        self.size = 0

    def append(self, piece: bytes) -> None:
        self.size += len(piece)
        self._put(self._compressor.compress(piece))

    def finish(self) -> HeldBody | MappedBody:
        """The whole frame."""
        self._put(self._compressor.flush())
        magic, described, window = self._head[:4], self._head[4], self._head[5:]
        self._gathered.overwrite(b"%b%c%b%b" % (magic, described | 0xC0, window, self.size.to_bytes(8, "little")))
        return self._gathered.finish()

    def _put(self, packed: bytes) -> None:
        if missing := _HEAD - len(self._head):
            self._head, packed = self._head + packed[:missing], packed[missing:]
        if packed:
            self._gathered.append(packed)


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
    file = memory.file()
    for piece in body.steps():
        file.write(compressor.compress(piece))
    file.write(compressor.flush())
    if file.tell() > _STEP:
        return mapped(file)
    with file:
        file.seek(0)
        return file.read()
