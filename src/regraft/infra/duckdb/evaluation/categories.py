"""Category labels of paths in the workbench."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.infra.duckdb.file import Record, WorkbenchFile

_EVERY = 2**31 - 1  # more labels than a workbench holds


class CategoryLabels(WorkbenchFile):
    """``unit_category_labels``, beside the units and pivots that rules look at."""

    tables = "evaluation/categories"

    def measured(self) -> bool:
        """Whether units were ever measured."""
        rows = self._rows("units_there")
        return bool(rows and rows[0]["tables"])

    def changed(self, version: str) -> dict[str, str | None]:
        """Sessions whose rule labels are out of date: the new state, None where there is no unit any more. ``version``
        is that of the rules."""
        with self._facts() as connection:
            return dict(connection.execute(self._query("changed"), {"version": version}).fetchall())

    def facts(self, sessions: list[str], tail: int) -> list[Record]:
        """The facts that rules use, by unit, with at most ``tail`` characters of the end of its text."""
        with self._facts() as connection:
            asked = {"sessions": sessions, "tail": tail}
            found: list[Record] = connection.sql(self._query("facts"), params=asked).to_arrow_table().to_pylist()
            return found

    @contextmanager
    def _facts(self) -> Iterator[Any]:
        with self._open() as connection:
            connection.execute(self._query("value_units"))
            yield connection

    def replace_rules(self, states: Mapping[str, str | None], labels: pa.Table) -> None:
        """Replace the rule labels of the sessions of ``states``."""
        text = pa.string()
        known = pa.table({"session_id": pa.array(list(states), text), "state": pa.array(list(states.values()), text)})
        with self._writing(new_states=known, new_labels=labels) as connection:
            for name in ("forget_rules", "forget_states", "add_states", "add"):
                connection.execute(self._query(name))

    def forget_vanished(self) -> None:
        """Take out labels of units that are no longer there."""
        with self._writing() as connection:
            connection.execute(self._query("forget_vanished"))

    def replace_layer(self, layer: str, labels: pa.Table) -> None:
        """A layer is exactly this."""
        with self._writing(new_labels=labels) as connection:
            connection.execute(self._query("forget_layer"), {"layer": layer})
            connection.execute(self._query("add"))

    def coverage(self, sessions: list[str] | None = None) -> list[Record]:
        """By category, layer and maker: labels, of these sessions or of all, and how many decide that it holds."""
        return self._rows("coverage", {"sessions": sessions})

    def covered(self) -> list[Record]:
        """By layer, '' for any: units that it says something of, and units in all."""
        return self._rows("covered") if self.measured() else []

    def page(self, limit: int, *, after: tuple[str, ...] | None, theme: str | None, session: str | None) -> pa.Table:
        """At most ``limit`` labels, by unit, category, layer and maker, after the one named so; ids are text."""
        if not self.measured():
            return pa.table({"unit_id": pa.array([], pa.string())})
        unit, category, layer, maker = after or (None, None, None, None)
        asked = {"after": unit, "category": category, "layer": layer, "maker": maker}
        with self._open() as connection:
            given = {**asked, "theme": theme, "session": session, "limit": limit}
            return connection.sql(self._query("label_page"), params=given).to_arrow_table()

    def labels(
        self,
        *,
        category: str | None = None,
        layer: str | None = None,
        maker: str | None = None,
        theme: str | None = None,
        unit: UUID | None = None,
        decided: bool | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Labels that meet each condition given: those that decide first, then by value."""
        if not self.measured():
            return []
        asked = {"category": category, "layer": layer, "maker": maker, "theme": theme, "unit": unit}
        return self._rows("labels", {**asked, "decided": decided, "limit": limit or _EVERY})
