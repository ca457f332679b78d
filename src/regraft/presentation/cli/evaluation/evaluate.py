"""``regraft evaluate``: measured paths and candidate pairs, brought up to the conversation graph."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.evaluation.embedding import embed_units
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.tables import Keys, arranged, cut, listing, one_line, print_total
from regraft.presentation.cli.words import counted

_WORDS = 60  # characters of a question or an answer that are shown
_UNIT_KEYS: Keys = {
    "theme": lambda row: row["theme"],
    "model": lambda row: row["model"],
    "turns": lambda row: row["turns"],
    "calls": lambda row: row["tool_calls"],
    "errors": lambda row: row["tool_errors"],
    "tokens": lambda row: row["completion_tokens"],
    "seconds": lambda row: row["seconds"],
    "quality": lambda row: row["quality"],
}
_PAIR_KEYS: Keys = {
    "theme": lambda row: row["theme"],
    "verdict": lambda row: row["reason"] or row["verdict"],
    "source": lambda row: row["source"],
    "margin": lambda row: row["margin"],
}

evaluate_app = typer.Typer(help="Measure paths and compare sibling answers.", no_args_is_help=True)


@evaluate_app.command()
def units(
    limit: Limit = 20,
    sort: Annotated[
        Literal["theme", "model", "turns", "calls", "errors", "tokens", "seconds", "quality"] | None,
        typer.Option(help=SORT),
    ] = None,
    reverse: Reverse = False,
    theme: Annotated[str | None, typer.Option(help="Only paths of this theme.")] = None,
    json: Json = False,
) -> None:
    """Measure the paths of conversations that changed, and show paths, the worst first."""
    from regraft.flows.evaluation import reading
    from regraft.flows.evaluation.trajectories import materialise_units

    run = context()
    counts = materialise_units(run.graph_dsn(), run.workbench())
    found = reading.units(run.workbench(), theme=theme)
    shown = arranged(found, limit, sort, keys=_UNIT_KEYS, reverse=reverse).rows
    if json:
        run.print_json({**asdict(counts), "total": len(found), "items": shown})
        return
    run.console.print(
        f"{counted(counts.sessions, 'conversation')} measured again, {counted(len(found), 'path')} in all."
    )
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
    print_total(run.console, len(shown), len(found), "path")


@evaluate_app.command()
def judges(json: Json = False) -> None:
    """Show the sources of reported and imported judgements, with their numbers of judgements and comparisons."""
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
        f"{counted(counts.embedded, 'text')} embedded, {counted(counts.units, 'path', 'have')} a vector of "
        f"{counts.model}.",
        highlight=False,
    )


@evaluate_app.command()
def pairs(
    limit: Limit = 20,
    sort: Annotated[Literal["theme", "verdict", "source", "margin"] | None, typer.Option(help=SORT)] = None,
    reverse: Reverse = False,
    refused: Annotated[bool, typer.Option("--refused", help="Show refused pairs too.")] = False,
    json: Json = False,
) -> None:
    """Pair sibling answers of changed conversations, and show pairs, the largest margin first.

    The last columns show the beginning of the question and of both answers; `regraft diff` compares two answers in
    full."""
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
    shown = arranged(found, limit, sort, keys=_PAIR_KEYS, reverse=reverse).rows
    texts = reading.texts_of_pairs(run.postgres_dsn(), shown)
    for pair in shown:
        pair |= texts[pair["pair_id"]]
    if json:
        totals = {"total": len(every), "total_refused": reasons}
        run.print_json({**asdict(counts), **totals, "items": shown})
        return
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
    run.console.print(
        f"{counted(counts.sessions, 'conversation')} compared again, {counted(len(every), 'pair')} in all, "
        f"{len(every) - sum(reasons.values())} legal. Refused: {why}."
    )
    if not shown:
        return
    table = listing(
        (
            *("pair", "chosen", "margin", "source", "verdict", "theme", "kinds", "models"),
            *("answer a", "answer b", "question"),
        ),
        figures=("margin",),
        texts=("theme", "kinds", "models", "question", "answer a", "answer b"),
    )
    for pair in shown:
        chosen = {pair["node_a"]: "a", pair["node_b"]: "b"}.get(pair["chosen"], "")
        table.add_row(
            str(pair["pair_id"])[:13],
            chosen,
            f"{pair['margin']:.2f}",
            f"{pair['source']} ({pair['judge_status']} model)" if pair["judge_status"] else pair["source"],
            pair["reason"] or "legal",
            cut(pair["theme"]),
            cut(f"{pair['kind_a']}, {pair['kind_b']}"),
            cut(f"{pair['model_a']}, {pair['model_b']}"),
            *(cut(one_line(pair[name], _WORDS)) for name in ("answer_a", "answer_b", "question")),
        )
    run.console.print(table)
