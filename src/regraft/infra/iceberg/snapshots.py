"""Frozen datasets as Iceberg tables: one table a dataset, one tagged snapshot a freeze, holding exactly its rows.

The catalog lives in the same PostgreSQL as the truth; the files lie in a warehouse folder or at any URL that PyIceberg
can write to. A tag is a reference that expiry of old snapshots leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.errors import IntegrityError, NotFoundError, UnavailableError, UsageError
from regraft.infra.iceberg.places import moved_properties, present
from regraft.infra.iceberg.rows import schema
from regraft.infra.iceberg.store import make_folder, store_properties, warehouse_address
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.pool import connect

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

CATALOG = "regraft"
NAMESPACE = "regraft"
PROPERTY = "regraft."

_ROW_GROUP = 65_536
_DICTIONARY = 16_777_216  # bytes
_FILE_ROWS = 1_000_000
TABLE_PROPERTIES = {
    "write.parquet.row-group-limit": str(_ROW_GROUP),
    "write.parquet.dict-size-bytes": str(_DICTIONARY),
    "write.parquet.compression-codec": "zstd",
}


def catalog_properties(dsn: str, warehouse: str) -> dict[str, str]:
    """What ``pyiceberg.catalog.load_catalog("regraft", **properties)`` needs to open the frozen datasets, from Hugging
    Face ``datasets`` for one: ``load_dataset("iceberg", catalog=..., table="regraft.NAME", snapshot_id=...)``.

    Run that in a small folder: ``datasets`` 5.2 walks through the working directory first.
    ``dsn`` is any libpq connection string, ``warehouse`` a folder or a URL. Where the warehouse was moved, the
    properties name a reader of this package. Raises UnavailableError when PostgreSQL does not answer.
    """
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy.engine import URL

    given = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    host = given.pop("host", None)
    port = given.pop("port", None)
    socket = host is not None and host.startswith("/")
    query = {**given, **({"host": host} if socket and host else {}), **({"port": port} if socket and port else {})}
    for key in ("user", "password", "dbname"):
        query.pop(key, None)
    url = URL.create(
        "postgresql+psycopg",
        username=given.get("user"),
        password=given.get("password"),
        host=None if socket else host,
        port=int(port) if port and not socket else None,
        database=given.get("dbname"),
        query=query,
    )
    warehouse = warehouse_address(warehouse)
    with connect(dsn, autocommit=True, name="regraft-catalog") as connection:
        locations = registry.table_locations(connection)
    moved = moved_properties(locations, NAMESPACE, warehouse)
    store = store_properties(warehouse)
    return {"type": "sql", "uri": url.render_as_string(hide_password=False), "warehouse": warehouse, **store, **moved}


@contextmanager
def catalog(dsn: str, warehouse: str) -> Iterator[SqlCatalog]:
    """The catalog, its connections closed at the end of the block. Raises UnavailableError when its server is gone."""
    from pyiceberg.catalog.sql import SqlCatalog  # slow to import, and few commands need it
    from sqlalchemy.exc import OperationalError

    make_folder(warehouse)
    properties = catalog_properties(dsn, warehouse)
    opened: SqlCatalog | None = None
    try:
        opened = SqlCatalog(CATALOG, **{key: value for key, value in properties.items() if key != "type"})
        yield opened
    except OperationalError as error:
        raise UnavailableError(
            f"The PostgreSQL of the catalog went away: {str(error.orig).splitlines()[0]}."
        ) from error
    finally:
        if opened is not None:
            opened.engine.dispose()


def open_table(opened: SqlCatalog, name: str, kind: str) -> Table:
    """The table of a dataset, made where there is none, with today's columns.

    Raises UsageError when the dataset's name was used for another kind.
    """
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    identifier = f"{NAMESPACE}.{name}"
    opened.create_namespace_if_not_exists(NAMESPACE)
    if not opened.table_exists(identifier):
        table = opened.create_table(identifier, schema(kind), properties=TABLE_PROPERTIES)
        if PartitionSpec() == table.spec():
            with table.update_spec() as spec:
                spec.add_field("split", IdentityTransform(), "split")
        return table
    table = opened.load_table(identifier)
    if not set(KINDS[kind].columns) <= set(table.schema().column_names):
        raise UsageError(f"The dataset {name} is not of kind {kind}. Give the recipe another name.")
    with table.update_schema() as update:
        update.union_by_name(schema(kind))
    return table


class DataFiles:
    """Parquet files of a table that no snapshot names yet: one at a time for each split, closed when it is large."""

    def __init__(self, table: Table, kind: str) -> None:
        self._table = table
        self._schema = schema(kind)
        self._open: dict[str, tuple[pq.ParquetWriter, Any, int]] = {}
        self.paths: list[str] = []

    def write_all(self, batches: Iterable[pa.RecordBatch], splits: Sequence[str]) -> None:
        """Write the rows of ``batches``, whose splits are in ``splits``, and finish every file."""
        place = self._schema.get_field_index("split")
        start = 0
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            named = pa.array(splits[start : start + batch.num_rows], pa.string())
            waiting.append(batch.set_column(place, self._schema.field(place), named))
            start += batch.num_rows
            if sum(each.num_rows for each in waiting) >= _ROW_GROUP:
                self._write(pa.Table.from_batches(waiting))
                waiting.clear()
        if waiting:
            self._write(pa.Table.from_batches(waiting))
        for split in list(self._open):
            self._close(split)

    def _write(self, rows: pa.Table) -> None:
        splits = rows.column("split")
        for split in pc.unique(splits).to_pylist():
            part = rows.filter(pc.equal(splits, split))
            writer, stream, count = self._open.get(split) or self._new(split)
            writer.write_table(part, row_group_size=_ROW_GROUP)
            self._open[split] = (writer, stream, count + part.num_rows)
            if count + part.num_rows >= _FILE_ROWS:
                self._close(split)

    def _new(self, split: str) -> tuple[pq.ParquetWriter, Any, int]:
        location = self._table.location_provider().new_data_location(f"{split}-{uuid4()}.parquet")
        stream = self._table.io.new_output(location).create()
        self.paths.append(location)
        writer = pq.ParquetWriter(stream, self._schema, compression="zstd", dictionary_pagesize_limit=_DICTIONARY)
        return writer, stream, 0

    def _close(self, split: str) -> None:
        writer, stream, _ = self._open.pop(split)
        writer.close()
        stream.close()

    def remove(self) -> None:
        """Remove the files again, when nothing should come of them."""
        for split in list(self._open):
            with suppress(OSError, pa.ArrowException):
                self._close(split)
        for path in self.paths:
            with suppress(OSError):
                self._table.io.delete(path)


def commit(table: Table, files: DataFiles, tag: str, properties: Mapping[str, str]) -> tuple[str, int]:
    """A snapshot that holds exactly the rows of ``files``, tagged; returns (table, snapshot id).

    A tag that exists already, from a freeze that was killed before its last step, is moved to the new snapshot.
    """
    from pyiceberg.expressions import AlwaysTrue

    identifier = ".".join(table.name()[-2:])
    summary = {f"{PROPERTY}{key}": value for key, value in properties.items()}
    with table.transaction() as change:
        if table.current_snapshot() is not None:
            change.delete(AlwaysTrue())
        change.add_files(files.paths, snapshot_properties=summary, check_duplicate_files=False)
    current = table.current_snapshot()
    if current is None:
        raise IntegrityError(f"The write to {identifier} created no snapshot.")
    table.manage_snapshots().create_tag(current.snapshot_id, tag).commit()
    return identifier, current.snapshot_id


def table_at(opened: SqlCatalog, identifier: str, snapshot_id: int) -> Table:
    """A table that has this snapshot. Raises NotFoundError, and IntegrityError where the snapshot is gone."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = opened.load_table(identifier)
    except NoSuchTableError as error:
        raise NotFoundError(f"There is no Iceberg table {identifier} in this catalog.") from error
    except OSError as error:
        raise IntegrityError(f"The metadata of {identifier} cannot be read: {error}") from error
    if table.snapshot_by_id(snapshot_id) is None:
        raise IntegrityError(f"The snapshot {snapshot_id} of {identifier} is gone.")
    return table


