"""The workbench: one DuckDB file of what can be computed again. Open late, close early, one writer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.errors import NotFoundError, UnavailableError

Record = dict[str, Any]

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_PATIENCE = 20.0  # seconds to wait for another process that has the file open


@cache
def _queries() -> dict[str, str]:
    text = files("regraft.infra.duckdb").joinpath("sql", "workbench.sql").read_text("utf-8")
    parts = _NAME.split(text)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


class Workbench:
    """The tables of a workbench file. A file that is not there reads as empty tables."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import duckdb  # slow to import, and not every command needs it

        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                connection = duckdb.connect(str(self.path))
                break
            except duckdb.IOException as error:
                if time.monotonic() > deadline or "lock" not in str(error).casefold():
                    raise UnavailableError(
                        f"The workbench {self.path} cannot be opened: {str(error).splitlines()[0]}. If another process "
                        "holds it, wait or stop that one; if it is damaged, delete it: it can be made again."
                    ) from error
                time.sleep(0.05)
        try:
            connection.execute(_queries()["schema"])
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _writing(self, **tables: pa.Table) -> Iterator[Any]:
        with self._open() as connection:
            for name, table in tables.items():
                connection.register(name, table)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    def _rows(self, name: str, parameters: Record | None = None) -> list[Record]:
        if not self.path.exists():
            return []
        with self._open() as connection:
            cursor = connection.execute(_queries()[name], parameters or {})
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def watermark(self, station: str) -> int:
        """The graph's build that a station has seen; -1 when it has seen none."""
        rows = self._rows("watermark", {"station": station})
        return int(rows[0]["build"]) if rows else -1

    def set_watermark(self, station: str, build: int) -> None:
        """A station has seen a build."""
        with self._writing() as connection:
            connection.execute(_queries()["set_watermark"], {"station": station, "build": build})

    def replace_units(self, session_ids: list[str], units: pa.Table) -> None:
        """The units of these sessions are exactly ``units``."""
        with self._writing(wanted_sessions=pa.table({"session_id": session_ids}), new_units=units) as connection:
            connection.execute(_queries()["forget_units"])
            connection.execute(_queries()["add_units"])

    def measured_sessions(self) -> int:
        """How many sessions have units."""
        rows = self._rows("measured_sessions")
        return int(rows[0]["sessions"]) if rows else 0

    def keep_sessions(self, session_ids: list[str]) -> None:
        """Forget units and pairs of every other session."""
        with self._writing(present_sessions=pa.table({"session_id": pa.array(session_ids, pa.string())})) as connection:
            connection.execute(_queries()["forget_vanished_units"])
            connection.execute(_queries()["forget_vanished_pairs"])

    def replace_pairs(self, session_ids: list[str], anchors: list[str], pairs: pa.Table) -> None:
        """The pairs of these sessions and anchors are exactly ``pairs``."""
        text = pa.string()
        tables = {
            "wanted_sessions": pa.table({"session_id": pa.array(session_ids, text)}),
            "wanted_anchors": pa.table({"anchor": pa.array(anchors, text)}),
            "new_pairs": pairs,
        }
        with self._writing(**tables) as connection:
            connection.execute(_queries()["forget_pairs"])
            connection.execute(_queries()["add_pairs"])

    def label_states(self) -> dict[str, str]:
        """By session: the state of the judgements that its pairs were made with."""
        return {row["session_id"]: row["state"] for row in self._rows("label_states")}

    def finish_pairs(self, build: int, states: dict[str, str]) -> None:
        """Pairs are made up to this build and these judgements."""
        text = pa.string()
        table = pa.table({"session_id": pa.array(list(states), text), "state": pa.array(list(states.values()), text)})
        with self._writing(new_states=table) as connection:
            connection.execute(_queries()["forget_label_states"])
            connection.execute(_queries()["add_label_states"])
            connection.execute(_queries()["set_watermark"], {"station": "pairs", "build": build})

    def units(self) -> list[Record]:
        """All units, without their texts, by id."""
        return self._rows("units")

    def unit_text(self, unit_id: UUID) -> str:
        """How a unit reads. Raises NotFoundError."""
        rows = self._rows("unit_text", {"unit_id": unit_id})
        if not rows:
            raise NotFoundError(f"There is no unit {unit_id}. `regraft evaluate units` makes and shows them.")
        return str(rows[0]["text"])

    def pairs(self) -> list[Record]:
        """All candidate pairs, legal and refused, by id."""
        return self._rows("pairs")

    def resolve(self, noun: str, text: str) -> UUID:
        """The id of a ``unit`` or ``pair`` from the start of it. Raises NotFoundError unless exactly one fits."""
        found = self._rows(f"resolve_{noun}", {"start": text.strip().casefold()})
        if len(found) != 1:
            several = " Give more of its id." if found else f" `regraft evaluate {noun}s` makes and shows them."
            raise NotFoundError(f"{'Several' if found else 'No'} {noun}s start with {text!r}.{several}")
        return UUID(str(found[0]["id"]))

    def pair(self, pair_id: UUID) -> Record:
        """One candidate pair. Raises NotFoundError."""
        rows = self._rows("pair", {"pair_id": pair_id})
        if not rows:
            raise NotFoundError(f"There is no pair {pair_id}. `regraft evaluate pairs` makes and shows them.")
        return rows[0]
