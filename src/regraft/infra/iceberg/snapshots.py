"""Frozen datasets as Iceberg tables: one table a dataset, one tagged snapshot a freeze, holding exactly its rows.

The catalog lives in the same PostgreSQL as the truth; the files lie in a warehouse folder or at any URL that PyIceberg
can write to. A tag is a reference that expiry of old snapshots leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.rows import Message, Row, RowSource
from regraft.domain.errors import IntegrityError, NotFoundError, UsageError

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

CATALOG = "regraft"
NAMESPACE = "regraft"
PROPERTY = "regraft."

TABLE_PROPERTIES = {
    "write.parquet.row-group-limit": "65536",
    "write.parquet.dict-size-bytes": "16777216",
    "write.parquet.compression-codec": "zstd",
}

_TEXT = pa.string()
_CALL = pa.struct([("id", _TEXT), ("type", _TEXT), ("function", pa.struct([("name", _TEXT), ("arguments", _TEXT)]))])
_MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", _TEXT),
            ("content", _TEXT),
            ("tool_calls", pa.list_(_CALL)),
            ("tool_call_id", _TEXT),
            ("name", _TEXT),
        ]
    )
)


def _schema(kind: str) -> pa.Schema:
    return pa.schema(
        [
            pa.field("row_id", _TEXT, nullable=False),
            pa.field("split", _TEXT, nullable=False),
            *(pa.field(part, _MESSAGES) for part in KINDS[kind].columns),
            pa.field("tools", _TEXT),
            pa.field("session_id", _TEXT, nullable=False),
            pa.field("source_parts", pa.list_(_TEXT)),
            pa.field("source_nodes", pa.list_(_TEXT)),
            pa.field("source_turns", pa.list_(_TEXT)),
            pa.field("anchor", _TEXT),
            pa.field("label_source", _TEXT),
            pa.field("margin", pa.float64()),
            pa.field("score", pa.float64()),
            pa.field("tools_digest", _TEXT),
        ]
    )


def catalog_properties(dsn: str, warehouse: str) -> dict[str, str]:
    """What ``pyiceberg.catalog.load_catalog("regraft", **properties)`` needs to open the frozen datasets, from Hugging
    Face ``datasets`` for one: ``load_dataset("iceberg", catalog=..., table="regraft.NAME", snapshot_id=...)``.

    Run that in a small folder: ``datasets`` 5.2 walks through the working directory first.
    ``dsn`` is any libpq connection string, ``warehouse`` a folder or a URL.
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
    if "://" not in warehouse:
        warehouse = Path(warehouse).resolve().as_uri()
    return {"type": "sql", "uri": url.render_as_string(hide_password=False), "warehouse": warehouse}


@contextmanager
def catalog(dsn: str, warehouse: str) -> Iterator[SqlCatalog]:
    """The catalog, its connections closed at the end of the block."""
    from pyiceberg.catalog.sql import SqlCatalog  # slow to import, and few commands need it

    properties = catalog_properties(dsn, warehouse)
    opened = SqlCatalog(CATALOG, **{key: value for key, value in properties.items() if key != "type"})
    try:
        yield opened
    finally:
        opened.engine.dispose()


def to_arrow(rows: Iterable[tuple[Row, str]], kind: str) -> pa.Table:
    """(row, split) as the table that is stored, in the order of row ids."""
    records = [
        {
            "row_id": row.row_id,
            "split": split,
            **{part: list(getattr(row, part)) for part in KINDS[kind].columns},
            "tools": row.tools,
            "session_id": row.session_id,
            "source_parts": [source.part for source in row.sources],
            "source_nodes": [source.node_id for source in row.sources],
            "source_turns": [source.turn_id for source in row.sources],
            "anchor": row.anchor,
            "label_source": row.label_source,
            "margin": row.margin,
            "score": row.score,
            "tools_digest": row.tools_digest,
        }
        for row, split in sorted(rows, key=lambda pair: pair[0].row_id)
    ]
    return pa.Table.from_pylist(records, schema=_schema(kind))


def from_arrow(table: pa.Table, kind: str) -> list[tuple[Row, str]]:
    """Stored rows as they were given, by row id."""
    found = []
    for record in table.to_pylist():
        parts: dict[str, tuple[Message, ...]] = {part: tuple(record[part] or ()) for part in KINDS[kind].columns}
        sources = zip(record["source_parts"], record["source_nodes"], record["source_turns"], strict=True)
        found.append(
            (
                Row(
                    row_id=record["row_id"],
                    kind=kind,
                    session_id=record["session_id"],
                    sources=tuple(RowSource(*source) for source in sources),
                    tools=record["tools"],
                    tools_digest=record["tools_digest"],
                    anchor=record["anchor"],
                    label_source=record["label_source"],
                    margin=record["margin"],
                    score=record["score"],
                    **parts,
                ),
                record["split"],
            )
        )
    return sorted(found, key=lambda pair: pair[0].row_id)


def write(
    opened: SqlCatalog, name: str, kind: str, rows: pa.Table, tag: str, properties: Mapping[str, str]
) -> tuple[str, int]:
    """Add a snapshot that holds exactly ``rows`` and tag it; returns (table, snapshot id).

    A tag that is there already, from a freeze that was killed before its last step, is moved to the new snapshot.
    Raises UsageError when the dataset's name was used for another kind.
    """
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    identifier = f"{NAMESPACE}.{name}"
    opened.create_namespace_if_not_exists(NAMESPACE)
    if opened.table_exists(identifier):
        table = opened.load_table(identifier)
        if KINDS[kind].columns[0] not in table.schema().column_names:
            raise UsageError(f"The dataset {name} is not of kind {kind}. Give the recipe another name.")
    else:
        table = opened.create_table(identifier, _schema(kind), properties=TABLE_PROPERTIES)
        if PartitionSpec() == table.spec():
            with table.update_spec() as spec:
                spec.add_field("split", IdentityTransform(), "split")
    summary = {f"{PROPERTY}{key}": value for key, value in properties.items()}
    if table.current_snapshot() is None or not table.inspect.files().num_rows:
        table.append(rows, snapshot_properties=summary)
    else:
        table.overwrite(rows, snapshot_properties=summary)
    current = table.current_snapshot()
    if current is None:
        raise IntegrityError(f"The write to {identifier} left no snapshot.")
    table.manage_snapshots().create_tag(current.snapshot_id, tag).commit()
    return identifier, current.snapshot_id


def _at(opened: SqlCatalog, identifier: str, snapshot_id: int) -> Table:
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


def read(opened: SqlCatalog, identifier: str, snapshot_id: int) -> pa.Table:
    """The rows of a snapshot. Raises IntegrityError when its files are gone or cannot be read."""
    table = _at(opened, identifier, snapshot_id)
    try:
        return table.scan(snapshot_id=snapshot_id).to_arrow()
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IntegrityError(f"The files of {identifier} at {snapshot_id} cannot be read: {reason}") from error


def tagged(opened: SqlCatalog, identifier: str, tag: str) -> int:
    """The snapshot id behind a tag. Raises NotFoundError."""
    reference = opened.load_table(identifier).metadata.refs.get(tag)
    if reference is None:
        raise NotFoundError(f"{identifier} has no tag {tag}.")
    return reference.snapshot_id


def properties_of(opened: SqlCatalog, identifier: str, snapshot_id: int) -> dict[str, Any]:
    """What ``write`` was given of a snapshot."""
    snapshot = _at(opened, identifier, snapshot_id).snapshot_by_id(snapshot_id)
    summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    return {key.removeprefix(PROPERTY): value for key, value in summary.items() if key.startswith(PROPERTY)}
