"""A log of conversations, opened to be read from Python."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import pyarrow as pa

from regraft.domain.errors import UsageError
from regraft.infra.embedded.stack import Stack
from regraft.infra.files.recipes import recipe_text
from regraft.infra.files.taxonomies import taxonomy_of

if TYPE_CHECKING:
    from regraft.flows.capture.import_report import ImportCounts
    from regraft.flows.datasets.preview import Preview
    from regraft.presentation.python.snapshot import Snapshot

TableName: TypeAlias = Literal[
    "sessions", "units", "clusters", "pairs", "labels", "pivots", "categories", "judges", "snapshots"
]


class Log:
    """A log: its sessions and trees, what was measured and judged of them, and the datasets frozen from it.

    `regraft.open()` gives one. It is a context manager: embedded servers are started when something is read for the
    first time, and those that were started here are stopped at the end of the block, or by `close()`. Threads may share
    a log. Every method raises `UnavailableError` when PostgreSQL cannot be reached.

    Tables are `pyarrow.Table`; ids are text, times are UTC, shares and scores are from 0 to 1. Each field's metadata
    says what the column means (`table.schema.field("quality").metadata`).
    """

    def __init__(
        self, stack: Stack, *, workbench: Path | None, warehouse: str | None, place: str, create: bool = False
    ) -> None:
        self._stack = stack
        self._workbench = workbench
        self._warehouse = warehouse
        self._place = place
        self._create = create
        self._folder: TemporaryDirectory[str] | None = None
        self._lock = RLock()
        self._closed = False
        self._stop = weakref.finalize(self, stack.close)  # also when the program ends without closing the log

    def __repr__(self) -> str:
        return f"<regraft.Log {self._place}{' (closed)' if self._closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the servers that this log started. A closed log cannot be read any more."""
        with self._lock:
            self._closed = True
            self._stop()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def sessions(self, *, theme: str | None = None, side: bool | None = None) -> pa.Table:
        """Sessions, the most recent first.

        `theme`: only those of a theme. `side`: only those of clients' side calls (titles, probes), or only the others.
        """
        return self.batches("sessions", theme=theme, side=side).read_all()

    def tree(self, session: str) -> pa.Table:
        """The nodes of a session: each node, then all below it, siblings by time.

        `session`: its id, the first six digits of it or more, or its client's name. Raises `NotFoundError`, and
        `UsageError` when it names several.
        """
        from regraft.flows.lineage import tables

        return _reader(tables.NODES, tables.tree(self._dsn(), session)).read_all()

    def messages(self, node: str) -> list[dict[str, Any]]:
        """The messages of a node, as they were said: the history that its call was made with, then its answer, if it
        has one.

        `node`: its id, or the first six digits of it or more. Raises `NotFoundError` or `UsageError`.
        """
        from regraft.flows.lineage import reading

        found = reading.node(self._dsn(), node, limit=1)
        history: list[dict[str, Any]] = reading.values(found.node).get("history") or []
        answers = [answer for run in found.runs if (answer := reading.values(run).get("answer"))]
        return [*history, *answers[:1]]

    def units(self, *, theme: str | None = None, session: str | None = None, refresh: bool = True) -> pa.Table:
        """Measured paths from a root to a leaf, by id.

        `refresh`: measure what changed in the graph first; the work is proportional to the change.
        """
        return self.batches("units", theme=theme, session=session, refresh=refresh).read_all()

    def clusters(self, *, theme: str | None = None, session: str | None = None, refresh: bool = True) -> pa.Table:
        """The cluster of each path at the default layer, and its place on the map, by id.

        `refresh`: measure what changed in the graph first, and give new paths that are embedded their clusters. Texts
        are embedded and clusters fitted by `regraft clusters list` and by Dagster.
        """
        return self.batches("clusters", theme=theme, session=session, refresh=refresh).read_all()

    def pairs(
        self,
        *,
        theme: str | None = None,
        session: str | None = None,
        verdict: Literal["legal", "refused"] | None = None,
        refresh: bool = True,
    ) -> pa.Table:
        """Candidate pairs of sibling answers, legal and refused ones, by id.

        `refresh`: compare what changed in the graph or was judged first.
        """
        return self.batches("pairs", theme=theme, session=session, verdict=verdict, refresh=refresh).read_all()

    def labels(self, *, theme: str | None = None, session: str | None = None) -> pa.Table:
        """Labels that count today, the oldest first: ratings and preferences of reviews, and what clients and imports
        reported about answers. One that was corrected since is not among them."""
        return self.batches("labels", theme=theme, session=session).read_all()

    def pivots(self, *, theme: str | None = None, session: str | None = None, refresh: bool = True) -> pa.Table:
        """Contexts whose answers led to different outcomes, the heaviest first.

        `refresh`: value what changed in the graph or was judged first.
        """
        return self.batches("pivots", theme=theme, session=session, refresh=refresh).read_all()

    def categories(self, *, theme: str | None = None, session: str | None = None, refresh: bool = True) -> pa.Table:
        """Categories of measured paths, a row for each maker that says something of them: rules, judges, the learned
        labeller, people.

        `refresh`: label what changed first. Learned labels are those of the last training.
        """
        return self.batches("categories", theme=theme, session=session, refresh=refresh).read_all()

    def judges(self, *, refresh: bool = True) -> pa.Table:
        """How well judges agree with people, by task, category and theme.

        `refresh`: compare them again first.
        """
        return self.batches("judges", refresh=refresh).read_all()

    def snapshots(self) -> pa.Table:
        """Frozen datasets, the oldest first, with withdrawn ones."""
        return self.batches("snapshots").read_all()

    def batches(
        self,
        table: TableName,
        *,
        theme: str | None = None,
        session: str | None = None,
        side: bool | None = None,
        verdict: Literal["legal", "refused"] | None = None,
        refresh: bool = True,
    ) -> pa.RecordBatchReader:
        """The same tables as a stream of batches, at most 5,000 rows each, for what is larger than memory.

        `table`: `sessions`, `units`, `clusters`, `pairs`, `labels`, `pivots`, `categories`, `judges` or
        `snapshots`; the filters are those of the method of that name. Raises `UsageError` for an unknown table, or a
        filter that it does not have.
        """
        from regraft.flows.datasets import tables as datasets
        from regraft.flows.evaluation import category_tables
        from regraft.flows.evaluation import tables as evaluation
        from regraft.flows.lineage import tables as lineage

        given = {"theme": theme, "session": session, "side": side, "verdict": verdict}
        filters = {name: value for name, value in given.items() if value is not None}
        known: dict[str, tuple[pa.Schema, Callable[..., Iterator[pa.RecordBatch]], tuple[str, ...]]] = {
            "sessions": (lineage.SESSIONS, lineage.sessions, ("theme", "side")),
            "units": (evaluation.UNITS, evaluation.units, ("theme", "session")),
            "clusters": (evaluation.CLUSTERS, evaluation.clusters, ("theme", "session")),
            "pairs": (evaluation.PAIRS, evaluation.pairs, ("theme", "session", "verdict")),
            "labels": (evaluation.LABELS, evaluation.labels, ("theme", "session")),
            "pivots": (category_tables.PIVOTS, category_tables.pivots, ("theme", "session")),
            "categories": (category_tables.CATEGORIES, category_tables.categories, ("theme", "session")),
            "judges": (evaluation.JUDGES, evaluation.judges, ()),
            "snapshots": (datasets.SNAPSHOTS, datasets.snapshots, ()),
        }
        if table not in known:
            raise UsageError(f"There is no table {table!r}. It is one of: {', '.join(known)}.")
        schema, read, able = known[table]
        if unknown := sorted(filters.keys() - set(able)):
            raise UsageError(f"{table} cannot be filtered by {', '.join(unknown)}.")
        where: tuple[Any, ...] = (self._dsn(),)
        if table in ("units", "clusters", "pairs", "pivots", "categories", "judges"):
            where = (*where, self._bench())
            filters["refresh"] = refresh
        if table == "categories":
            where = (*where, taxonomy_of(self._stack.settings))
        return _reader(schema, read(*where, **filters))

    def snapshot(self, snapshot: str) -> Snapshot:
        """A frozen dataset: by its id, the start of it, or a dataset's name, which means its newest snapshot.

        Raises `NotFoundError` unless one fits, `WithdrawnError` for a withdrawn one.
        """
        from regraft.flows.datasets.freeze import find_snapshot
        from regraft.presentation.python.snapshot import Snapshot

        found, recipe = find_snapshot(self._dsn(), snapshot)
        return Snapshot(found, recipe, dsn=self._dsn, warehouse=self._rows_at, workbench=self._bench)

    def freeze(self, recipe: str | Path) -> Snapshot:
        """Make a recipe's rows and freeze them. The same recipe over the same content gives the same snapshot.

        `recipe`: a TOML file, the name of a built-in recipe, or the text of a recipe. Raises `ConfigError` for a bad
        recipe, `IllegalRowError` when no row is left.
        """
        from regraft.flows.datasets import freeze as flow
        from regraft.infra.files.recipes import parse_recipe

        text = _recipe(recipe)
        workbench = self._bench()
        if self._folder is not None and parse_recipe(text).filters.redact:
            raise UsageError(
                "The key of redaction is kept in the data folder: name that too, as in "
                "regraft.open(dsn=..., data_dir=FOLDER)."
            )
        frozen = flow.freeze(text, dsn=self._dsn(), workbench=workbench, warehouse=self._rows_at())
        return self.snapshot(frozen.snapshot_id)

    def preview(self, recipe: str | Path, *, all_rows: bool = False, show: int = 3) -> Preview:
        """What a recipe would give: counts of rows by split, stratum and label source, refusals with examples, lengths,
        leakage. Nothing is frozen.

        `all_rows`: make every row, not only the best thousand. `show`: rows that come with their texts.
        """
        from regraft.flows.datasets import preview as flow

        text = _recipe(recipe)
        return flow.preview(text, dsn=self._dsn(), workbench=self._bench(), all_rows=all_rows, show=show)

    def import_files(self, files: str | Path | Sequence[str | Path], *, theme: str | None = None) -> ImportCounts:
        """Import files of conversations, or folders of them, and place them in the graph; the same again adds nothing.

        `theme`: a theme for all sessions. The result counts what was read, and names what was refused. Raises
        `UsageError` when nothing is of a known format.
        """
        from regraft.flows.capture.importing import import_files

        several = [files] if isinstance(files, str | Path) else files
        return import_files(self._dsn(), [Path(file) for file in several], theme=theme)

    def build(self) -> int:
        """Place captured turns that are not in the graph yet; how many were placed. `regraft up` does it all the
        time."""
        from regraft.flows.lineage.build import build

        return build(self._dsn()).turns

    def _dsn(self) -> str:
        with self._lock:
            if self._closed:
                raise UsageError("This log is closed. Open it again.")
            return self._stack.postgres() if self._create else self._stack.existing_postgres()

    def _bench(self) -> Path:
        with self._lock:
            if self._workbench is None:
                self._folder = TemporaryDirectory(prefix="regraft-")
                self._workbench = Path(self._folder.name) / "workbench.duckdb"
            return self._workbench

    def _rows_at(self) -> str:
        if self._warehouse is None:
            raise UsageError(
                "Frozen rows lie in the warehouse: name it too, as in regraft.open(dsn=..., warehouse=FOLDER_OR_URL)."
            )
        return self._warehouse


def _reader(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(schema, batches)


def _recipe(recipe: str | Path) -> str:
    """A text of TOML has a line with a key; anything else names a file or a built-in recipe."""
    return recipe if isinstance(recipe, str) and "=" in recipe and "\n" in recipe else recipe_text(str(recipe))
