"""``regraft pivots``: contexts whose answers led to different outcomes."""

from __future__ import annotations

from operator import itemgetter
from typing import Annotated, Literal

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import SORT, Json, Limit, OnlySession, Reverse
from regraft.presentation.cli.tables import Keys, arranged, cut, listing, print_total
from regraft.presentation.cli.words import counted

_FIGURES = ("answers", "leaves", "lowest", "mean", "highest", "spread", "error", "weight")
_KEYS: Keys = {name: itemgetter(name) for name in ("theme", *_FIGURES)}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Evaluation")(pivots)


def pivots(
    source: Annotated[
        Literal["human", "outcome", "judge"] | None,
        typer.Option(help="Only by people's judgements, by measured outcomes, or by models' judgements."),
    ] = None,
    theme: Annotated[str | None, typer.Option(help="Only of this theme.")] = None,
    session: OnlySession = None,
    limit: Limit = 20,
    sort: Annotated[
        Literal["theme", "answers", "leaves", "lowest", "mean", "highest", "spread", "error", "weight"] | None,
        typer.Option(help=SORT),
    ] = None,
    reverse: Reverse = False,
    json: Json = False,
) -> None:
    """Show contexts whose answers led to different outcomes, the heaviest first. Weight is spread times leaves.

    An answer's value is the mean over the leaves below it, 0 to 1. Spread is the standard deviation of the answers'
    values, error the standard error of their mean. `regraft replay --pivots` replays these nodes.
    """
    from regraft.flows.evaluation import pivots as flow
    from regraft.flows.evaluation.trajectories import materialise_units
    from regraft.flows.lineage import reading

    run = context()
    dsn, workbench = run.graph_dsn(), run.workbench()
    wanted = reading.session_id(dsn, session) if session is not None else None
    materialise_units(dsn, workbench)
    counts = flow.materialise_pivots(dsn, workbench)
    every = flow.pivots(workbench, source=source, theme=theme, session=wanted)
    shown = arranged(every, limit, sort, keys=_KEYS, reverse=reverse)
    found = shown.rows
    if json:
        run.print_json({"sessions": counts.sessions, "pivots": counts.pivots, "items": found})
        return
    run.console.print(
        f"{counted(counts.sessions, 'conversation')} valued again, {counted(counts.pivots, 'pivot')} in all."
    )
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
    print_total(run.console, len(found), shown.total, "pivot")
