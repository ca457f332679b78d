"""``regraft clusters``: paths by subject, in clusters with stable ids."""

from __future__ import annotations

import json as codec
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer
from rich.markup import escape
from rich.text import Text

from regraft.domain.evaluation.scatter import LETTERS, MapPoint, scatter
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.evaluation.embedding import embed_units
from regraft.presentation.cli.evaluation.label import reviewer_name
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.tables import Keys, arranged, cut, listing, print_total
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.evaluation.clusters import ClusterCounts

clusters_app = typer.Typer(help="Clusters of paths by subject, and their map.", no_args_is_help=True)

Layer = Annotated[int | None, typer.Option(min=0, help="Layer, 0 the finest; the clearest one if not given.")]
Cluster = Annotated[str, typer.Argument(help="Cluster: id, start of an id, or name.")]

_KEYS: Keys = {
    "name": lambda row: row["name"],
    "paths": lambda row: row["units"],
    "outcome": lambda row: row["outcome_rate"],
    "errors": lambda row: row["error_rate"],
    "quality": lambda row: row["quality"],
    "turns": lambda row: row["turns"],
    "tokens": lambda row: row["prompt_tokens"] + row["completion_tokens"],
}
_OPENING = 60  # characters of a path that are shown
_POINTS = 20_000


def _clustered(run: CommandContext, *, quiet: bool, refit: bool = False) -> ClusterCounts:
    """The clusters, brought up to the graph."""
    from regraft.flows.evaluation import embeddings
    from regraft.flows.evaluation.clusters import materialise_clusters
    from regraft.flows.evaluation.trajectories import materialise_units

    dsn, workbench = run.graph_dsn(), run.workbench()
    materialise_units(dsn, workbench)
    embedder = embeddings.embedder_of(run.settings, run.stack.gateway_endpoint)
    embed_units(run, embedder, quiet=quiet)
    return materialise_clusters(dsn, workbench, embedder.model, run.settings.clusters.rule, refit=refit)


@clusters_app.command("list")
def list_clusters(
    layer: Layer = None,
    limit: Limit = 50,
    sort: Annotated[
        Literal["name", "paths", "outcome", "errors", "quality", "turns", "tokens"] | None, typer.Option(help=SORT)
    ] = None,
    reverse: Reverse = False,
    json: Json = False,
) -> None:
    """Cluster new paths, and show the clusters of a layer, the largest first.

    A path that comes later joins the nearest cluster. The clusters are fitted again when too many paths fit nowhere.
    """
    from regraft.flows.evaluation import cluster_reading as reading

    run = context()
    counts = _clustered(run, quiet=json)
    shown = arranged(reading.clusters(run.workbench(), layer), limit, sort, keys=_KEYS, reverse=reverse)
    found = shown.rows
    if json:
        items = [{**row, "over_represented": codec.loads(row["over_represented"])} for row in found]
        run.print_json({**_counted(counts), "items": items})
        return
    _print_counts(run, counts)
    if not found:
        return
    table = listing(
        ("cluster", "name", "paths", "outcome", "errors", "quality", "turns", "tokens", "more often here"),
        figures=("paths", "outcome", "errors", "quality", "turns", "tokens"),
        texts=("name", "more often here"),
    )
    for row in found:
        table.add_row(
            str(row["cluster_id"])[:13],
            cut(row["name"]),
            str(row["units"]),
            _share(row["outcome_rate"]),
            _share(row["error_rate"]),
            f"{row['quality']:.2f}",
            f"{row['turns']:.1f}",
            f"{row['prompt_tokens'] + row['completion_tokens']:.0f}",
            cut(_over_represented(row)),
        )
    run.console.print(table)
    print_total(run.console, len(found), shown.total, "cluster")


@clusters_app.command()
def show(cluster: Cluster, limit: Limit = 10, json: Json = False) -> None:
    """Show a cluster: its typical paths, its words, what is more frequent in it, its parts and its history."""
    from regraft.flows.evaluation import cluster_reading as reading

    run = context()
    _clustered(run, quiet=json)
    found = reading.cluster(
        run.postgres_dsn(), run.workbench(), reading.resolve(run.workbench(), cluster), limit or 1_000_000
    )
    row = found.summary
    if json:
        shown = {**row, "over_represented": codec.loads(row["over_represented"])}
        run.print_json({**asdict(found), "summary": shown})
        return
    say = run.console.print
    say(f"[bold]{escape(row['name'])}[/]  {row['cluster_id']}  (layer {row['layer']}, name by {row['name_source']})")
    say(f"words: {escape(', '.join(row['words']))}", highlight=False)
    outcome = f"{_share(row['outcome_rate'])} of {row['outcomes']} known" if row["outcomes"] else "not known"
    say(
        f"{counted(row['units'], 'path')}; outcome {outcome}; {_share(row['error_rate'])} end in an error; quality "
        f"{row['quality']:.2f}; {row['turns']:.1f} turns, {row['prompt_tokens']:.0f} + {row['completion_tokens']:.0f} "
        f"tokens and {row['seconds']:.1f} s on average",
        highlight=False,
    )
    for one in codec.loads(row["over_represented"]):
        lift = f"{one['lift']:.1f} times as often" if one["lift"] else "nowhere else"
        say(
            f"{escape(one['feature'])} {escape(one['value'])}: {one['here']:.0%} here, {one['elsewhere']:.0%} "
            f"elsewhere ({lift}, p = {one['p']:.1g})",
            highlight=False,
        )
    for match in found.matches:
        say(f"{match['fate']}: {match['previous_cluster_id']} -> {match['cluster_id']} ({match['jaccard']:.2f})")
    for name in found.names:
        by = f"{escape(name['given_by'])} ({name['source']})"
        say(f"named {escape(name['name'])} by {by} on {name['given_at']:%Y-%m-%d}")
    for part in found.parts:
        say(
            f"part {str(part['cluster_id'])[:13]}: {escape(part['name'])} ({counted(part['units'], 'path')})",
            highlight=False,
        )
    table = listing(
        ("strength", "path", "session", "model", "outcome", "opening"),
        figures=("strength", "outcome"),
        texts=("model", "opening"),
    )
    for unit in found.members:
        opening = " ".join(unit["text"].split())
        table.add_row(
            f"{unit['strength']:.3f}",
            str(unit["unit_id"])[:13],
            str(unit["session_id"])[:13],
            cut(unit["model"]),
            _share(unit["outcome"]),
            cut(opening[:_OPENING] + ("…" if len(opening) > _OPENING else "")),
        )
    say(table)


