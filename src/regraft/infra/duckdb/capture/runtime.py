"""The runtime tables of the workbench: calls, answers, tool calls, tokens, who called whom, and timelines."""

from __future__ import annotations

from uuid import UUID

import pyarrow as pa

from regraft.infra.duckdb.file import Record, WorkbenchFile

TABLES = ("llm_chat_turns", "llm_tool_calls", "token_usage", "flow_nodes", "flow_edges", "session_timeline")
STATION = "runtime"


class RuntimeTables(WorkbenchFile):
    """What happened at run time. A file that is not there reads as empty tables."""

    tables = "capture/runtime"

    def seen(self) -> int:
        """The number of the inbox up to which the tables are made; -1 when they are not."""
        return self.watermark(STATION)

    def forget(self) -> None:
        """Empty all tables, to be made again from the start."""
        with self._writing() as connection:
            connection.execute(self._query("forget"))
            self._mark(connection, STATION, -1)

    def add(self, seq: int, calls: pa.Table, turns: pa.Table, tool_calls: pa.Table, paired: list[str]) -> None:
        """Add what the log holds up to ``seq``, and bring the sessions' edges and timelines up to it; all or nothing.

        ``tool_calls`` are all those of the turns in ``paired``.
        """
        tables = {
            "new_calls": calls,
            "new_turns": turns,
            "new_tool_calls": tool_calls,
            "paired_turns": pa.table({"turn_id": pa.array(paired, pa.string())}),
        }
        with self._writing(**tables) as connection:
            connection.execute(self._query("add"))
            connection.execute(self._query("derive"))
            self._mark(connection, STATION, seq)

    def counts(self) -> dict[str, int]:
        """Rows by table."""
        found = self._rows("counts")
        return dict(found[0]) if found else dict.fromkeys(TABLES, 0)

    def rows(self, table: str, *, session: UUID | None = None, limit: int = 20) -> list[Record]:
        """Rows of one of ``TABLES``, of one session or of all; edges are summed over sessions."""
        assert table in TABLES
        return self._rows(table, {"session": str(session) if session else None, "limit": limit})

    def everything(self) -> list[Record]:
        """Every row of every table as JSON text, in an order that depends on nothing but the rows."""
        return self._rows("everything")
