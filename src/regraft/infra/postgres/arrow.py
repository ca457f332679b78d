"""Reading the truth as Arrow tables, through ADBC: one snapshot of the database for everything read in a block."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from regraft.domain.errors import UnavailableError
from regraft.infra.queries import queries


class ArrowReader:
    """Named queries of one ``.sql`` file as Arrow tables. A list or tuple parameter goes over as a JSON array."""

    def __init__(self, cursor: Any, path: str) -> None:
        self._cursor = cursor
        self._queries = queries(path)

    def table(self, name: str, *parameters: Any) -> pa.Table:
        """The rows of a query as an Arrow table."""
        sent = tuple(json.dumps(one) if isinstance(one, list | tuple) else one for one in parameters)
        self._cursor.execute(self._queries[name].decode(), sent or None)
        return self._cursor.fetch_arrow_table()

    def rows(self, name: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query as dicts."""
        found: list[dict[str, Any]] = self.table(name, *parameters).to_pylist()
        return found

    def batches(self, name: str, ids: Sequence[str], size: int) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
        """The rows of a query over many ids, ``size`` ids at a time, each with these ids. PostgreSQL works on the next
        ones meanwhile, so the caller asks nothing else of the reader until the end."""
        groups = [list(ids[start : start + size]) for start in range(0, len(ids), size)]
        with ThreadPoolExecutor(1, thread_name_prefix="regraft-read") as ahead:
            waiting = [ahead.submit(self.table, name, group) for group in groups[:1]]
            for number, group in enumerate(groups):
                table = waiting.pop().result()
                waiting = [ahead.submit(self.table, name, following) for following in groups[number + 1 : number + 2]]
                rows: list[dict[str, Any]] = table.to_pylist()
                yield group, rows


@contextmanager
def reading(dsn: str, path: str) -> Iterator[ArrowReader]:
    """A reader whose queries all see one snapshot. Raises UnavailableError when PostgreSQL cannot be reached."""
    from adbc_driver_manager import OperationalError  # the driver is slow to import and not every command reads
    from adbc_driver_postgresql import dbapi

    try:
        connection = dbapi.connect(dsn)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise UnavailableError(
            f"PostgreSQL cannot be reached: {reason}. Start it with `regraft up`, or set postgres.dsn."
        ) from error
    with connection, connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield ArrowReader(cursor, path)
        connection.rollback()
