"""Named SQL queries, kept in ``.sql`` files beside the modules that run them.

A query is a ``-- name: it`` line, a line of description, and the statement.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(rb"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def queries(path: str) -> dict[str, bytes]:
    """All queries of ``infra/PATH.sql`` by name, such as ``postgres/lineage/graph``."""
    text = files("regraft.infra").joinpath(*f"{path}.sql".split("/")).read_bytes()
    parts = _NAME.split(text)[1:]
    return {name.decode(): statement.strip() for name, statement in zip(parts[::2], parts[1::2], strict=True)}
