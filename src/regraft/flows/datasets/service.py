"""Datasets for a process that serves: recipes, previews and freezes in the background, rows, exports, differences."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from regraft.domain.datasets.formats import format_named
from regraft.flows.background import Background, BackgroundJob
from regraft.flows.datasets.difference import SnapshotDifference, difference
from regraft.flows.datasets.export_archive import ExportArchives
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.preview import preview
from regraft.flows.datasets.recipe_library import RecipeLibrary
from regraft.flows.datasets.stored import StoredSnapshots
from regraft.flows.datasets.verify import verify
from regraft.infra.settings import Settings

PREVIEW, FREEZE, VERIFY, EXPORT, DIFFERENCE = "preview", "freeze", "verify", "export", "difference"

_SHOWN = 12  # rows of a preview with their texts
_NAMED = 20_000  # rows of each sort that a difference names
_DIFFERENCES = 16  # differences that are kept: snapshots never change


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSetup:
    """Where frozen rows lie, and where recipes are saved; without a folder of recipes none can be."""

    warehouse: str
    recipes: Path | None = None


def dataset_setup(settings: Settings) -> DatasetSetup:
    """The setup that the settings describe."""
    return DatasetSetup(warehouse=settings.warehouse_path, recipes=settings.recipes)


class DatasetService:
    """``scope`` is the tenant that asks, None for all: what is selected is the tenant's alone, and its recipes
    name no files of the server. Work goes to ``background``."""

    def __init__(self, dsn: str, workbench: Path, setup: DatasetSetup, background: Background) -> None:
        self.dsn, self.warehouse = dsn, setup.warehouse
        self._workbench = workbench
        self._background = background
        self._differences: OrderedDict[tuple[str, str], SnapshotDifference] = OrderedDict()
        self._lock = Lock()
        self.recipes = RecipeLibrary(setup.recipes)
        self.stored = StoredSnapshots(dsn, setup.warehouse)
        self.archives = ExportArchives(dsn, setup.warehouse, workbench.parent)

    def preview(self, text: str, page: str, *, scope: str | None, all_rows: bool = False) -> BackgroundJob:
        """Begin a preview. One that continues for the same ``page`` is cancelled. Raises ConfigError."""
        recipe = self.recipes.require(text, files=scope is None)
        return self._background.start(
            PREVIEW,
            lambda work: preview(
                text,
                dsn=self.dsn,
                workbench=self._workbench,
                all_rows=all_rows,
                show=_SHOWN,
                scope=scope,
                progress=work.progress,
            ),
            about=recipe.name,
            key=f"preview {scope} {page}",
            scope=scope,
            replaces=True,
        )

    def freeze(self, text: str, *, scope: str | None) -> BackgroundJob:
        """Begin a freeze; while the same text is being frozen, that is answered. Raises ConfigError."""
        recipe = self.recipes.require(text, files=scope is None)
        return self._background.start(
            FREEZE,
            lambda work: freeze(
                text,
                dsn=self.dsn,
                workbench=self._workbench,
                warehouse=self.warehouse,
                scope=scope,
                progress=work.progress,
            ),
            about=recipe.name,
            key=f"freeze {scope} {text}",
            scope=scope,
        )

    def verify(self, snapshot_id: str, *, scope: str | None) -> BackgroundJob:
        """Begin to verify a snapshot."""
        return self._background.start(
            VERIFY,
            lambda work: verify(
                snapshot_id,
                dsn=self.dsn,
                warehouse=self.warehouse,
                workbench=self._workbench,
                progress=work.progress,
            ),
            about=snapshot_id,
            key=f"verify {scope} {snapshot_id}",
            scope=scope,
        )

    def export(self, snapshot_id: str, target: str, *, scope: str | None) -> BackgroundJob:
        """Begin to make an archive of a snapshot's files. Raises UsageError for an unknown target."""
        format_named(target)
        return self._background.start(
            EXPORT,
            lambda work: self.archives.make(snapshot_id, target, scope, work.progress),
            about=snapshot_id,
            key=f"export {scope} {snapshot_id} {target}",
            scope=scope,
        )

    def difference(self, a: str, b: str, *, scope: str | None) -> SnapshotDifference | BackgroundJob:
        """What differs between two snapshots, or the work that finds it out."""
        with self._lock:
            known = self._differences.get((a, b))
        if known is not None:
            return known
        return self._background.start(
            DIFFERENCE, lambda work: self._compare(a, b, work.progress), key=f"difference {scope} {a} {b}", scope=scope
        )

    def _compare(self, a: str, b: str, progress: Any) -> SnapshotDifference:
        found = difference(a, b, dsn=self.dsn, warehouse=self.warehouse, shown=_NAMED, progress=progress)
        with self._lock:
            self._differences[a, b] = found
            while len(self._differences) > _DIFFERENCES:
                self._differences.popitem(last=False)
        return found

    def forget(self, snapshot_id: str) -> None:
        """A snapshot was withdrawn: what is remembered of it goes."""
        self.stored.forget(snapshot_id)
        with self._lock:
            for pair in [one for one in self._differences if snapshot_id in one]:
                del self._differences[pair]

    def close(self) -> None:
        """Remove what was made to be fetched."""
        self.archives.close()
