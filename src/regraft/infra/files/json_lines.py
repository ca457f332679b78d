"""A file of JSON lines that is written line by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regraft.domain.errors import UsageError


@contextmanager
def json_lines(path: Path) -> Iterator[Callable[[Any], None]]:
    """Open a new file, and get what writes a value as its next line. Raises UsageError where none can be written."""
    try:
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            yield lambda value: print(json.dumps(value, ensure_ascii=False), file=file)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
