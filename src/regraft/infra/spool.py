"""An append-only spool on the local disk: what was appended outlives the process, whatever happens to the servers.

Layout: ``folder/<instance>/`` belongs to one process, which holds an flock on ``lock`` as long as it lives. Records are
in ``<number>.seg`` files, each record as magic, length, CRC-32 and payload, written by one ``write``: a killed process
loses nothing that ``append`` returned for. ``fdatasync`` follows within 100 ms, so a power cut may cost that much.
``cursor`` says how far the records were delivered; delivered segments are deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.errors import UnavailableError

MAGIC = b"RGS1"
_HEAD = struct.Struct("<4sII")
_CURSOR = struct.Struct("<QQQQ")
SYNC_SECONDS = 0.1

log = logging.getLogger(__name__)


class SpoolFullError(UnavailableError):
    """The spool cannot take another record."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Records in the order of their appending, and the position behind the last: give it back to ``acknowledge``."""

    records: list[bytes]
    segment: int
    offset: int


class SpoolReader:
    """Reads one instance's folder from its cursor on. Holds the folder's lock unless the writer does."""

    def __init__(self, home: Path, lock: int | None = None) -> None:
        self.home = home
        self.damaged_bytes = 0
        self._lock = lock
        self._segment, self._offset, self._promised, self._promised_end = self._load_cursor()

    def read_pack(self, max_records: int = 256, max_bytes: int = 1 << 20) -> Pack | None:
        """The next records after the last ``acknowledge``; at least one when there is one, else None.

        The very same pack comes again until it is acknowledged, also to the heir of a killed process: a receiver that
        knows packs by their digest then sees a repetition for what it is. A torn record at the end of a segment and
        damaged bytes inside are skipped (counted in ``damaged_bytes``).
        """
        for number in self._segments():
            if number < self._segment:
                continue
            start = self._offset if number == self._segment else 0
            if number == self._promised and self._promised_end > start:
                records, end = self._read_range(number, start, self._promised_end), self._promised_end
            else:
                records, end = self._read_segment_from(number, start, max_records, max_bytes)
                if records:
                    self._save_cursor(self._segment, self._offset, number, end)
            if records:
                return Pack(records, number, end)
        return None

    def acknowledge(self, pack: Pack) -> None:
        """The pack is safe elsewhere: remember that, and delete the segments that are wholly delivered."""
        self._save_cursor(pack.segment, pack.offset, 0, 0)
        for number in self._segments():
            if number < pack.segment:
                self._delete(number)

    def remove(self) -> None:
        """Delete the whole folder (everything in it was delivered) and let the lock go."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let the lock go; what is left stays for whoever comes next."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _delete(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)

    def _visible_size(self, number: int) -> int:
        return self._path(number).stat().st_size

    def _path(self, number: int) -> Path:
        return self.home / f"{number:012d}.seg"

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.home.glob("*.seg"))

    def _load_cursor(self) -> tuple[int, int, int, int]:
        """Segment and offset that were delivered; segment and end of the pack that was given out after that."""
        try:
            raw = (self.home / "cursor").read_bytes()
            segment, offset, promised, end = _CURSOR.unpack(raw[:-4])
        except (OSError, struct.error):
            return 0, 0, 0, 0
        known = raw[-4:] == zlib.crc32(raw[:-4]).to_bytes(4, "little")
        return (segment, offset, promised, end) if known else (0, 0, 0, 0)

    def _save_cursor(self, segment: int, offset: int, promised: int, end: int) -> None:
        packed = _CURSOR.pack(segment, offset, promised, end)
        fresh = self.home / "cursor.new"
        try:
            fresh.write_bytes(packed + zlib.crc32(packed).to_bytes(4, "little"))
            fresh.replace(self.home / "cursor")
        except OSError as error:  # on a full disk delivery must go on: it is what makes room
            log.warning("the cursor of %s cannot be written (%s); a crash now repeats some calls", self.home, error)
        self._segment, self._offset, self._promised, self._promised_end = segment, offset, promised, end

    def _read_range(self, number: int, start: int, end: int) -> list[bytes]:
        with self._path(number).open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), end - start, start)
        return self._parse(data, len(data), len(data))[0]

    def _read_segment_from(self, number: int, start: int, max_records: int, max_bytes: int) -> tuple[list[bytes], int]:
        size = self._visible_size(number)
        if start >= size:
            return [], start
        with self._path(number).open("rb", buffering=0) as file:
            window = min(size - start, max_bytes + max_records * _HEAD.size)
            data = os.pread(file.fileno(), window, start)
            if len(data) >= _HEAD.size:
                magic, length, _ = _HEAD.unpack_from(data)
                whole = _HEAD.size + length
                if magic == MAGIC and len(data) < whole <= size - start:
                    data = os.pread(file.fileno(), whole, start)
            records, used = self._parse(data, max_records, max_bytes)
            if not records and start + len(data) < size:
                # Nothing readable in this window: look for the next whole record in all the rest.
                data = os.pread(file.fileno(), size - start, start)
                records, used = self._parse(data, max_records, max_bytes)
        return records, start + used

    def _parse(self, data: bytes, max_records: int, max_bytes: int) -> tuple[list[bytes], int]:
        records: list[bytes] = []
        position = total = used = 0
        while len(records) < max_records and position + _HEAD.size <= len(data):
            magic, length, check = _HEAD.unpack_from(data, position)
            end = position + _HEAD.size + length
            payload = data[position + _HEAD.size : end] if magic == MAGIC and end <= len(data) else None
            if payload is None or zlib.crc32(payload) != check:
                if magic == MAGIC and end > len(data) and records:
                    break  # goes on behind this window
                following = data.find(MAGIC, position + 1)
                if following < 0:
                    break
                self.damaged_bytes += following - position
                position = following
                continue
            if records and total + length > max_bytes:
                break
            records.append(payload)
            total += length
            position = used = end
        return records, used


class Spool(SpoolReader):
    """The living process's own spool: appends and reads. One thread appends; the sync thread is the spool's own.

    Sizes are bytes; ``limit_bytes`` bounds what waits here undelivered.
    """

    def __init__(self, folder: Path, segment_bytes: int = 16 << 20, limit_bytes: int = 8 << 30) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.instance = f"{time.time_ns():x}-{os.getpid()}"
        # Locked before it can be seen under its name: an unlocked folder is taken for a dead process's.
        hidden = folder / f".{self.instance}"
        hidden.mkdir()
        lock = _try_lock(hidden)
        assert lock is not None
        home = hidden.rename(folder / self.instance)
        super().__init__(home, lock)
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._active = 0
        self._size = 0
        self._descriptor = self._open_segment(1)
        self._closed = False
        self._dirty = threading.Event()
        self._unsynced = False
        self._retired: list[int] = []  # descriptors of full segments; only the sync thread closes them
        self._syncer = threading.Thread(target=self._sync_forever, name="spool-sync", daemon=True)
        self._syncer.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here for delivery (whole segments count until they are deleted)."""
        return self._bytes - (self._offset if self._segment in self._sizes else 0)

    def append(self, payload: bytes) -> None:
        """Write one record. When it returns, the record outlives this process. Raises SpoolFullError otherwise."""
        self.append_parts([payload])

    def append_parts(self, parts: list[bytes]) -> None:
        """``append`` for a payload in pieces, which are not joined first: large bodies are not copied."""
        if len(parts) == 1:
            payload = parts[0]
            record = _HEAD.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload
            length, pieces = len(record), None
        else:
            check = size = 0
            for part in parts:
                check = zlib.crc32(part, check)
                size += len(part)
            record = b""
            length, pieces = _HEAD.size + size, [_HEAD.pack(MAGIC, size, check), *parts]
        if self._bytes + length > self._limit_bytes and self.waiting_bytes + length > self._limit_bytes:
            raise SpoolFullError(f"The spool {self.folder} is full ({self._limit_bytes} bytes wait): is NATS down?")
        try:
            if self._size and self._size + length > self._segment_bytes:
                self._roll()
            written = os.write(self._descriptor, record) if pieces is None else os.writev(self._descriptor, pieces)
        except OSError as error:
            raise SpoolFullError(f"The spool {self.folder} cannot be written: {error.strerror}") from error
        if written != length:
            self._take_back()
            raise SpoolFullError(f"The spool {self.folder} cannot be written: the disk is full")
        self._size += length
        self._bytes += length
        self._sizes[self._active] = self._size
        if not self._unsynced:
            self._unsynced = True
            self._dirty.set()

    def orphans(self) -> Iterator[SpoolReader]:
        """The spools of dead processes in the same folder, each locked for the caller, who drains and removes it."""
        for home in sorted(self.folder.iterdir()):
            if home.name.startswith(".") or home.name == self.instance or not home.is_dir():
                continue
            lock = _try_lock(home)
            if lock is None:
                continue
            if (home / "lock").exists():  # else it was drained and deleted in between
                yield SpoolReader(home, lock)
            else:
                os.close(lock)

    def close(self) -> None:
        """Sync and let go. A spool that was wholly delivered leaves nothing behind."""
        if self._closed:
            return
        self._closed = True
        self._dirty.set()
        self._syncer.join()
        with contextlib.suppress(OSError):
            self._sync()
        os.close(self._descriptor)
        self._descriptor = -1  # a late append must fail, not hit whatever gets the number next
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
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path(number), flags, 0o600)
        self._active, self._size = number, 0
        self._sizes[number] = 0
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
            self._dirty.wait()
            if self._closed:
                return
            time.sleep(SYNC_SECONDS)
            self._dirty.clear()
            self._unsynced = False
            try:
                self._sync()
            except OSError as error:
                log.error("spool %s cannot be synced: %s", self.home, error)

    def _sync(self) -> None:
        while self._retired:
            full = self._retired.pop()
            try:
                os.fdatasync(full)
            finally:
                os.close(full)
        os.fdatasync(self._descriptor)


def _try_lock(home: Path) -> int | None:
    """An open, locked descriptor of the folder's lock file, or None while another process lives in it."""
    try:
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
