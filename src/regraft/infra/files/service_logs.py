"""Log files of services. An error may quote content, and it is unknown which line does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

_OUTPUT = frozenset({".out", ".err", ".log"})


def empty_logs(data_dir: Path, holds: Callable[[str], bool] | None = None) -> int:
    """Empty the logs of the data folder's services and of Dagster's runs, and remove older files of them; how many.

    Writers append, and continue at the new end. ``holds``: other files of Dagster's that hold this are emptied too.
    """
    emptied = 0
    for path in sorted((data_dir / "logs").glob("*")):
        emptied += _empty(path)
    home = data_dir / "dagster"
    for path in sorted(home.rglob("*")) if home.is_dir() else ():
        if path.suffix in _OUTPUT or (holds is not None and path.is_file() and holds(_text(path))):
            emptied += _empty(path)
    return emptied


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _empty(path: Path) -> int:
    if not path.is_file() or path.is_symlink():
        return 0
    size = path.stat().st_size
    if ".log." in path.name:  # an older file of a log that was rotated
        path.unlink(missing_ok=True)
    else:
        os.truncate(path, 0)
    return int(size > 0)
