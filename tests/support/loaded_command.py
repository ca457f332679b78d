"""Preload all modules of commands in the process from which they are forked, including libraries that are loaded
late."""

from __future__ import annotations

import gc
import pkgutil
from importlib import import_module

import regraft.flows
from regraft.presentation.cli.grammar import command_tree
from regraft.presentation.cli.main import app

_LATE = (
    "adbc_driver_postgresql.dbapi",
    "duckdb",
    "orjson",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "regraft.infra.duckdb.file",
    "regraft.infra.iceberg.store",
    "rich.table",
    "rich.tree",
    "typer.rich_utils",
)

for name in (*(each.name for each in pkgutil.walk_packages(regraft.flows.__path__, "regraft.flows.")), *_LATE):
    import_module(name)
command_tree(app)
gc.freeze()  # a fork looks at none of it
