"""An append-only spool on the local disk: what was appended outlives the process and every server fault.

Layout: ``folder/<instance>/`` belongs to one process, which holds an flock on ``lock`` as long as it lives. Records are
in ``<number>.seg`` files, each record as magic, length, CRC-32 and payload, written by one ``write``: a killed process
loses nothing that ``append`` returned for. A large record may be written aside, to a file that becomes a segment by its
name when it is whole. ``fdatasync`` follows within 100 ms, so a power cut may cost that much.
Delivered segments are deleted. Another process may read the spool meanwhile (``LiveReader``): it learns how far it may
read (``written``), and tells how far it has delivered (``delivered``).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

from regraft.domain.errors import UnavailableError
from regraft.infra.http.body_memory import MappedBody
from regraft.infra.spool.reader import HEAD, MAGIC, Pack, SpoolReader, orphans, try_lock

__all__ = ["Pack", "Spool", "SpoolFullError", "SpoolReader"]

SYNC_SECONDS = 0.1
PROBE_SECONDS = 1.0
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_PIECES = 1000  # what one writev takes (IOV_MAX is 1024)

log = logging.getLogger(__name__)


class SpoolFullError(UnavailableError):
    """The spool cannot take another record."""


@dataclass(frozen=True, slots=True)
class PreparedSegment:
    """A record in a separate file that is not a segment yet: a process that is killed now leaves nothing to read."""

    path: Path
    descriptor: int
    length: int

    def discard(self) -> None:
        """It will not be adopted."""
        os.close(self.descriptor)
        self.path.unlink(missing_ok=True)


class Spool(SpoolReader):
    """The living process's own spool: appends and reads. One thread appends and adopts; others may prepare large
    records meanwhile. The sync thread is the spool's own.

    Sizes are bytes; ``limit_bytes`` bounds what waits here undelivered.
    """

    def __init__(self, folder: Path, segment_bytes: int = 16 << 20, limit_bytes: int = 8 << 30) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # calls are as private as what was said in them
        self.folder = folder
        self.instance = f"{time.time_ns():x}-{os.getpid()}"
        # Locked before it can be seen under its name: an unlocked folder is taken for a dead process's.
        hidden = folder / f".{self.instance}"
        hidden.mkdir(mode=0o700)
        lock = try_lock(hidden)
        assert lock is not None
        home = hidden.rename(folder / self.instance)
        super().__init__(home, lock)
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._active = 0
        self._size = 0
        self._closed = False
        self._dirty = threading.Event()
        self._unsynced = False
        self._prepared = itertools.count()
        self._retired: list[int] = []  # descriptors of left segments; only the sync thread closes them
        self.sync_failures = 0
        self.sync_error: str | None = None
        self._suspect = 0  # the newest segment that a sync failed for
        self._new_entries = [folder, home]  # folders with entries that no sync has covered yet
        self._descriptor = self._open_segment(1)
        self._syncer = threading.Thread(target=self._sync_forever, name="spool-sync", daemon=True)
        self._syncer.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here for delivery (whole segments count until they are deleted)."""
        return self._bytes - (self._position.offset if self._position.segment in self._sizes else 0)

    @property
    def limit_bytes(self) -> int:
        """The most bytes that may wait here."""
        return self._limit_bytes

    @property
    def segments(self) -> int:
        """Files with records, the one that is being written included."""
        return len(self._sizes)

    @property
    def lock(self) -> int:
        """The lock's descriptor: a process that inherits it keeps the spool from being taken for a dead process's."""
        assert self._lock is not None
        return self._lock

    @property
    def written(self) -> tuple[int, int]:
        """The newest segment, and its bytes."""
        return self._active, self._size

    def delivered(self, segment: int, offset: int) -> None:
        """Another process has delivered all before this position, and deleted the segments before this one."""
        self._position = replace(self._position, segment=segment, offset=offset)
        for number in [number for number in self._sizes if number < segment]:
            self._bytes -= self._sizes.pop(number)

    def append(self, payload: bytes) -> None:
        """Write one record. When it returns, the record outlives this process. Raises SpoolFullError otherwise."""
        self.append_records([[payload]])

    def append_records(self, records: list[list[bytes]]) -> None:
        """``append`` for records in parts, which are not joined: all by one write, or none. Raises SpoolFullError."""
        pieces, length = _framed(records)
        self._check_room(length)
        try:
            if self._size and (self._size + length > self._segment_bytes or self._active == self._suspect):
                self._roll()
            written = _write(self._descriptor, pieces)
        except OSError as error:
            self._take_back()
            raise SpoolFullError(f"The spool {self.folder} cannot be written: {error.strerror}") from error
        if written != length:
            self._take_back()
            raise SpoolFullError(f"The spool {self.folder} cannot be written: the disk is full")
        self._size += length
        self._appended(length)

    def prepare(self, record: list[bytes]) -> PreparedSegment:
        """Write one large record to a file that ``adopt`` makes a segment of. Any thread may. Raises SpoolFullError."""
        pieces, length = _framed([record])
        self._check_room(length)
        path = self.home / f"large-{next(self._prepared)}.part"  # no reader looks at it
        try:
            descriptor = os.open(path, _NEW_FILE, 0o600)
            prepared = PreparedSegment(path, descriptor, length)
            try:
                written = _write(descriptor, pieces)
            except OSError:
                prepared.discard()
                raise
        except OSError as error:
            raise SpoolFullError(f"The spool {self.folder} cannot be written: {error.strerror}") from error
        if written != length:
            prepared.discard()
            raise SpoolFullError(f"The spool {self.folder} cannot be written: the disk is full")
        return prepared

    def adopt(self, prepared: PreparedSegment) -> None:
        """``append`` for a record that is in a file already, whose name is all that changes. Raises SpoolFullError."""
        try:
            if self._closed:
                raise SpoolFullError(f"The spool {self.folder} is closed")
            self._check_room(prepared.length)
            prepared.path.rename(self._path(self._active + 1))
        except (OSError, SpoolFullError) as error:
            prepared.discard()
            if isinstance(error, SpoolFullError):
                raise
            raise SpoolFullError(f"The spool {self.folder} cannot be written: {error.strerror}") from error
        old = self._descriptor
        self._active, self._descriptor, self._size = self._active + 1, prepared.descriptor, prepared.length
        self._new_entries.append(self.home)
        self._retired.append(old)
        self._appended(prepared.length)

    def _check_room(self, length: int) -> None:
        if self._bytes + length > self._limit_bytes and self.waiting_bytes + length > self._limit_bytes:
            raise SpoolFullError(f"The spool {self.folder} is full ({self._limit_bytes} bytes wait): is NATS down?")

    def _appended(self, length: int) -> None:
        self._bytes += length
        self._sizes[self._active] = self._size
        if not self._unsynced:
            self._unsynced = True
            self._dirty.set()

    def orphans(self) -> Iterator[SpoolReader]:
        """The spools of dead processes in the same folder, each locked for the caller, who drains and removes it."""
        return orphans(self.folder, self.instance)

    def close(self) -> None:
        """Sync and let go. A spool that was wholly delivered leaves nothing behind."""
        if self._closed:
            return
        self._closed = True
        self._dirty.set()
        self._syncer.join()
        self._sync_or_complain()
        os.close(self._descriptor)
        self._descriptor = -1  # a late append must fail, not write to another file with this number
        if self.waiting_bytes == 0:
            shutil.rmtree(self.home, ignore_errors=True)
        super().close()

    def _visible_size(self, number: int) -> int:
        return self._sizes.get(number, 0)

    def _segments(self) -> list[int]:
        return sorted(self._sizes)

    def _delete(self, number: int) -> None:
        super()._delete(number)
        self._bytes -= self._sizes.pop(number)

    def _open_segment(self, number: int) -> int:
        descriptor = os.open(self._path(number), _NEW_FILE, 0o600)
        self._active, self._size = number, 0
        self._sizes[number] = 0
        self._new_entries.append(self.home)
        return descriptor

    def _roll(self) -> None:
        old = self._descriptor
        self._descriptor = self._open_segment(self._active + 1)
        self._retired.append(old)

    def _take_back(self) -> None:
        """Half a record must not stay in the middle of a segment."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._size)

    def _sync_forever(self) -> None:
        while not self._closed:
            if not self._dirty.wait(PROBE_SECONDS if self.sync_error else None):
                self._probe()
                continue
            if self._closed:
                return
            time.sleep(SYNC_SECONDS)
            self._dirty.clear()
            self._unsynced = False
            self._sync_or_complain()

    def _sync_or_complain(self) -> None:
        active = self._active
        try:
            self._sync()
        except OSError as error:
            self.sync_failures += 1
            self.sync_error = error.strerror or str(error)
            self._suspect = active
            log.error("spool %s cannot be synced: %s", self.home, error)
        else:
            if active > self._suspect:
                self.sync_error = None

    def _probe(self) -> None:
        """Whether a file in this folder can be synced again, when no record comes that would show it."""
        probe = self.home / "probe"
        try:
            with probe.open("wb") as file:
                file.write(b"x")
                file.flush()
                os.fdatasync(file.fileno())
            probe.unlink()
        except OSError as error:
            self.sync_error = error.strerror or str(error)
        else:
            self.sync_error = None

    def _sync(self) -> None:
        """Sync the folders, then all segments written since the last sync. Raises OSError after trying each of them."""
        failed: OSError | None = None
        folders, self._new_entries = self._new_entries, []
        for folder in dict.fromkeys(folders):
            try:
                _sync_folder(folder)
            except OSError as error:
                self._new_entries.append(folder)
                failed = error
        while self._retired:
            full = self._retired.pop()
            try:
                os.fdatasync(full)
            except OSError as error:
                failed = error
            finally:
                os.close(full)
        os.fdatasync(self._descriptor)
        if failed is not None:
            raise failed


def _framed(records: list[list[bytes]]) -> tuple[list[bytes], int]:
    """What to write for these records, and its length."""
    pieces = []
    length = 0
    for parts in records:
        check = size = 0
        for part in parts:
            if isinstance(part, MappedBody):
                for piece in part.steps():
                    check = crc32(piece, check)
            else:
                check = crc32(part, check)
            size += len(part)
        pieces.append(HEAD.pack(MAGIC, size, check))
        pieces += parts
        length += HEAD.size + size
    return pieces, length


def _write(descriptor: int, pieces: list[bytes]) -> int:
    """How many bytes were written. Bodies in files go piece by piece, so that they are never in memory whole."""
    if not any(isinstance(piece, MappedBody) for piece in pieces):
        return os.writev(descriptor, pieces if len(pieces) <= _PIECES else [b"".join(pieces)])
    written = 0
    for piece in pieces:
        for part in piece.steps() if isinstance(piece, MappedBody) else (piece,):
            size = os.write(descriptor, part)
            written += size
            if size < len(part):
                return written
    return written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
