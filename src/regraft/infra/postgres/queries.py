"""Named SQL queries, kept in ``sql/*.sql``: a ``-- name: it`` line, a line of description, and the statement."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(rb"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def queries(noun: str) -> dict[str, bytes]:
    """All queries of ``sql/NOUN.sql`` by name."""
    text = files("regraft.infra.postgres").joinpath("sql", f"{noun}.sql").read_bytes()
    parts = _NAME.split(text)[1:]
    return {name.decode(): statement.strip() for name, statement in zip(parts[::2], parts[1::2], strict=True)}
