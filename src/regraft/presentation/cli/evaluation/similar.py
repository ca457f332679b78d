"""``regraft similar``: conversations that are near a node in meaning."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.evaluation.embedding import embed_units
from regraft.presentation.cli.options import Json, Limit, NodeArgument, most
from regraft.presentation.cli.tables import cut, listing

_WORDS = 60  # characters of a question that are shown


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Evaluation")(similar)


def similar(
    node: NodeArgument,
    limit: Limit = 10,
    elsewhere: Annotated[bool, typer.Option("--elsewhere", help="Only paths of other sessions.")] = False,
    json: Json = False,
) -> None:
    """Show the paths whose conversation is nearest in meaning to the one that ends at NODE."""
    from regraft.flows.evaluation.embeddings import embedder_of
    from regraft.flows.evaluation.neighbours import index_vectors
    from regraft.flows.evaluation.neighbours import similar as search
    from regraft.flows.evaluation.trajectories import materialise_units
    from regraft.flows.lineage import reading

    run = context()
    dsn = run.graph_dsn()
    wanted = reading.node_id(dsn, node)
    embedder = embedder_of(run.settings, run.stack.gateway_endpoint)
    materialise_units(dsn, run.workbench())
    embed_units(run, embedder, quiet=json)
    index_vectors(dsn, run.workbench(), embedder.model)
    found = search(dsn, run.workbench(), embedder, wanted, most(limit), elsewhere=elsewhere)
    if json:
        shown = asdict(found)
        run.print_json({"node": shown.pop("node_id"), **shown})
        return
    if not found.items:
        run.console.print("No other path has a vector that could be compared.")
        return
    table = listing(
        ("similarity", "unit", "session", "theme", "model", "turns", "asked"),
        figures=("similarity", "turns"),
        texts=("theme", "model", "asked"),
    )
    for path in found.items:
        asked = " ".join((path.asked or "").split())
        table.add_row(
            f"{path.similarity:.3f}",
            str(path.unit_id)[:13],
            str(path.session_id)[:13],
            cut(path.theme),
            cut(path.model),
            str(path.turns),
            cut(asked[:_WORDS] + ("…" if len(asked) > _WORDS else "")),
        )
    run.console.print(table)
