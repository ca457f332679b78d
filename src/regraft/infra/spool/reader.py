"""The reading side of a spool: packs of records from the cursor on, in the writer's process or in another.

``cursor`` says how far records were delivered, and which pack was given out after that. It has two places that are
written in turn, in a file that never changes its size: a process killed at any moment leaves at least one whole, and
moving on costs one small write.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

MAGIC = b"RGS1"
HEAD = struct.Struct("<4sII")  # magic, bytes of the payload, CRC-32 of the payload
_CURSOR = struct.Struct("<QQQQQ")  # how often it was saved, and the Position
_PLACE = 512  # bytes apart: a sector is written whole or not at all

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a spool is read: all was delivered up to ``offset`` of ``segment``, and a pack was given out after that,
    which ends at ``promised_end`` of the segment ``promised``. Zeros: unknown."""

    segment: int = 0
    offset: int = 0
    promised: int = 0
    promised_end: int = 0


class Cursor:
    """A position that outlives its process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._saved = 0

    def load(self) -> Position:
        """The position that was saved last."""
        try:
            raw = self._path.read_bytes()
        except OSError:
            return Position()
        found = (0, 0, 0, 0, 0)
        for start in (0, _PLACE):
            packed, check = raw[start : start + _CURSOR.size], raw[start + _CURSOR.size : start + _CURSOR.size + 4]
            if len(packed) == _CURSOR.size and zlib.crc32(packed).to_bytes(4, "little") == check:
                found = max(found, _CURSOR.unpack(packed))
        self._saved = found[0]
        return Position(*found[1:])

    def save(self, position: Position) -> None:
        """Raises OSError when there is no room for it."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._descriptor).st_size < 2 * _PLACE:
                os.pwrite(self._descriptor, bytes(2 * _PLACE), 0)
        self._saved += 1
        packed = _CURSOR.pack(self._saved, *astuple(position))
        place = self._saved % 2 * _PLACE
        os.pwrite(self._descriptor, packed + zlib.crc32(packed).to_bytes(4, "little"), place)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


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
        self._cursor = Cursor(home / "cursor")
        self._position = self._cursor.load()

    def read_pack(self, max_records: int = 256, max_bytes: int = 1 << 20) -> Pack | None:
        """The next records after the last ``acknowledge``; at least one when there is one, else None.

        The very same pack comes again until it is acknowledged, also to the successor of a killed process: a receiver
        that knows packs by their digest then sees a repetition for what it is. A torn record at the end of a segment
        and damaged bytes inside are skipped (counted in ``damaged_bytes``)."""
        for number in self._segments():
            at = self._position
            if number < at.segment:
                continue
            start = at.offset if number == at.segment else 0
            if number == at.promised and at.promised_end > start:
                records, end = self._read_range(number, start, at.promised_end), at.promised_end
            else:
                records, end = self._read_segment_from(number, start, max_records, max_bytes)
                if records:
                    self._move_to(Position(at.segment, at.offset, number, end))
            if records:
                return Pack(records, number, end)
        return None

    def acknowledge(self, pack: Pack) -> None:
        """The pack is safe elsewhere: remember that, and delete the segments that are wholly delivered."""
        self._move_to(Position(pack.segment, pack.offset))
        for number in self._segments():
            if number < pack.segment:
                self._delete(number)

    def remove(self) -> None:
        """Delete the whole folder (everything in it was delivered) and let the lock go."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Release the lock; what is left stays for the next reader."""
        self._cursor.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _move_to(self, position: Position) -> None:
        try:
            self._cursor.save(position)
        except OSError as error:  # on a full disk delivery must continue: it is what makes room
            log.warning("the cursor of %s cannot be written (%s); a crash now repeats some calls", self.home, error)
        self._position = position

    def _delete(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)

    def _visible_size(self, number: int) -> int:
        return self._path(number).stat().st_size

    def _path(self, number: int) -> Path:
        return self.home / f"{number:012d}.seg"

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.home.glob("*.seg"))

    def _read_range(self, number: int, start: int, end: int) -> list[bytes]:
        with self._path(number).open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), end - start, start)
        return self._parse(data, len(data), len(data))[0]

    def _read_segment_from(self, number: int, start: int, max_records: int, max_bytes: int) -> tuple[list[bytes], int]:
        size = self._visible_size(number)
        if start >= size:
            return [], start
        with self._path(number).open("rb", buffering=0) as file:
            window = min(size - start, max_bytes + max_records * HEAD.size)
            data = os.pread(file.fileno(), window, start)
            if len(data) >= HEAD.size:
                magic, length, _ = HEAD.unpack_from(data)
                whole = HEAD.size + length
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
        while len(records) < max_records and position + HEAD.size <= len(data):
            magic, length, check = HEAD.unpack_from(data, position)
            end = position + HEAD.size + length
            payload = data[position + HEAD.size : end] if magic == MAGIC and end <= len(data) else None
            if payload is None or zlib.crc32(payload) != check:
                if magic == MAGIC and end > len(data) and records:
                    break  # continues behind this window
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


class LiveReader(SpoolReader):
    """Reads the spool of a living writer in another process, as far as the writer says that it has written."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._end = (0, 0)

    @property
    def delivered(self) -> tuple[int, int]:
        """Segment and offset."""
        return self._position.segment, self._position.offset

    def written(self, segment: int, size: int) -> None:
        """The writer has written ``size`` bytes of this segment, and no later one."""
        self._end = (segment, size)

    def _visible_size(self, number: int) -> int:
        segment, size = self._end
        return size if number == segment else super()._visible_size(number)

    def _segments(self) -> list[int]:
        return [number for number in super()._segments() if number <= self._end[0]]


def orphans(folder: Path, but: str) -> Iterator[SpoolReader]:
    """The spools of dead processes in a folder, each locked for the caller, who drains and removes it."""
    for home in sorted(folder.iterdir()):
        if home.name.startswith(".") or home.name == but or not home.is_dir():
            continue
        lock = try_lock(home)
        if lock is None:
            continue
        if (home / "lock").exists():  # else it was drained and deleted in between
            yield SpoolReader(home, lock)
        else:
            os.close(lock)


def try_lock(home: Path) -> int | None:
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
