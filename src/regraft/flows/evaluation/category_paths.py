"""The paths that are labelled with a category, with their texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regraft.flows.evaluation.categories import labels
from regraft.infra.postgres.evaluation import vectors
from regraft.infra.postgres.pool import Connection

Row = dict[str, Any]

_MORE = 20  # times the limit that is looked through for a tenant's own paths


def category_paths(
    connection: Connection,
    workbench: Path,
    category: str,
    *,
    layer: str | None = None,
    maker: str | None = None,
    decided: bool | None = None,
    limit: int = 100,
    scope: str | None = None,
) -> list[Row]:
    """Labels of a category with what was asked and answered: those that decide first, then by value."""
    most = limit if scope is None else limit * _MORE
    found = labels(workbench, category=category, layer=layer, maker=maker, decided=decided, limit=most)
    texts = vectors.described(connection, [row["unit_id"] for row in found], scope)
    return [{**row, **texts[row["unit_id"]]} for row in found if row["unit_id"] in texts][:limit]