@clusters_app.command()
def rename(
    cluster: Cluster,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    reviewer: Annotated[str | None, typer.Option(help="Your name; the account name if not given.")] = None,
    json: Json = False,
) -> None:
    """Name a cluster. It keeps the name when the clusters are fitted again."""
    from regraft.flows.evaluation import cluster_reading as reading

    run = context()
    named = reading.rename(run.postgres_dsn(), run.workbench(), cluster, name, reviewer_name(reviewer))
    if json:
        run.print_json({"cluster_id": named, "name": " ".join(name.split())})
        return
    run.console.print(f"{str(named)[:13]} is called {escape(' '.join(name.split()))}.", highlight=False)


@clusters_app.command()
def refit(json: Json = False) -> None:
    """Fit the clusters again, and show how they changed. The same paths give the same clusters."""
    from regraft.flows.evaluation import cluster_reading as reading

    run = context()
    counts = _clustered(run, quiet=json, refit=True)
    matches = reading.matches(run.workbench())
    if json:
        run.print_json({**_counted(counts), "matches": matches})
        return
    if not counts.fitted and counts.cluster_run_id:
        run.console.print("The last fit was made from the same paths: nothing changed.")
    _print_counts(run, counts)
    fates = {
        fate: sum(match["fate"] == fate for match in matches) for fate in ("kept", "split", "merged", "new", "gone")
    }
    said = ", ".join(f"{count} {fate}" for fate, count in fates.items() if count)
    if said:
        run.console.print(f"Of all layers: {said}.", highlight=False)


@clusters_app.command("map")
def show_map(layer: Layer = None, limit: Limit = _POINTS, json: Json = False) -> None:
    """Show the map of the paths: similar ones are close. A letter is a cluster, a dot is noise."""
    from regraft.flows.evaluation import cluster_reading as reading

    run = context()
    counts = _clustered(run, quiet=json)
    points = reading.points(run.workbench(), layer=layer, limit=limit or 100_000_000)
    if json:
        run.print_json({**_counted(counts), "points": points})
        return
    clusters = reading.clusters(run.workbench(), layer)
    places: dict[UUID, int] = {row["cluster_id"]: place for place, row in enumerate(clusters)}
    width = max(20, min(run.console.width, 100))
    lines = scatter(
        (MapPoint(one["x"], one["y"], places.get(one["cluster_id"])) for one in points), width=width, height=width // 3
    )
    run.console.print(Text("\n".join(lines), no_wrap=True))
    for letter, row in zip(LETTERS, clusters, strict=False):
        run.console.print(Text(f"{letter}  {row['units']:>6}  {row['name']}", no_wrap=True, overflow="ellipsis"))
    if counts.trustworthiness is not None:
        run.console.print(f"Trustworthiness {counts.trustworthiness:.3f}: neighbours on the map that are neighbours.")


def _counted(counts: ClusterCounts) -> dict[str, Any]:
    return {**asdict(counts), "drift": {**asdict(counts.drift), "share": counts.drift.share}}


def _print_counts(run: CommandContext, counts: ClusterCounts) -> None:
    if counts.cluster_run_id is None:
        run.console.print("No path has a text that could be compared.")
        return
    made = "fitted anew" if counts.fitted else f"{counted(counts.added, 'path')} added"
    later = f"; {counts.drift.unassigned} of {counts.drift.later} later paths fit nowhere" if counts.drift.later else ""
    run.console.print(
        f"{counted(counts.clusters, 'cluster')} of {counted(counts.units, 'path')} in "
        f"{counted(counts.layers, 'layer')} ({made}); {counts.without} "
        f"paths are in none{later}.",
        highlight=False,
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _over_represented(row: dict[str, Any]) -> str:
    found = codec.loads(row["over_represented"])
    return ", ".join(f"{one['feature']} {one['value']}" for one in found[:2])
