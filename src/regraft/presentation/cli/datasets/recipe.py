"""``regraft dataset init``, ``preview`` and ``rank``: write a recipe, and preview its rows before a freeze."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from regraft.domain.datasets.reasons import explained
from regraft.presentation.cli import completion
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.new_file import write_new_file
from regraft.presentation.cli.options import Json, Limit, most
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.datasets.preview import Preview

RecipeArgument = Annotated[
    str,
    typer.Argument(
        help="Recipe: a TOML file, or the name of a saved or a built-in one.", autocompletion=completion.recipes
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (init, recipes, preview, rank):
        app.command()(command)


def init(
    name: Annotated[str, typer.Argument(help="Name of the dataset; the recipe is NAME.toml.")],
    kind: Annotated[str, typer.Option(help="sft, dpo, reward, suppression or unlearning.")] = "sft",
    to: Annotated[Path | None, typer.Option(help="File to write instead; - prints it.")] = None,
    json: Json = False,
) -> None:
    """Write a recipe with every key, its default and its meaning. A file that exists is left as it is."""
    from regraft.infra.files.recipes import recipe_example

    text = recipe_example(name, kind)
    path = to or Path(f"{name}.toml")
    if not write_new_file(path, text):
        return
    run = context()
    if json:
        run.print_json({"file": str(path), "name": name, "kind": kind})
    else:
        run.console.print(
            f"{escape(str(path))} is written. `regraft dataset preview {escape(str(path))}` shows its rows."
        )


def recipes(
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List the recipes: those in the folder of recipes, and the built-in ones."""
    from regraft.flows.datasets.recipe_library import RecipeLibrary

    run = context()
    found = RecipeLibrary(run.settings.recipes).listed()[: limit or None]
    if json:
        run.print_json([asdict(one) for one in found])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("recipe", "kind", "from", "description"):
        table.add_column(name)
    for one in found:
        origin = "built in" if one.origin == "built_in" else str(run.settings.recipes)
        table.add_row(escape(one.name), one.kind, escape(origin), escape(one.description or one.problem))
    run.console.print(table)


def preview(
    recipe: RecipeArgument,
    all_rows: Annotated[bool, typer.Option("--all", help="Preview all rows, not only the best thousand.")] = False,
    limit: Limit = 3,
    json: Json = False,
) -> None:
    """Preview a recipe: rows, refusals with examples, lengths, leakage. Nothing is frozen."""
    from regraft.flows.datasets import preview as flow
    from regraft.infra.files.recipes import recipe_text

    run = context()
    text = recipe_text(recipe, run.settings.recipes)
    found = flow.preview(text, dsn=run.graph_dsn(), workbench=run.workbench(), all_rows=all_rows, show=most(limit))
    if json:
        run.print_json(asdict(found))
    else:
        _print_preview(run, found)


