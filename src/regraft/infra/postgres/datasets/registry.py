"""The registry of frozen datasets, and lineage both ways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from regraft.domain.errors import NotFoundError
from regraft.infra.postgres.copy import copy_rows
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/datasets/registry")

Record = dict[str, Any]
_DOCUMENTS = ("row_counts", "refused", "passed_over", "leakage", "report")


def lock(connection: Connection, dataset: str) -> None:
    """Wait until no other transaction freezes this dataset."""
    connection.execute(_SQL["lock"], {"dataset": dataset})


def try_lock(connection: Connection, dataset: str) -> bool:
    """Keep other transactions from freezing this dataset; False where one does it now."""
    row = connection.execute(_SQL["try_lock"], {"dataset": dataset}).fetchone()
    return bool(row and row["mine"])


def has_tables(connection: Connection) -> bool:
    """Whether anything was ever frozen."""
    row = connection.execute(_SQL["has_tables"]).fetchone()
    return bool(row and row["there"])


def table_locations(connection: Connection) -> list[tuple[str, str]]:
    """The Iceberg tables by name, and where the metadata of each was written; none where nothing was ever frozen."""
    if not has_tables(connection):
        return []
    rows = connection.execute(_SQL["table_locations"]).fetchall()
    return [(row["table_name"], row["metadata_location"]) for row in rows]


def begin_freeze(connection: Connection) -> None:
    """Until this connection is closed nothing is erased; waits for an erasure that is at work."""
    connection.execute(_SQL["begin_freeze"])


def find(connection: Connection, snapshot_id: str) -> Record | None:
    """A snapshot's row, or None."""
    return connection.execute(_SQL["snapshot"], {"snapshot_id": snapshot_id}).fetchone()


def get(connection: Connection, snapshot_id: str, scope: str | None = None) -> Record:
    """A snapshot's row, if ``scope`` may see it: by its id, a dataset's name (its newest one), or a prefix of an id.

    Raises NotFoundError unless one fits.
    """
    found = connection.execute(_SQL["snapshots_like"], {"snapshot_id": snapshot_id, "scope": scope}).fetchall()
    if not found:
        raise NotFoundError(f"There is no snapshot {snapshot_id}. `regraft dataset list` shows them.")
    if len(found) > 1 and snapshot_id not in (found[0]["snapshot_id"], found[0]["dataset"]):
        raise NotFoundError(f"Several snapshots start with {snapshot_id}. Give more of its id.")
    return found[0]


def snapshots(
    connection: Connection, *, scope: str | None = None, after: str | None = None, limit: int | None = None
) -> list[Record]:
    """Snapshots, oldest first: all, or those that the tenant ``scope`` may see, ``limit`` at most from ``after`` on."""
    return connection.execute(_SQL["snapshots"], {"scope": scope, "after": after, "limit": limit}).fetchall()


@dataclass(slots=True, kw_only=True)
class RowNode:
    """A node that a dataset row was made from; ``part``: which part of the row."""

    row_id: str
    node_id: UUID
    part: str


def stage_nodes(connection: Connection, nodes: Iterable[RowNode]) -> None:
    """Make the nodes of rows ready to be added in this transaction, with the nodes of each row's history."""
    connection.execute(_SQL["stage_nodes"])
    copy_rows(connection, "staged_row_nodes", RowNode, nodes)
    connection.execute(_SQL["walk_nodes"])


def add(connection: Connection, record: Record) -> None:
    """Add a snapshot, and the staged nodes of its rows, in this transaction."""
    sent = {**record, **{key: Jsonb(record[key]) for key in _DOCUMENTS}}
    connection.execute(_SQL["add_snapshot"], sent)
    connection.execute(_SQL["add_nodes"], {"snapshot_id": record["snapshot_id"]})


def snapshots_of_node(connection: Connection, node_id: UUID, scope: str | None = None) -> list[Record]:
    """Every snapshot that holds a node, and that ``scope`` may see: snapshot_id, row_id, part."""
    return connection.execute(_SQL["snapshots_of_node"], {"node_id": node_id, "scope": scope}).fetchall()


def nodes_of_row(connection: Connection, snapshot_id: str, row_id: str) -> list[Record]:
    """The nodes of a row: node_id, session_id, part."""
    sent = {"snapshot_id": snapshot_id, "row_id": row_id}
    return connection.execute(_SQL["nodes_of_row"], sent).fetchall()
