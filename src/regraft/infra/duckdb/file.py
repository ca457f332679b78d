"""The DuckDB file of the workbench, with derived data. It has one writer at a time and is open only briefly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from regraft.domain.errors import UnavailableError
from regraft.infra.data_folder import make_data_folder
from regraft.infra.duckdb.faults import fault_of_the_disk, faults_of_the_disk
from regraft.infra.queries import queries

Record = dict[str, Any]

# Of threads that open and close the file at one moment DuckDB refuses some: the last to close it gives up the file that
# another is about to open. Tables are made by one thread at a time for the same reason.
_OPENING = threading.Lock()
_PATIENCE = 20.0  # seconds to wait for another process that has the file open


class WorkbenchFile:
    """Some tables of a workbench file: those of ``duckdb/TABLES.sql``. A missing file reads as empty."""

    tables: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path

    def _query(self, name: str) -> str:
        return _query(self.tables, name)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import duckdb  # slow to import, and not every command needs it

        make_data_folder(self.path.parent)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with _OPENING:
                    connection = duckdb.connect(str(self.path))
                    try:
                        connection.execute(_query("watermark", "schema"))
                        connection.execute(self._query("schema"))
                    except BaseException:
                        connection.close()
                        raise
                break
            except duckdb.Error as error:
                if fault := fault_of_the_disk(self.path, error):
                    raise fault from error
                # "lock": another process has it open; "conflict": a thread of this one is just closing it
                passing = any(word in str(error).casefold() for word in ("lock", "conflict"))
                if time.monotonic() > deadline or not passing:
                    raise UnavailableError(
                        f"The workbench {self.path} cannot be opened: {str(error).splitlines()[0]}. If another process "
                        "holds it, wait or stop that one; if it is damaged, delete it: it can be made again."
                    ) from error
                time.sleep(0.05)
        self.path.chmod(0o600)
        with faults_of_the_disk(self.path):
            try:
                yield connection
            finally:
                with _OPENING:
                    connection.close()

    @contextmanager
    def _writing(self, **tables: pa.Table) -> Iterator[Any]:
        with self._open() as connection:
            for name, table in tables.items():
                connection.register(name, table)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    def _rows(self, name: str, parameters: Record | None = None, tables: str = "") -> list[Record]:
        if not self.path.exists():
            return []
        with self._open() as connection:
            cursor = connection.execute(_query(tables or self.tables, name), parameters or {})
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def watermark(self, station: str) -> int:
        """How far a step has read the log; -1 if it has read nothing."""
        rows = self._rows("watermark", {"station": station}, "watermark")
        return int(rows[0]["build"]) if rows else -1

    def set_watermark(self, station: str, build: int) -> None:
        """Record how far a step has read the log."""
        with self._writing() as connection:
            self._mark(connection, station, build)

    def _mark(self, connection: Any, station: str, build: int) -> None:
        connection.execute(_query("watermark", "set_watermark"), {"station": station, "build": build})


def _query(tables: str, name: str) -> str:
    return queries(f"duckdb/{tables}")[name].decode()
