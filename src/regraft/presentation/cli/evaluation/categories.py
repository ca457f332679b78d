"""``regraft categories``: what rules, judges, the learned labeller and people say of paths."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.new_file import write_new_file
from regraft.presentation.cli.options import Json, Limit
from regraft.presentation.cli.tables import cut, listing
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.domain.evaluation.taxonomy import Taxonomy
    from regraft.flows.evaluation.categories import CategoryCounts

categories_app = typer.Typer(help="Categories of paths, by rules, judges, learning and people.", no_args_is_help=True)

Layers = Literal["rules", "model", "learned", "human"]


def _labelled(run: CommandContext) -> tuple[Taxonomy, CategoryCounts]:
    """The taxonomy in use, with the labels brought up to the graph."""
    from regraft.flows.evaluation.categories import label_units
    from regraft.flows.evaluation.trajectories import materialise_units
    from regraft.infra.files.taxonomies import taxonomy_of

    taxonomy = taxonomy_of(run.settings)
    dsn = run.postgres_dsn()
    materialise_units(dsn, run.workbench())
    return taxonomy, label_units(dsn, run.workbench(), taxonomy)


@categories_app.command("list")
def list_categories(json: Json = False) -> None:
    """Label paths of conversations that changed, and show the categories with their labels by layer."""
    from regraft.flows.evaluation import categories as flow

    run = context()
    taxonomy, counts = _labelled(run)
    found = flow.by_category(run.workbench())
    covered = flow.coverage(run.workbench())
    if json:
        defined = [{**asdict(each), "labels": _of(found, each.name)} for each in taxonomy.categories]
        others = {
            row["category"]: _of(found, row["category"]) for row in found if row["category"] not in taxonomy.names
        }
        shown = {**asdict(counts), "coverage": [asdict(each) for each in covered]}
        run.print_json({**shown, "categories": defined, "other_categories": others})
        return
    units = covered[0].units if covered else 0
    said = ", ".join(f"{each.labelled} by {each.layer}" for each in covered if each.layer) or "none"
    run.console.print(f"{taxonomy.version}: {counted(units, 'path')}; labelled {said}.", highlight=False)
    table = listing(
        ("category", "layer", "maker", "labels", "holds", "version"),
        figures=("labels", "holds"),
        texts=("category", "version"),
    )
    for name in dict.fromkeys([*taxonomy.names, *(row["category"] for row in found)]):
        rows = _of(found, name)
        for row in rows:
            unread = f" ({row['unreadable']} unreadable)" if row["unreadable"] else ""
            figures = (f"{row['labels']}{unread}", str(row["decided"]))
            table.add_row(cut(name), row["layer"], _maker(row), *figures, cut(row["version"]))
        if not rows:
            table.add_row(cut(name), "", "", "0", "0", "")
    run.console.print(table)


def _of(found: list[dict[str, Any]], category: str) -> list[dict[str, Any]]:
    return [row for row in found if row["category"] == category]


def _maker(row: dict[str, Any]) -> str:
    """Who labelled; a judge's name always comes with whether it is calibrated."""
    return escape(row["maker"] + (f" ({row['standing']})" if row["standing"] else ""))


