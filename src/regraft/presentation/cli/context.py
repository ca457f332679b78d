"""The context of a command: the settings, the servers that they name, and the output."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from regraft.domain.errors import UsageError
from regraft.domain.ids import Number, plain
from regraft.infra.embedded.stack import Stack
from regraft.infra.settings import Settings, load_settings
from regraft.presentation.cli.terminal import Terminal

PIPE_WIDTH = 140  # columns when the output is not a terminal


@dataclass(slots=False)
class CommandContext:
    """One run of the command. Missing servers are started for its duration and stopped at its end."""

    config: Path | None = None
    console: Console = field(default_factory=lambda: Terminal(width=None if sys.stdout.isatty() else PIPE_WIDTH))

    @cached_property
    def settings(self) -> Settings:
        """The settings, read when first needed."""
        return load_settings(self.config)

    @cached_property
    def stack(self) -> Stack:
        """The servers of the data folder."""
        return Stack(self.settings, self.config)

    def postgres_dsn(self) -> str:
        """The database, ready. Raises NotFoundError if there is none: reading commands do not create one."""
        return self.stack.existing_postgres(migrating=True)

    def graph_dsn(self) -> str:
        """The database, with captured turns added to the graph; if turns still wait, a message on standard error counts
        them."""
        from regraft.flows.lineage.build import catch_up

        dsn = self.postgres_dsn()
        if waiting := catch_up(dsn):
            what = "turn waits" if waiting == 1 else "turns wait"
            print(
                f"regraft: {waiting} captured {what} for the graph: run `regraft lineage build`.",
                file=sys.stderr,
            )
        return dsn

    def new_postgres_dsn(self) -> str:
        """The database, ready; it is created if there is none."""
        return self.stack.postgres()

    def settle(self) -> None:
        """Wait until all captured calls are stored, including those in the spool of a gateway that died."""
        from regraft.flows.capture.backlog import capture_backlog, wait_until_delivered

        spool = self.data_dir / "spool"
        if capture_backlog(spool, None).spool_bytes:
            self.stack.gateway()
        self.stack.ingest()
        wait_until_delivered(spool, self.stack.nats(), self.stack.ingest)

    @property
    def data_dir(self) -> Path:
        """Where the embedded servers, the workbench and the spool live."""
        return self.settings.data_dir

    def warehouse(self) -> str:
        """Where frozen snapshots live."""
        return self.settings.warehouse_path

    def workbench(self) -> Path:
        """The DuckDB file."""
        return self.settings.workbench_path

    def print_json(self, value: Any) -> None:
        """Print a value for programs: one JSON document on standard output."""
        json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=_shown)
        sys.stdout.write("\n")

    def close(self) -> None:
        """Stop what this command started."""
        if "stack" in self.__dict__:
            self.stack.close()


def _shown(value: Any) -> Any:
    if isinstance(value, Number):
        return plain(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


_current: CommandContext | None = None


def begin(config: Path | None) -> CommandContext:
    """Make the context of this run."""
    global _current
    _current = CommandContext(config)
    return _current


def context() -> CommandContext:
    """The context of this run."""
    if _current is None:
        raise UsageError("No command is running.")
    return _current
