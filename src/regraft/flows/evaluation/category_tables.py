"""Pivots and category labels as tables: fixed columns, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from regraft.domain.evaluation.taxonomy import Taxonomy
from regraft.flows.columns import BATCH, TEXT, TEXTS, as_columns, column, paged
from regraft.flows.evaluation.categories import label_units
from regraft.flows.evaluation.named_session import session_id
from regraft.flows.evaluation.pivots import materialise_pivots
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.categories import CategoryLabels
from regraft.infra.duckdb.evaluation.pivots import Pivots

_INT, _FLOAT, _BOOL = pa.int64(), pa.float64(), pa.bool_()

PIVOTS = pa.schema(
    [
        column("node_id", TEXT, "the node to replay: the first answer to the context"),
        column("anchor_turn_id", TEXT, "the turn under which the answers are compared"),
        column("session_id", TEXT, "the session"),
        column("theme", TEXT, "the theme; '': none"),
        column("source", TEXT, "whose values differ: human, outcome or judge"),
        column("answers", _INT, "answers that have a value"),
        column("leaves", _INT, "valued paths below them"),
        column("mean", _FLOAT, "mean of the answers' values, each the mean over the leaves below it, 0 to 1"),
        column("spread", _FLOAT, "sample standard deviation of the answers' values"),
        column("error", _FLOAT, "standard error of the mean"),
        column("weight", _FLOAT, "spread times leaves"),
        column("best", TEXT, "the answer of the highest value"),
        column("highest", _FLOAT, "that value"),
        column("worst", TEXT, "the answer of the lowest value"),
        column("lowest", _FLOAT, "that value"),
    ]
)

CATEGORIES = pa.schema(
    [
        column("unit_id", TEXT, "the path, by its last node"),
        column("session_id", TEXT, "the session"),
        column("category", TEXT, "the category"),
        column("layer", TEXT, "`rules`, `model`, `learned` or `human`"),
        column("maker", TEXT, "`rules`, `people`, `learned`, or a judge's name"),
        column("version", TEXT, "of the maker; '': people"),
        column("value", _FLOAT, "how clearly the category holds, 0 to 1; null: no answer of the judge could be read"),
        column("decided", _BOOL, "whether it holds by this maker"),
        column("confidence", _FLOAT, "how sure that is, 0 to 1"),
        column("votes", _INT, "raters, or answers of a judge that could be read"),
        column("unparseable", _INT, "answers of a judge that could not"),
        column("evidence", TEXTS, "what shows it"),
        column("model_snapshot", TEXT, "of a judge"),
    ]
)


def pivots(
    dsn: str, workbench: Path, *, theme: str | None = None, session: str | None = None, refresh: bool = True
) -> Iterator[pa.RecordBatch]:
    """Pivots in the columns of ``PIVOTS``, the heaviest first. ``refresh``: value what changed first."""
    if refresh:
        materialise_units(dsn, workbench)
        materialise_pivots(dsn, workbench)
    found = Pivots(workbench).table(theme=theme, session=session_id(dsn, session))
    yield from as_columns(found, PIVOTS).combine_chunks().to_batches(max_chunksize=BATCH)


def categories(
    dsn: str,
    workbench: Path,
    taxonomy: Taxonomy,
    *,
    theme: str | None = None,
    session: str | None = None,
    refresh: bool = True,
) -> Iterator[pa.RecordBatch]:
    """Category labels in the columns of ``CATEGORIES``, by path. ``refresh``: label what changed first; learned labels
    are those of the last training.

    The workbench is opened for each batch and closed after it, so that others can write to it meanwhile.
    """
    if refresh:
        materialise_units(dsn, workbench)
        label_units(dsn, workbench, taxonomy)
    bench, wanted = CategoryLabels(workbench), session_id(dsn, session)
    yield from paged(
        lambda rows, after: bench.page(rows, after=after, theme=theme, session=wanted),
        CATEGORIES,
        ("unit_id", "category", "layer", "maker"),
    )
