"""``regraft evaluate``: measured paths and candidate pairs, brought up to the conversation graph."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.evaluation.embedding import embed_units
from regraft.presentation.cli.tables import cut, listing

evaluate_app = typer.Typer(help="Measure paths and compare sibling answers.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="How many to show; 0 for all.")]


@evaluate_app.command()
def units(
    limit: Limit = 20,
    theme: Annotated[str | None, typer.Option(help="Only paths of this theme.")] = None,
    json: Json = False,
) -> None:
    """Measure the paths of conversations that changed, and show paths, the worst first."""
    from regraft.flows.evaluation import reading
    from regraft.flows.evaluation.trajectories import materialise_units

    run = context()
    counts = materialise_units(run.graph_dsn(), run.workbench())
    found = reading.units(run.workbench(), theme=theme)
    shown = found[:limit] if limit else found
    if json:
        run.print_json({**asdict(counts), "total": len(found), "items": shown})
        return
    run.console.print(f"{counts.sessions} conversations measured again, {len(found)} paths in all.")
    if not shown:
        return
    table = listing(
        ("unit", "theme", "model", "turns", "calls", "errors", "tokens", "seconds", "quality"),
        figures=("turns", "calls", "errors", "tokens", "seconds", "quality"),
        texts=("theme", "model"),
    )
    for unit in shown:
        table.add_row(
            str(unit["unit_id"])[:13],
            cut(unit["theme"]),
            cut(unit["model"]),
            str(unit["turns"]),
            str(unit["tool_calls"]),
            str(unit["tool_errors"]),
            str(unit["completion_tokens"]),
            f"{unit['seconds']:.1f}",
            f"{unit['quality']:.2f}",
        )
    run.console.print(table)


@evaluate_app.command()
def judges(json: Json = False) -> None:
    """Show who judged answers, reported or imported: how often, and over how many comparisons."""
    from regraft.flows.evaluation import reading

    run = context()
    found = reading.judges(run.graph_dsn())
    if json:
        run.print_json(found)
        return
    table = listing(
        ("source", "annotator", "kind", "judgement", "count", "comparisons"),
        figures=("count", "comparisons"),
        texts=("source", "annotator", "judgement"),
    )
    for row in found:
        table.add_row(
            cut(row["source"]),
            cut(row["annotator"] or ""),
            row["given_by"] or "",
            cut(row["name"]),
            str(row["judgements"]),
            str(row["comparisons"]),
        )
    run.console.print(table)


@evaluate_app.command()
def embed(json: Json = False) -> None:
    """Turn the paths of conversations into vectors; a text is embedded once."""
    from regraft.flows.evaluation.embeddings import embedder_of
    from regraft.flows.evaluation.neighbours import index_vectors
    from regraft.flows.evaluation.trajectories import materialise_units

    run = context()
    materialise_units(run.graph_dsn(), run.workbench())
    counts = embed_units(run, embedder_of(run.settings, run.stack.gateway_endpoint), quiet=json)
    index_vectors(run.postgres_dsn(), run.workbench(), counts.model)
    if json:
        run.print_json(asdict(counts))
        return
    run.console.print(
        f"{counts.embedded} texts embedded, {counts.units} paths have a vector of {counts.model}.", highlight=False
    )


@evaluate_app.command()
def pairs(
    limit: Limit = 20,
    refused: Annotated[bool, typer.Option("--refused", help="Show refused pairs too.")] = False,
    json: Json = False,
) -> None:
    """Pair sibling answers of changed conversations, and show pairs, the largest margin first."""
    from regraft.flows.evaluation import reading
    from regraft.flows.evaluation.calibration import calibrate, calibrations, status_of
    from regraft.flows.evaluation.pairs import propose_pairs

    run = context()
    counts = propose_pairs(run.graph_dsn(), run.workbench())
    every = reading.pairs(run.workbench())
    if any(pair["deciders"] not in (None, "[]") for pair in every):
        calibrate(run.postgres_dsn(), run.workbench())
    known = calibrations(run.workbench())
    for pair in every:
        pair["judge_status"] = status_of(known, pair["deciders"])
    reasons: dict[str, int] = {}
    for pair in every:
        if pair["verdict"] == "refused":
            reasons[pair["reason"]] = reasons.get(pair["reason"], 0) + 1
    found = [pair for pair in every if refused or pair["verdict"] == "legal"]
    shown = found[:limit] if limit else found
    if json:
        totals = {"total": len(every), "total_refused": reasons}
        run.print_json({**asdict(counts), **totals, "items": shown})
        return
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
    run.console.print(
        f"{counts.sessions} conversations compared again, {len(every)} pairs in all, "
        f"{len(every) - sum(reasons.values())} legal. Refused: {why}."
    )
    if not shown:
        return
    table = listing(
        ("pair", "theme", "kinds", "models", "verdict", "source", "margin", "chosen"),
        figures=("margin",),
        texts=("theme", "kinds", "models"),
    )
    for pair in shown:
        chosen = {pair["node_a"]: "a", pair["node_b"]: "b"}.get(pair["chosen"], "")
        table.add_row(
            str(pair["pair_id"])[:13],
            cut(pair["theme"]),
            cut(f"{pair['kind_a']}, {pair['kind_b']}"),
            cut(f"{pair['model_a']}, {pair['model_b']}"),
            pair["reason"] or "legal",
            f"{pair['source']} ({pair['judge_status']} model)" if pair["judge_status"] else pair["source"],
            f"{pair['margin']:.2f}",
            chosen,
        )
    run.console.print(table)
