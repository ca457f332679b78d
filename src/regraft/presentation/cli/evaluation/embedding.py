"""Vectors for what has none, with a progress bar: what several commands do first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from regraft.presentation.cli.context import CommandContext
from regraft.presentation.cli.progress import Bar

if TYPE_CHECKING:
    from regraft.flows.evaluation.embeddings import EmbedCounts, Embedder


def embed_units(run: CommandContext, embedder: Embedder, *, quiet: bool) -> EmbedCounts:
    """Bring the vectors of the workbench up to its units. ``quiet``: without the bar."""
    from regraft.flows.evaluation.embeddings import materialise_embeddings

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(run.console, *columns, hidden=quiet) as bar:
        task = bar.add_task("Embedding", total=None)
        return materialise_embeddings(
            run.workbench(), embedder, lambda done, wanted: bar.update(task, completed=done, total=wanted)
        )
