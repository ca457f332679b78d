"""Transcripts that grow: their files are looked at again and again, and what was written since is imported.

Nothing is remembered between runs. A file that changed is read again, what is stored already is passed over, and ids
follow from what was said, so that stopping at any moment and starting again stores nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.capture.importers.growing import Age
from regraft.domain.errors import NotFoundError, UnavailableError
from regraft.flows.capture.import_report import ImportCounts
from regraft.flows.capture.importing import DEFAULT_SCOPE, import_files
from regraft.infra.backoff import Backoff
from regraft.infra.files.exports import parts

INTERVAL_SECONDS = 2.0
FRESH_SECONDS = 5.0  # after a change, in which no last answer counts as whole
SETTLE_SECONDS = 60.0  # without a change, after which every answer does
_BACKOFF = Backoff(2 * INTERVAL_SECONDS, 60.0)  # while PostgreSQL is away

Wait = Callable[[float], bool]  # wait so many seconds; False: end


@dataclass(frozen=True, slots=True)
class _FileState:
    """A file as it was when it was read."""

    stamp: tuple[int, int, int]
    age: Age


def watch(
    dsn: str,
    paths: Sequence[Path],
    *,
    wait: Wait,
    report: Callable[[ImportCounts], None],
    form: str | None = None,
    theme: str | None = None,
    scope: str = DEFAULT_SCOPE,
    fresh: float = FRESH_SECONDS,
    settle: float = SETTLE_SECONDS,
) -> None:
    """Import files and folders, and then what is added to them, until ``wait`` ends it. ``report`` gets the counts of
    each round that read something. While PostgreSQL is down, nothing is read."""
    seen: dict[Path, _FileState] = {}
    failures = 0
    while True:
        changed = {path: look for path, look in _looks(paths, fresh, settle) if seen.get(path) != look}
        if changed:
            growing = {path: look.age for path, look in changed.items()}
            try:
                counts = import_files(dsn, list(changed), form=form, theme=theme, scope=scope, growing=growing)
            except UnavailableError:
                failures += 1
            except (NotFoundError, FileNotFoundError):  # one that was there a moment ago
                failures = 0
            else:
                seen.update(changed)
                failures = 0
                report(counts)
        if not wait(_BACKOFF.after(failures) or INTERVAL_SECONDS):
            return


def _looks(paths: Sequence[Path], fresh: float, settle: float) -> Iterator[tuple[Path, _FileState]]:
    for path in paths:
        try:
            files = dict.fromkeys(part.path for part in parts(path))
        except NotFoundError:  # nothing there yet
            continue
        for file in files:
            try:
                state = file.stat()
            except FileNotFoundError:
                continue
            since = time.time() - state.st_mtime
            age: Age = "fresh" if since < fresh else "written" if since < settle else "settled"
            yield file, _FileState((state.st_ino, state.st_size, state.st_mtime_ns), age)
