"""The evaluation's tables of the workbench: units, pairs, and the judgements that pairs were made with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pyarrow as pa

from regraft.domain.errors import NotFoundError
from regraft.infra.duckdb.file import Record, WorkbenchFile

_COPYING = "400MB"  # of memory while candidates are copied; what is over it goes to disk


class Workbench(WorkbenchFile):
    """Paths and pairs. A file that is not there reads as empty tables."""

    tables = "evaluation/workbench"

    def replace_units(self, session_ids: list[str], units: pa.Table) -> None:
        """The units of these sessions are exactly ``units``."""
        with self._writing(wanted_sessions=pa.table({"session_id": session_ids}), new_units=units) as connection:
            connection.execute(self._query("forget_units"))
            connection.execute(self._query("add_units"))

    def seen(self, noun: str) -> int:
        """The build up to which ``units`` or ``pairs`` are made; -1, for all again, where some lack their times."""
        rows = self._rows(f"{noun}_without_time")
        return -1 if rows and rows[0]["found"] else self.watermark(noun)

    def measured_sessions(self) -> int:
        """How many sessions have units."""
        rows = self._rows("measured_sessions")
        return int(rows[0]["sessions"]) if rows else 0

    def keep_sessions(self, session_ids: list[str]) -> None:
        """Forget units and pairs of every other session."""
        with self._writing(present_sessions=pa.table({"session_id": pa.array(session_ids, pa.string())})) as connection:
            connection.execute(self._query("forget_vanished_units"))
            connection.execute(self._query("forget_vanished_pairs"))

    def replace_pairs(self, session_ids: list[str], anchors: list[str], pairs: pa.Table) -> None:
        """The pairs of these sessions and anchors are exactly ``pairs``."""
        text = pa.string()
        tables = {
            "wanted_sessions": pa.table({"session_id": pa.array(session_ids, text)}),
            "wanted_anchors": pa.table({"anchor": pa.array(anchors, text)}),
            "new_pairs": pairs,
        }
        with self._writing(**tables) as connection:
            connection.execute(self._query("forget_pairs"))
            connection.execute(self._query("add_pairs"))

    def outcome_states(self, station: str) -> dict[str, str]:
        """By session: the state of its reported outcomes when a step last read them."""
        return {row["session_id"]: row["state"] for row in self._rows("outcome_states", {"station": station})}

    def finish_outcomes(self, station: str, states: dict[str, str]) -> None:
        """Record that a step has read these reports."""
        text = pa.string()
        table = pa.table({"session_id": pa.array(list(states), text), "state": pa.array(list(states.values()), text)})
        with self._writing(new_states=table) as connection:
            connection.execute(self._query("forget_outcome_states"), {"station": station})
            connection.execute(self._query("add_outcome_states"), {"station": station})

    def label_states(self) -> dict[str, str]:
        """By session: the state of the judgements that its pairs were made with."""
        return {row["session_id"]: row["state"] for row in self._rows("label_states")}

    def finish_pairs(self, build: int, states: dict[str, str]) -> None:
        """Pairs are made up to this build and these judgements."""
        text = pa.string()
        table = pa.table({"session_id": pa.array(list(states), text), "state": pa.array(list(states.values()), text)})
        with self._writing(new_states=table) as connection:
            connection.execute(self._query("forget_label_states"))
            connection.execute(self._query("add_label_states"))
            self._mark(connection, "pairs", build)

    def units(self) -> list[Record]:
        """All units, without their texts, by id."""
        return self._rows("units")

    def page(
        self,
        noun: str,
        limit: int,
        *,
        after: str | None = None,
        theme: str | None = None,
        session: str | None = None,
        verdict: str | None = None,
    ) -> pa.Table:
        """At most ``limit`` rows of a ``unit`` or a ``pair``, by id, after an id; ids are text."""
        if not self.path.exists():
            return pa.table({f"{noun}_id": pa.array([], pa.string())})
        asked = {"after": after, "theme": theme, "session": session, "limit": limit}
        if noun == "pair":
            asked["verdict"] = verdict
        with self._open() as connection:
            return connection.sql(self._query(f"{noun}_page"), params=asked).to_arrow_table()

    def copy_candidates(self, selection: Path) -> None:
        """Write all units and pairs to another database file, as its tables ``unit`` and ``pair``."""
        with self._open() as connection:
            connection.execute(f"SET memory_limit = '{_COPYING}'")  # without it, a gigabyte for a million units
            connection.execute(f"ATTACH '{str(selection).replace(chr(39), chr(39) * 2)}' AS selection")
            embedded = connection.execute(self._query("has_vectors")).fetchone()[0]
            clustered = connection.execute(self._query("has_clusters")).fetchone()[0]
            steps = ("vectors" if embedded else "no_vectors", "clusters" if clustered else "no_clusters")
            for name in (*steps, "node_clusters", "copy_units", "copy_pairs"):
                connection.execute(self._query(name))
            connection.execute("DETACH selection")

    def unit_text(self, unit_id: UUID) -> str:
        """The text of a unit. Raises NotFoundError."""
        rows = self._rows("unit_text", {"unit_id": unit_id})
        if not rows:
            raise NotFoundError(f"There is no unit {unit_id}. `regraft evaluate units` makes and shows them.")
        return str(rows[0]["text"])

    def pairs(self) -> list[Record]:
        """All candidate pairs, legal and refused, by id."""
        return self._rows("pairs")

    def pairs_between(self, sides: Sequence[tuple[UUID, UUID]]) -> list[Record]:
        """The candidate pairs of two nodes each, whichever is named first, by id."""
        ordered = sorted({(min(each), max(each)) for each in sides})
        first, second = ([str(each[place]) for each in ordered] for place in (0, 1))
        return self._rows("pairs_between", {"first": first, "second": second})

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
