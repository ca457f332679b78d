"""Send rows to a table by binary COPY; the columns and their types come from the fields of the row's type."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NewType, get_type_hints
from uuid import UUID

from regraft.infra.postgres.pool import Connection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_TYPES: dict[Any, str] = {
    UUID: "uuid",
    str: "text",
    int: "int4",
    float: "float8",
    bool: "bool",
    bytes: "bytea",
    datetime: "timestamptz",
    list[int]: "int8[]",
    list[float]: "float4[]",
    list[UUID | None]: "uuid[]",
}


@dataclass(frozen=True, slots=True)
class _Columns:
    names: tuple[str, ...]
    types: tuple[str, ...]


def copy_rows(connection: Connection, table: str, row_type: type[DataclassInstance], rows: Iterable[Any]) -> None:
    """Append dataclass instances of ``row_type`` to a table that has a column for each of their fields.

    Field types: UUID, str, int (32 bits), float, bool, bytes, datetime, list[int] (64 bits), list[float] (32 bits),
    list[UUID | None], NewTypes of these, and any of them or None.
    """
    columns = _columns(row_type)
    values = attrgetter(*columns.names)
    statement = f"COPY {table} ({', '.join(columns.names)}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor().copy(statement.encode()) as copy:
        copy.set_types(columns.types)
        for row in rows:
            copy.write_row(values(row))


@cache
def _columns(row_type: type[DataclassInstance]) -> _Columns:
    hints = get_type_hints(row_type)
    names = tuple(each.name for each in fields(row_type))
    return _Columns(names, tuple(_TYPES[_plain_type(hints[name])] for name in names))


def _plain_type(hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = [each for each in typing.get_args(hint) if each is not types.NoneType]
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    return hint
