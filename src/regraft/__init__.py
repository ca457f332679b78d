"""Regraft: replayable branching graphs from LLM conversations, and training data that can be trusted.

``regraft.open()`` opens a log to read it: sessions, trees, measured paths, pairs, labels and frozen datasets as Arrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from regraft.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from regraft.domain.errors import RegraftError
    from regraft.presentation.python.log import Log
    from regraft.presentation.python.snapshot import Snapshot
    from regraft.presentation.python.target_rows import TargetRows

__all__ = ["Log", "RegraftError", "Snapshot", "TargetRows", "__version__", "open"]

_PUBLIC = {
    "Log": "regraft.presentation.python.log",
    "RegraftError": "regraft.domain.errors",
    "Snapshot": "regraft.presentation.python.snapshot",
    "TargetRows": "regraft.presentation.python.target_rows",
}


def open(
    config: str | Path | None = None,
    *,
    dsn: str | None = None,
    warehouse: str | None = None,
    data_dir: str | Path | None = None,
    create: bool = False,
) -> Log:
    """Open a log: the one of `regraft.toml` here (or of the defaults), of another config file, or of an address.

    `config`: a config file. `dsn`: the PostgreSQL that holds the log, in place of a config; then `warehouse` says where
    its frozen rows lie (a folder or a URL), and `data_dir` where measured paths are kept: without it they are made
    again, in a temporary folder. `data_dir` alone names the folder of an embedded log. `create`: make the log where
    there is none, and bring an older one up to date; without it nothing is made, and opening what is not there raises
    `NotFoundError`.

    Raises `ConfigError` for a mistake in the config. No server is started before something is read.
    """
    from regraft.presentation.python.opening import open_log

    return open_log(config, dsn=dsn, warehouse=warehouse, data_dir=data_dir, create=create)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:  # loaded when it is first asked for: the command line imports this package too
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'regraft' has no attribute {name!r}")