def _print_preview(run: CommandContext, found: Preview) -> None:
    out = run.console
    more = "" if found.whole else " (the best; --all makes every row)"
    splits = ", ".join(f"{count} {name}" for name, count in found.splits.items())
    head = f"[bold]{escape(found.recipe)}[/], kind {found.kind}"
    out.print(f"{head}: {counted(found.rows, 'row')}{more}: {splits}", highlight=False)
    lengths = found.lengths
    spread = f"{lengths.least} to {lengths.greatest}, median {lengths.median}, 95 % below {lengths.p95}"
    out.print(f"lengths in characters: {spread}; {counted(found.messages, 'message')}", highlight=False)
    if found.rows:
        figures = ", ".join(f"{name} {found.tokens[name]}" for name in ("sum", "median", "p95", "max"))
        out.print(f"tokens ({escape(found.tokens['tokenizer'])}): {figures}", highlight=False)
    leaks = found.leakage["sessions_in_two_splits"] + found.leakage["contents_in_two_splits"]
    out.print(f"leakage: {leaks} in {counted(found.leakage['components'], 'component')}", highlight=False)
    for title, counts in (("strata", found.strata), ("decided by", found.labels), ("not asked for", found.passed_over)):
        if counts:
            out.print(f"{title}: {_listed(counts)}", highlight=False)
    for line in explained(found.passed_over):
        out.print(f"  {escape(line)}", highlight=False)
    if found.refused:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("refused", "reason", "for example"):
            table.add_column(name)
        for reason, count in found.refused.items():
            examples = "; ".join(f"{one.row_id[:8]} {one.detail}".strip() for one in found.examples.get(reason, ()))
            table.add_row(str(count), reason, escape(examples))
        out.print(table)
        for line in explained(found.refused):
            out.print(f"  {escape(line)}", highlight=False)
    for target, losses in found.targets.items():
        said = _listed(losses) if losses else "every row"
        out.print(f"target {target}: {'cannot express ' if losses else 'can express '}{said}", highlight=False)
    for line in explained(sorted({reason for losses in found.targets.values() for reason in losses})):
        out.print(f"  {escape(line)}", highlight=False)
    if found.dropped_fields:
        out.print(f"fields that rows leave out: {', '.join(found.dropped_fields)}", highlight=False)
    for name, figure in found.filters.items():
        out.print(escape(f"{name.replace('_', ' ')}: {_figures(figure)}"), highlight=False)
    for row in found.sample:
        out.print()
        agreement = "" if row["agreement"] is None else f", agreement {row['agreement']:.2f}"
        judged = f"{row['label_source']}, score {row['score']:.3f}{agreement}"
        out.print(f"[bold]{row['row_id'][:8]}[/] ({escape(judged)}) {escape(row['evidence'])}", highlight=False)
        for message in row["messages"]:
            calls = f" [{counted(message['calls'], 'call')}]" if message["calls"] else ""
            text = " ".join(message["text"].split())
            out.print(f"  {message['role']}: {escape(text[:200])}{escape(calls)}", highlight=False)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {escape(name or 'none')}" for name, count in counts.items())


def rank(
    recipe: RecipeArgument,
    negatives: Annotated[bool, typer.Option("--negatives", help="Show the worst instead of the best.")] = False,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Rank trajectories by a recipe, best and worst of each stratum, and show why each has its rank."""
    from regraft.flows.datasets import ranking as flow
    from regraft.infra.files.recipes import parse_recipe, recipe_text

    run = context()
    parsed = parse_recipe(recipe_text(recipe, run.settings.recipes))
    counts = flow.rank_trajectories(parsed, run.graph_dsn(), run.workbench())
    rows = flow.ranked(run.workbench(), parsed.name, negatives=negatives, n=most(limit))
    if json:
        run.print_json({**asdict(counts), "trajectories": rows})
        return
    best, worst = sum(counts.positives.values()), sum(counts.negatives.values())
    types = ", ".join(f"{count} {name}" for name, count in sorted(counts.types.items()))
    run.console.print(f"{best} positives, {worst} negatives{f' ({types})' if types else ''}", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stratum", "place", "unit", "score", *(["type"] if negatives else []), "why"):
        table.add_column(name)
    for row in rows:
        kind = [row["type"]] if negatives else []
        place = [escape(row["stratum"] or "none"), str(row["place"]), row["unit_id"][:8], f"{row['score']:.3f}"]
        table.add_row(*place, *kind, escape(row["why"]))
    run.console.print(table)


def _figures(figure: object) -> str:
    """Figures of a filter in words: ``rows 3, replaced (API_KEY 1)``. What is empty is left out."""
    if isinstance(figure, Mapping):
        said = (
            (name, f"({_figures(each)})" if isinstance(each, Mapping) else _figures(each))
            for name, each in figure.items()
        )
        return ", ".join(
            f"{name.replace('_', ' ') if name.islower() else name} {each}"
            for name, each in said
            if each not in ("", "()")
        )
    if isinstance(figure, list | tuple):
        return ", ".join(map(_figures, figure))
    return str(figure)
