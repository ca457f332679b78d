"""Which config file and which data folder belong to a working directory: found upwards, as git finds a repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CONFIG_FILE = "regraft.toml"
DATA_FOLDER = ".regraft"

# Settings that are paths; `*` is any name.
_PATHS = (
    ("data_dir",),
    ("warehouse",),
    ("backups",),
    ("judges",),
    ("recipes",),
    ("postgres", "password_file"),
    ("nats", "token_file"),
    ("dagster", "password_file"),
    ("client", "api_key_file"),
    ("gateway", "keys_file"),
    ("web", "tokens_file"),
    ("upstreams", "*", "api_key_file"),
    ("tools", "*", "api_key_file"),
    ("tools", "*", "env_files", "*"),
)


def find_config(start: Path) -> Path | None:
    """The nearest ``regraft.toml`` in a folder or above it, None when there is none.

    Above it only a file of the same account or of root counts: a config file names programs that are run.
    """
    return _nearest(start, CONFIG_FILE, Path.is_file)


def find_data_folder(start: Path) -> Path | None:
    """The nearest ``.regraft`` in a folder or above it, of the same account or of root; None when there is none."""
    return _nearest(start, DATA_FOLDER, Path.is_dir)


def anchored(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The document of a config file with its relative paths made relative to the file's folder."""
    found = dict(document)
    for keys in _PATHS:
        _anchor(found, keys, folder)
    return found


def _nearest(start: Path, name: str, fits: Callable[[Path], bool]) -> Path | None:
    start = start.absolute()
    for folder in (start, *start.parents):
        path = folder / name
        try:
            if fits(path) and (folder == start or path.stat().st_uid in {0, os.geteuid()}):
                return path
        except OSError:  # a folder that may not be entered
            continue
    return None


def _anchor(table: dict[str, Any], keys: tuple[str, ...], folder: Path) -> None:
    name, *rest = keys
    for key in list(table) if name == "*" else [name]:
        value = table.get(key)
        if rest and isinstance(value, dict):
            table[key] = dict(value)
            _anchor(table[key], tuple(rest), folder)
        elif not rest and isinstance(value, str) and "://" not in value and not Path(value).is_absolute():
            table[key] = str(folder / value)
