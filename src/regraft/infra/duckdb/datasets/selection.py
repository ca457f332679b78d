"""A temporary database of one freeze: candidates, copied from the workbench, and the rows that are planned from them.

They are ranked on disk, so that memory does not grow with candidates, and the workbench is open only while it is
copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from regraft.domain.datasets.kinds.kind import PlannedRow
from regraft.domain.evaluation.score import PARTS, ScoreParts
from regraft.infra.data_folder import make_data_folder
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.duckdb.faults import faults_of_the_disk
from regraft.infra.duckdb.file import Record
from regraft.infra.files.drafts import draft_folder
from regraft.infra.queries import queries

DRAFT = "selection-"  # of the folder's name
_BATCH = 5_000  # plans in memory at a time
_MEMORY = "400MB"  # of DuckDB's; what is over it goes to disk
_TEXTS = pa.list_(pa.string())
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("row_id", "kind")),
        ("parts", _TEXTS),
        ("turns", _TEXTS),
        *((name, pa.string()) for name in ("theme", "stratum", "task", "anchor", "label", "label_source")),
        *((name, pa.float64()) for name in ("margin", "score", "rank")),
        ("length", pa.int32()),
        *((name, pa.string()) for name in ("own_group", "refusal", "negative", "evidence")),
        *((name, pa.float64()) for name in ("agreement", *PARTS)),
        ("groups", _TEXTS),
    ]
)
_SAME = (
    *("row_id", "kind", "theme", "stratum", "task", "anchor", "label", "label_source", "margin", "score", "rank"),
    *("refusal", "negative", "evidence", "agreement"),
)


class SelectionFile:
    """Candidates as streams; planned rows, added in any order and read by rank."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._queries = {name: query.decode() for name, query in queries("duckdb/datasets/selection").items()}
        connection.execute(self._queries["schema"])

    def keep_sessions(self, session_ids: Sequence[str]) -> None:
        """Candidates of other sessions than these are none."""
        self._connection.register("kept_sessions", pa.table({"session_id": pa.array(session_ids, pa.string())}))
        for name in ("keep_units", "keep_pairs"):
            self._connection.execute(self._queries[name])
        self._connection.unregister("kept_sessions")

    def units(self) -> Iterator[Record]:
        """The paths from root to leaf, by id."""
        return self._stream("units")

    def pairs(self) -> Iterator[Record]:
        """The pairs of sibling answers, by id."""
        return self._stream("pairs")

    def _stream(self, query: str) -> Iterator[Record]:
        cursor = self._connection.cursor()
        reader = cursor.sql(self._queries[query]).to_arrow_reader(_BATCH)
        names = reader.schema.names
        for batch in reader:
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield dict(zip(names, values, strict=True))

    def add(self, plans: Iterable[PlannedRow]) -> None:
        """Keep planned rows; of two with one id the first counts."""
        stream = iter(plans)
        while batch := list(islice(stream, _BATCH)):
            self._connection.register("new_plans", _table(batch))
            self._connection.execute(self._queries["add_plans"])
            self._connection.execute(self._queries["add_entries"])
            self._connection.unregister("new_plans")

    def __len__(self) -> int:
        return int(self._connection.execute(self._queries["count"]).fetchone()[0])

    def compete(self, k: int) -> int:
        """Keep the best ``k`` of each group, all when ``k`` is 0; returns how many lost."""
        if not k:
            return 0
        before = len(self)
        self._connection.execute(self._queries["remove_losers"], {"k": k})
        return before - len(self)

    def ranked(self) -> Iterator[PlannedRow]:
        """Planned rows, the best first, ties by id."""
        for record in self._stream("ranked"):
            turns = dict(zip(record.pop("parts"), record.pop("turns"), strict=True))
            parts = ScoreParts(**{name: record.pop(name) for name in PARTS})
            yield PlannedRow(turns=turns, group=record.pop("own_group"), parts=parts, **record)


def _table(plans: Sequence[PlannedRow]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: list(map(attrgetter(name), plans)) for name in _SAME}
    columns |= {name: list(map(attrgetter(f"parts.{name}"), plans)) for name in PARTS}
    columns["parts"] = [list(plan.turns) for plan in plans]
    columns["turns"] = [list(plan.turns.values()) for plan in plans]
    columns["length"] = [plan.length for plan in plans]
    columns["own_group"] = [plan.group for plan in plans]
    columns["groups"] = [plan.groups for plan in plans]
    return pa.Table.from_pydict(columns, schema=_SCHEMA)


@contextmanager
def selection_file(workbench: Path) -> Iterator[SelectionFile]:
    """A selection file beside the workbench, with a copy of its candidates; it is gone after the block."""
    import duckdb  # slow to import, and not every command needs it

    make_data_folder(workbench.parent)
    with draft_folder(DRAFT, workbench.parent) as place:
        path = place / "selection.duckdb"
        with faults_of_the_disk(path):
            Workbench(workbench).copy_candidates(path)
            connection = duckdb.connect(str(path), config={"memory_limit": _MEMORY, "threads": 2})
            try:
                yield SelectionFile(connection)
            finally:
                connection.close()
