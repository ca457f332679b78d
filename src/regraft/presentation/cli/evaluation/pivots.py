"""``regraft pivots``: contexts whose answers came to different ends."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.tables import cut, listing


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Evaluation")(pivots)


def pivots(
    source: Annotated[
        Literal["human", "outcome", "judge"] | None,
        typer.Option(help="Only by people's judgements, by measured outcomes, or by models' judgements."),
    ] = None,
    theme: Annotated[str | None, typer.Option(help="Only of this theme.")] = None,
    session: Annotated[str | None, typer.Option(help="Only of this session: id, start of an id, or name.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many to show; 0 for all.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the contexts whose answers came to different ends, the heaviest first: weight is spread times leaves.

    An answer's value is the mean over the leaves below it, 0 to 1. Spread is the standard deviation of the answers'
    values, error the standard error of their mean. `regraft replay --query pivot` replays these nodes.
    """
    from regraft.flows.evaluation import pivots as flow
    from regraft.flows.evaluation.trajectories import materialise_units
    from regraft.flows.lineage import reading

    run = context()
    dsn, workbench = run.graph_dsn(), run.workbench()
    wanted = reading.session_id(dsn, session) if session is not None else None
    materialise_units(dsn, workbench)
    counts = flow.materialise_pivots(dsn, workbench)
    found = flow.pivots(workbench, source=source, theme=theme, session=wanted, limit=limit or None)
    if json:
        run.print_json({"sessions": counts.sessions, "pivots": counts.pivots, "items": found})
        return
    run.console.print(f"{counts.sessions} conversations valued again, {counts.pivots} pivots in all.")
    if not found:
        return
    table = listing(
        ("node", "theme", "by", "answers", "leaves", "lowest", "mean", "highest", "spread", "error", "weight"),
        figures=("answers", "leaves", "lowest", "mean", "highest", "spread", "error", "weight"),
        texts=("theme",),
    )
    for row in found:
        table.add_row(
            str(row["node_id"])[:13],
            cut(row["theme"]),
            row["source"],
            str(row["answers"]),
            str(row["leaves"]),
            *(f"{row[name]:.2f}" for name in ("lowest", "mean", "highest", "spread", "error", "weight")),
        )
    run.console.print(table)
