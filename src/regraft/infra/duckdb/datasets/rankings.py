"""Which trajectories a recipe ranks first and last, in the workbench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from regraft.infra.duckdb.file import Record, WorkbenchFile

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("recipe", "stratum")),
        ("place", pa.int32()),
        *((name, pa.string()) for name in ("unit_id", "turn_id")),
        *((name, pa.float64()) for name in ("score", "human", "outcome", "judge", "signals")),
        *((name, pa.string()) for name in ("label_source", "type", "why")),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedTrajectory:
    """A trajectory's place in its stratum. ``type`` is that of a negative, '' for a positive; ``why`` is for people."""

    recipe: str
    stratum: str
    place: int
    unit_id: str
    turn_id: str
    score: float
    human: float | None
    outcome: float | None
    judge: float | None
    signals: float | None
    label_source: str
    type: str
    why: str


class Rankings(WorkbenchFile):
    """The tables ``positive_topk_trajectories`` and ``negative_bottomk_trajectories``."""

    tables = "datasets/rankings"

    def replace(
        self, recipe: str, positives: Sequence[RankedTrajectory], negatives: Sequence[RankedTrajectory]
    ) -> None:
        """The ranks of a recipe are exactly these."""
        for name, ranks in (("positives", positives), ("negatives", negatives)):
            table = pa.Table.from_pylist([asdict(each) for each in ranks], schema=_SCHEMA)
            with self._writing(new_ranks=table) as connection:
                connection.execute(self._query(f"forget_{name}"), {"recipe": recipe})
                connection.execute(self._query(f"add_{name}"))

    def positives(self, recipe: str, n: int) -> list[Record]:
        """The best of each stratum, at most ``n``."""
        return self._rows("positives", {"recipe": recipe, "n": n})

    def negatives(self, recipe: str, n: int) -> list[Record]:
        """The worst of each stratum, at most ``n``."""
        return self._rows("negatives", {"recipe": recipe, "n": n})
