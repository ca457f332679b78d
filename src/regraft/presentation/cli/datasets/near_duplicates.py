"""``regraft dataset near-duplicates``: rows of a snapshot that say nearly the same, found by Daft."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.words import counted


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("near-duplicates")(near_duplicates)


def near_duplicates(
    snapshot: Annotated[str, typer.Argument(help="Snapshot: id, start of an id, or a dataset's name for its newest.")],
    to: Annotated[Path, typer.Option(help="Folder of the results; with a cluster, one that every node sees.")],
    threshold: Annotated[float, typer.Option(help="Share of common runs of five words from which rows count.")] = 0.8,
    python: Annotated[Path, typer.Option(help="Python of the environment that holds Daft.")] = Path(
        ".venv-scale/bin/python"
    ),
    ray: Annotated[
        str, typer.Option(help="Run on Ray: HOST:PORT or auto for a cluster, local:2 for two nodes here.")
    ] = "",
    json: Json = False,
) -> None:
    """Compare the rows of a snapshot with Daft, on this machine or on a Ray cluster; the snapshot stays as it is."""
    from regraft.flows.datasets.resemblance import resemblance

    run = context()
    found = resemblance(
        snapshot,
        to,
        dsn=run.postgres_dsn(),
        warehouse=run.warehouse(),
        python=python,
        ray=ray,
        threshold=threshold,
    )
    if json:
        run.print_json(asdict(found))
        return
    out = run.console
    out.print(f"[bold]{escape(found.snapshot_id)}[/]: {counted(found.rows, 'row')}, compared by {escape(found.engine)}")
    out.print(f"pairs from {found.threshold:g}: {found.pairs}, of which {found.pairs_in_two_splits} in two splits")
    out.print(
        f"groups: {found.groups}, the largest of {counted(found.largest_group, 'row')}; surplus rows: {found.surplus}"
    )
    out.print(f"words: {found.words}, half of the rows have at least {found.median_words}", highlight=False)
    if found.wide_bands:
        out.print(f"{found.wide_bands} bands were too wide to compare each row with each", highlight=False)
    out.print(escape(str(to)), highlight=False)