@categories_app.command()
def show(
    category: Annotated[str, typer.Argument(help="Category.")],
    layer: Annotated[Layers | None, typer.Option(help="Only labels of this layer.")] = None,
    theme: Annotated[str | None, typer.Option(help="Only paths of this theme.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Include negative labels.")] = False,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Show the paths in a category, with the labeller and the evidence."""
    from regraft.flows.evaluation import categories as flow

    run = context()
    taxonomy, _ = _labelled(run)
    known = {*taxonomy.names, *(row["category"] for row in flow.by_category(run.workbench()))}
    if category not in known:
        raise UsageError(f"There is no category {category!r}. The categories are: {', '.join(sorted(known))}.")
    decided = None if every else True
    found = flow.labels(
        run.workbench(), category=category, layer=layer, theme=theme, decided=decided, limit=limit or None
    )
    _print(run, found, json=json)


@categories_app.command()
def unit(
    unit: Annotated[str, typer.Argument(help="Path: id or start of an id of its last node.")], json: Json = False
) -> None:
    """Show every label of a path."""
    from regraft.flows.evaluation import categories as flow
    from regraft.flows.evaluation import reading

    run = context()
    _labelled(run)
    _print(run, flow.labels(run.workbench(), unit=reading.unit_id(run.workbench(), unit)), json=json)


def _print(run: CommandContext, found: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        run.print_json(found)
        return
    if not found:
        run.console.print("No label.")
        return
    table = listing(
        ("unit", "category", "layer", "maker", "value", "holds", "votes", "evidence"),
        figures=("value", "votes"),
        texts=("category", "evidence"),
    )
    for row in found:
        table.add_row(
            str(row["unit_id"])[:13],
            cut(row["category"]),
            row["layer"],
            _maker(row),
            "" if row["value"] is None else f"{row['value']:.2f}",
            "yes" if row["decided"] else "no",
            str(row["votes"]),
            cut("; ".join(map(str, row["evidence"]))),
        )
    run.console.print(table)


@categories_app.command()
def learn(json: Json = False) -> None:
    """Train the labeller on human labels, and label all paths with it if it beats the majority class.

    It learns from the vectors and signals of paths. Labels of a conversation are never on both sides of a fold.
    """
    from regraft.domain.evaluation.learned import MEANINGS
    from regraft.flows.evaluation import learning
    from regraft.flows.evaluation.embeddings import embedder_of, materialise_embeddings

    run = context()
    taxonomy, _ = _labelled(run)
    materialise_embeddings(run.workbench(), embedder_of(run.settings, run.stack.gateway_endpoint))
    counts = learning.learn_labels(run.workbench(), taxonomy)
    found = learning.labellers(run.workbench())
    if json:
        run.print_json({**asdict(counts), "items": found})
        return
    table = listing(
        ("category", "labels", "yes", "from", "majority", "accuracy", "kappa", "F1", "AUC", "sure", "decides"),
        figures=("labels", "yes", "from", "majority", "accuracy", "kappa", "F1", "AUC", "sure"),
        texts=("category", "decides"),
    )
    for row in found:
        figures = (row[name] for name in ("majority", "accuracy", "kappa", "f1", "auc", "certainty"))
        table.add_row(
            cut(row["category"]),
            *(str(row[name]) for name in ("labels", "positives", "components")),
            *("" if value is None else f"{value:.2f}" for value in figures),
            cut(f"no: {MEANINGS[row['reason']]}" if row["reason"] else "yes"),
        )
    run.console.print(table)


@categories_app.command()
def clusters(
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    layer: Annotated[Layers | None, typer.Option(help="Only labels of this layer.")] = None,
    depth: Annotated[
        int | None,
        typer.Option("--cluster-layer", min=0, help="Layer of the clusters, 0 is the finest; else the default."),
    ] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Show the categories of clusters; those that are most clearly over-represented come first.

    Clusters and learned labels are as they were last made: `regraft clusters`, `regraft categories learn`.
    """
    from regraft.flows.evaluation import categories as flow
    from regraft.flows.evaluation import cluster_reading

    run = context()
    _labelled(run)
    counts = flow.label_clusters(run.workbench())
    made = cluster_reading.run(run.workbench())
    wanted = cluster_reading.layer_of(made, depth) if made else None
    found = flow.cluster_labels(run.workbench(), category=category, source=layer, layer=wanted, limit=limit or None)
    if json:
        run.print_json({**asdict(counts), "items": found})
        return
    run.console.print(f"{counted(counts.labels, 'label')} of {counted(counts.clusters, 'cluster')}.")
    if not found:
        return
    table = listing(
        ("cluster", "name", "category", "source", "maker", "paths", "holds", "share", "interval", "overall", "lift"),
        figures=("paths", "holds", "share", "overall", "lift"),
        texts=("name", "category"),
    )
    for row in found:
        table.add_row(
            str(row["cluster_id"])[:13],
            cut(row["cluster"]),
            cut(row["category"]),
            row["source"],
            _maker(row),
            str(row["units"]),
            f"{row['decided']} of {row['labelled']}",
            f"{row['share']:.2f}",
            f"{row['share_low']:.2f} to {row['share_high']:.2f}",
            f"{row['overall']:.2f}",
            "" if row["lift"] is None else f"{row['lift']:.1f}",
        )
    run.console.print(table)


@categories_app.command()
def init(
    to: Annotated[Path, typer.Option(help="File to write; - prints it.")] = Path("taxonomy.toml"), json: Json = False
) -> None:
    """Write the built-in taxonomy as a file to change. A file that exists is left as it is."""
    from regraft.infra.files.taxonomies import taxonomy_example

    text = taxonomy_example()
    if not write_new_file(to, text):
        return
    run = context()
    if json:
        run.print_json({"file": str(to)})
    else:
        run.console.print(f'{escape(str(to))} is written. `taxonomy = "{escape(str(to))}"` in the settings uses it.')
