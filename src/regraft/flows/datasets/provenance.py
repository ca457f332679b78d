"""The origin of a row of a frozen dataset: its nodes and runs, their judgements, and the values that admitted it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.domain.datasets.admission import AdmissionFigure, admission
from regraft.domain.datasets.rows import Row
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.postgres.datasets import provenance as store
from regraft.infra.postgres.pool import Source, reading_from

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """``nodes`` from the root down, those of the row's history among them; ``judgements`` of the row's own nodes that
    count today, which may be others than those that counted when it was frozen; ``figures`` that admitted it."""

    nodes: tuple[Record, ...]
    judgements: tuple[Record, ...]
    figures: tuple[AdmissionFigure, ...]


def provenance(source: Source, snapshot: Record, row: Row) -> Provenance:
    """Where a row came from; ``snapshot`` is the registry's row of the one that it is in."""
    snapshot_id = snapshot["snapshot_id"]
    with reading_from(source) as connection:
        return Provenance(
            nodes=tuple(store.row_nodes(connection, snapshot_id, row.row_id)),
            judgements=tuple(store.row_judgements(connection, snapshot_id, row.row_id)),
            figures=admission(parse_recipe(snapshot["recipe"]), row),
        )
