"""A copy of trajectory vectors in PostgreSQL, searched by pgvector's HNSW index (Malkov and Yashunin 2016).

The schema ``regraft_vectors`` holds vectors of one embedding model: the workbench has those of all. It is made when it
is first filled, where the extension can be had; no migration knows it, and dropping it loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa

from regraft.domain.evaluation.neighbour import Neighbour
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/vectors")
_OLDEST = (0, 8)  # the first that continues with a scan of the index until enough rows pass the filters
_FEW = 2_000  # rows that are added to an index; more of them, where they are most of it, are indexed together

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSearch:
    """``version`` of pgvector, installed or to be had; '' and a ``reason`` where it cannot be used. ``made``: the copy
    is there, with so many ``vectors`` of a ``model``, in the ``state`` that the workbench had when it was filled."""

    version: str = ""
    reason: str = ""
    made: bool = False
    model: str = ""
    vectors: int = 0
    state: str = ""


def vector_search(connection: Connection) -> VectorSearch:
    """What PostgreSQL can search vectors with, and what it holds of them."""
    row = connection.execute(_SQL["availability"]).fetchone() or {}
    version = row["installed"] or row["offered"] or ""
    if not version:
        return VectorSearch(reason="PostgreSQL has no extension `vector` (pgvector)")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        return VectorSearch(reason=f"pgvector {version} is older than {'.'.join(map(str, _OLDEST))}")
    if not row["made"]:
        return VectorSearch(version=version)
    held = connection.execute(_SQL["model"]).fetchone() or {"model": "", "vectors": 0, "state": ""}
    return VectorSearch(version=version, made=True, model=held["model"], vectors=held["vectors"], state=held["state"])


def prepare(connection: Connection) -> str:
    """Make the schema where it is missing, in the caller's transaction, and wait for other writers of it; the reason
    why that is not possible, or ''. What is found by name is found in the schema until the transaction ends."""
    connection.execute(_SQL["alone"])
    try:
        with connection.transaction():
            connection.execute(_SQL["extension"])
            connection.execute(_SQL["find_extension"])
            connection.execute(_SQL["schema"])
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported) as error:
        return f"pgvector cannot be installed in this database: {str(error).strip().splitlines()[0]}"
    return ""


def start_copy(connection: Connection, model: str, dimensions: int, wanted: pa.Table) -> list[UUID]:
    """Take out the vectors that the workbench has no more, and return the units whose vectors are to be added.

    ``wanted``: rows of ``unit_id`` and ``session_id`` (text) and ``text_hash`` (hexadecimal). After ``prepare``.
    """
    held = connection.execute(_SQL["model"]).fetchone()
    if held is not None and (held["model"], held["dimensions"]) != (model, dimensions):
        connection.execute(_SQL["forget_all"])
    connection.execute(_SQL["wanted"])
    with connection.cursor().copy(b"COPY wanted_vectors FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["uuid", "uuid", "bytea"])
        for row in _keys(wanted):
            copy.write_row(row)
    connection.execute(_SQL["forget_dropped"])
    missing: list[UUID] = [row["unit_id"] for row in connection.execute(_SQL["missing"]).fetchall()]
    kept = (connection.execute(_SQL["held"]).fetchone() or {"vectors": 0})["vectors"]
    if len(missing) > max(_FEW, kept):
        connection.execute(_SQL["drop_index"])
    return missing


def add_vectors(connection: Connection, vectors: pa.Table) -> None:
    """Add rows of ``unit_id``, ``session_id`` (text), ``text_hash`` (hexadecimal) and ``vector`` (32-bit floats)."""
    statement = (
        b"COPY regraft_vectors.trajectory_vectors (unit_id, session_id, text_hash, vector) FROM STDIN (FORMAT BINARY)"
    )
    with connection.cursor().copy(statement) as copy:
        copy.set_types(["uuid", "uuid", "bytea", "bytea"])  # a vector's own binary form, written as bytes
        for key, vector in zip(_keys(vectors), _encoded(vectors.column("vector").combine_chunks()), strict=True):
            copy.write_row((*key, vector))


def finish_copy(connection: Connection, model: str, dimensions: int, state: str) -> None:
    """Make the index where it is missing, and note what was copied."""
    connection.execute(_SQL["set_model"], {"model": model, "dimensions": dimensions, "state": state})
    connection.execute(_SQL["make_index"])


def _keys(table: pa.Table) -> Iterator[tuple[UUID, UUID, bytes]]:
    columns = (table.column(name).to_pylist() for name in ("unit_id", "session_id", "text_hash"))
    for unit, session, text_hash in zip(*columns, strict=True):
        yield UUID(unit), UUID(session), bytes.fromhex(text_hash)


def forget_all(connection: Connection) -> None:
    """Empty the copy."""
    connection.execute(_SQL["forget_all"])


def _encoded(vectors: pa.ListArray) -> Iterator[bytes]:
    """pgvector's binary form: the number of dimensions and an unused number (16 bits each), then 32-bit floats, all of
    them big-endian."""
    flat = vectors.flatten().to_numpy().astype(">f4")
    size = len(flat) // max(1, len(vectors))
    head = size.to_bytes(2, "big") + b"\0\0"
    for at in range(len(vectors)):
        yield head + flat[at * size : (at + 1) * size].tobytes()


def vector_of(connection: Connection, unit: UUID) -> list[float] | None:
    """The vector of a path; None: the copy has none."""
    row = connection.execute(_SQL["vector"], {"unit": unit}).fetchone()
    return row["vector"] if row else None


def fail_on_lock(connection: Connection) -> None:
    """Fail with ``psycopg.errors.LockNotAvailable`` rather than wait while the copy is filled again."""
    connection.execute(_SQL["fail_on_lock"])


def nearest(
    connection: Connection,
    vector: Sequence[float],
    limit: int,
    *,
    scope: str | None,
    elsewhere_than: UUID | None,
    without: Sequence[UUID],
) -> list[Neighbour]:
    """Paths by their similarity to a vector, nearest first: of a tenant, not of one session, without some of them."""
    asked = {
        "vector": list(vector),
        "limit": limit,
        "scope": scope,
        "elsewhere_than": elsewhere_than,
        "without": list(without),
    }
    return [Neighbour(**row) for row in connection.execute(_SQL["nearest"], asked).fetchall()]


def through(connection: Connection, node: UUID, scope: str | None) -> tuple[UUID, list[UUID]] | None:
    """A node's session, and the ends of the paths that go through the node; None: the tenant has no such node."""
    row = connection.execute(_SQL["through"], {"node": node, "scope": scope}).fetchone()
    return (row["session_id"], row["units"] or []) if row else None


def described(connection: Connection, units: Sequence[UUID], scope: str | None) -> dict[UUID, Row]:
    """What is shown of paths, by unit: those of a tenant, or all."""
    rows = connection.execute(_SQL["described"], {"units": list(units), "scope": scope}).fetchall()
    return {row["unit_id"]: row for row in rows}
