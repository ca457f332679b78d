"""How much of the spools in a folder the stream has not got yet. Reads only; takes no lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regraft.infra.spool.reader import Cursor, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolBacklog:
    """``bytes`` of captured calls that wait; ``since`` when nothing of the slowest spool was delivered any more."""

    bytes: int
    since: datetime | None


def spool_backlog(folder: Path) -> SpoolBacklog:
    """The backlog of all gateway processes, living and dead, that spool into a folder; none without the folder."""
    waiting = 0
    times: list[float] = []
    for home in folder.iterdir() if folder.is_dir() else ():
        size, since = _of_one(home) if home.is_dir() else (0, None)
        waiting += size
        if since is not None:
            times.append(since)
    return SpoolBacklog(bytes=waiting, since=datetime.fromtimestamp(min(times), UTC) if times else None)


def _of_one(home: Path) -> tuple[int, float | None]:
    cursor = home / "cursor"
    at = Position()
    delivered_at: float | None = None
    if cursor.is_file():
        reader = Cursor(cursor)
        try:
            at = reader.load()
        finally:
            reader.close()
        delivered_at = cursor.stat().st_mtime
    waiting, oldest = 0, None
    for path in sorted(home.glob("*.seg")):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue  # delivered meanwhile
        number = int(path.stem)
        rest = 0 if number < at.segment else state.st_size - (at.offset if number == at.segment else 0)
        if rest > 0:
            waiting += rest
            oldest = state.st_ctime if oldest is None else oldest
    if not waiting:
        return 0, None
    return waiting, delivered_at if delivered_at is not None else oldest
