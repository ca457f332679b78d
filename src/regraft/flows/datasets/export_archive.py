"""Exports of frozen datasets to take away: a target's files in one zip file, kept for a while."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from uuid import uuid4
from zipfile import ZIP_DEFLATED, ZipFile

from regraft.domain.errors import NotFoundError, UnavailableError
from regraft.flows.datasets.export import export
from regraft.flows.datasets.progress import Progress
from regraft.infra.data_folder import make_data_folder
from regraft.infra.files.drafts import draft_folder

DRAFT = "export-"  # of the name of the folder where archives lie
_KEPT = 4  # archives, the newest
_LONGEST = 4 << 30  # bytes of an export's files
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportArchive:
    """A zip file to fetch, made for the tenant ``scope``. ``rows`` were written by split, ``left_out`` ones could not
    be, by reason."""

    archive_id: str
    snapshot_id: str
    target: str
    scope: str | None
    file_name: str
    size: int
    files: tuple[str, ...]
    rows: Mapping[str, int]
    left_out: Mapping[str, int]


class ExportArchives:
    """Makes archives in a draft folder of the data folder. The newest few are kept while the process runs."""

    def __init__(self, dsn: str, warehouse: str, data_folder: Path) -> None:
        self._dsn, self._warehouse, self._home = dsn, warehouse, data_folder
        self._made: OrderedDict[str, tuple[ExportArchive, Path]] = OrderedDict()
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._lock = Lock()

    def make(self, snapshot_id: str, target: str, scope: str | None, progress: Progress) -> ExportArchive:
        """Export a snapshot and pack its files. Raises what ``export`` raises, and UnavailableError for an export that
        is too large to fetch."""
        archive_id = uuid4().hex
        place = self._place() / archive_id

        def watched(step: str, done: int, total: int) -> None:
            progress(step, done, total)
            size = sum(path.stat().st_size for path in place.parent.rglob("*") if path.is_file())
            if size > _LONGEST:
                limit = f"{_LONGEST // _GIB} GiB"
                raise UnavailableError(
                    f"The files are larger than {limit}. `regraft dataset export` writes them there."
                )

        try:
            result = export(
                snapshot_id, place, dsn=self._dsn, warehouse=self._warehouse, format=target, progress=watched
            )
            path = place.with_suffix(".zip")
            names = sorted(each.name for each in place.iterdir())
            inside = f"{result.snapshot_id}-{result.target}"
            with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as packed:
                for number, name in enumerate(names):
                    progress("packing", number, len(names))
                    packed.write(place / name, f"{inside}/{name}")
        finally:
            shutil.rmtree(place, ignore_errors=True)
        made = ExportArchive(
            archive_id=archive_id,
            snapshot_id=result.snapshot_id,
            target=result.target,
            scope=scope,
            file_name=f"{inside}.zip",
            size=path.stat().st_size,
            files=tuple(names),
            rows=result.row_counts,
            left_out=result.left_out,
        )
        with self._lock:
            self._made[archive_id] = (made, path)
            while len(self._made) > _KEPT:
                _, (_, oldest) = self._made.popitem(last=False)
                oldest.unlink(missing_ok=True)
        return made

    def find(self, archive_id: str, scope: str | None) -> tuple[ExportArchive, Path]:
        """An archive that the tenant ``scope`` may fetch, and its file. Raises NotFoundError for one that is gone."""
        with self._lock:
            found = self._made.get(archive_id)
        if found is None or scope not in (None, found[0].scope) or not found[1].exists():  # an erasure removes it
            raise NotFoundError("This export is not kept any more. Make it again.")
        return found

    def close(self) -> None:
        """Remove every archive."""
        with self._lock:
            self._made.clear()
            self._stack.close()

    def _place(self) -> Path:
        with self._lock:
            if self._folder is None:
                make_data_folder(self._home)
                self._folder = self._stack.enter_context(draft_folder(DRAFT, self._home))
            return self._folder


def remove_archives(data_folder: Path) -> int:
    """Remove what running processes keep to be fetched, in a data folder; how many files."""
    removed = 0
    for path in data_folder.glob(f"{DRAFT}*/*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed += 1
    return removed