def read(opened: SqlCatalog, identifier: str, snapshot_id: int, split: str | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a snapshot, or of one of its splits, in batches. Raises IntegrityError when its files are gone or
    cannot be read."""
    from pyiceberg.expressions import AlwaysTrue, EqualTo

    table = table_at(opened, identifier, snapshot_id)
    wanted = AlwaysTrue() if split is None else EqualTo(term="split", value=split)
    try:
        yield from table.scan(wanted, snapshot_id=snapshot_id).to_arrow_batch_reader()
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IntegrityError(f"The files of {identifier} at {snapshot_id} cannot be read: {reason}") from error


def data_files(opened: SqlCatalog, identifier: str, snapshot_id: int) -> list[str]:
    """Where the Parquet files lie that together are the rows of a snapshot, for another engine to read."""
    tasks = list(table_at(opened, identifier, snapshot_id).scan(snapshot_id=snapshot_id).plan_files())
    if any(task.delete_files for task in tasks):
        raise IntegrityError(f"The files of {identifier} at {snapshot_id} hold rows that are deleted in others.")
    io = opened.load_table(identifier).io
    return sorted(present(io, task.file.file_path) for task in tasks)


def file_sizes(opened: SqlCatalog, identifier: str, snapshot_id: int) -> list[int]:
    """Bytes of each Parquet file of a snapshot, as its manifest has them."""
    tasks = table_at(opened, identifier, snapshot_id).scan(snapshot_id=snapshot_id).plan_files()
    return [task.file.file_size_in_bytes for task in tasks]


def tagged(opened: SqlCatalog, identifier: str, tag: str) -> int:
    """The snapshot id behind a tag. Raises NotFoundError."""
    reference = opened.load_table(identifier).metadata.refs.get(tag)
    if reference is None:
        raise NotFoundError(f"{identifier} has no tag {tag}.")
    return reference.snapshot_id


def properties_of(opened: SqlCatalog, identifier: str, snapshot_id: int) -> dict[str, Any]:
    """What ``write`` was given of a snapshot."""
    snapshot = table_at(opened, identifier, snapshot_id).snapshot_by_id(snapshot_id)
    summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    return {key.removeprefix(PROPERTY): value for key, value in summary.items() if key.startswith(PROPERTY)}
