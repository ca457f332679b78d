"""Databases of applications as lines of JSON: Cursor's ``state.vscdb`` (SQLite), a chat at a time, read only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from regraft.domain.errors import UsageError

NAMES = (".vscdb", ".sqlite", ".sqlite3", ".db")
MAGIC = b"SQLite format 3\0"
_COMPOSERS = "SELECT key, value FROM cursorDiskKV WHERE key >= 'composerData:' AND key < 'composerData;' ORDER BY key"
_BUBBLES = "SELECT key, value FROM cursorDiskKV WHERE key >= ? AND key < ?"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def is_database(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a SQLite database."""
    return head.startswith(MAGIC)


def database_lines(path: Path) -> Iterator[str]:
    """The chats of a database. Raises UsageError for one of no known application."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            if "cursorDiskKV" not in {name for (name,) in database.execute(_TABLES)}:
                raise UsageError(f"{path.name} is a database of no known application.")
            for key, value in database.execute(_COMPOSERS):
                composer = _json(value)
                if not isinstance(composer, dict):
                    continue
                prefix = f"bubbleId:{key.partition(':')[2]}:"
                found = database.execute(_BUBBLES, (prefix, prefix[:-1] + ";"))
                bubbles = {each.removeprefix(prefix): _json(text) for each, text in found}
                if bubbles or composer.get("conversation"):
                    yield json.dumps({"composer": composer, "bubbles": bubbles}, ensure_ascii=False) + "\n"
    except sqlite3.Error as error:
        raise UsageError(f"{path.name} cannot be read as a database: {error}.") from error


def _json(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return None
