"""``regraft demo``: the whole path once, on a real local model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from regraft.domain.errors import IntegrityError, UpstreamError
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.lineage.sessions import alternatives_table, print_tree, short
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.datasets.freeze import Frozen
    from regraft.flows.datasets.verify import Verification
    from regraft.infra.gateway_endpoint import GatewayEndpoint

RECIPES = ("demo-sft", "demo-dpo")
SAMPLES = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(demo)


def demo(
    model: Annotated[str, typer.Option(help="Model to talk to; the local one if no upstream is configured.")] = "",
    json: Json = False,
) -> None:
    """Run the whole path: talk to a model, replay, compare, pair and freeze. A second run adds nothing."""
    from regraft.domain.replay.job import Variant
    from regraft.flows import demo as flow
    from regraft.flows.datasets.freeze import freeze
    from regraft.flows.datasets.verify import verify
    from regraft.flows.evaluation.pairs import propose_pairs
    from regraft.flows.evaluation.trajectories import materialise_units
    from regraft.flows.lineage import build as lineage
    from regraft.flows.lineage import reading
    from regraft.flows.replay import plans as replay
    from regraft.infra.files.recipes import recipe_text

    run = context()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=run.console, disable=json) as progress:
        dsn, gateway, local = _start(run, progress)
        task = progress.add_task("Holding conversations", total=flow.turns())
        talks = flow.hold(dsn, gateway, model or local, lambda _theme: progress.advance(task), lambda: _keep(run))
        task = progress.add_task("Building the graph", total=1)
        lineage.build(dsn)
        progress.advance(task)

        sessions = [talks[0].session_id, talks[3].session_id]
        nodes = flow.first_answers(dsn, sessions)
        variants = (
            Variant(sampling={"temperature": 1.1, "seed": 77}),
            Variant(system="Answer in one short sentence."),
        )
        planned = replay.prepare(dsn, [nodes[session] for session in sessions], variants, SAMPLES)
        jobs = len(planned.todo) + planned.done
        task = progress.add_task("Replaying two nodes under two variants", total=jobs, completed=planned.done)
        replayed = replay.run(dsn, gateway, planned, 1, lambda done: progress.advance(task, done), lambda: _keep(run))
        if replayed.failures:
            raise UpstreamError(f"A replay failed: {replayed.failures[0]}")

        task = progress.add_task("Measuring paths and pairing answers", total=2)
        units = materialise_units(dsn, run.workbench())
        progress.advance(task)
        pairs = propose_pairs(dsn, run.workbench())
        progress.advance(task)

        task = progress.add_task("Freezing and verifying datasets", total=2 * len(RECIPES))
        frozen: list[Frozen] = []
        proofs: list[Verification] = []
        for name in RECIPES:
            frozen.append(freeze(recipe_text(name), dsn=dsn, workbench=run.workbench(), warehouse=run.warehouse()))
            progress.advance(task)
            proofs.append(verify(frozen[-1].snapshot_id, dsn=dsn, warehouse=run.warehouse(), workbench=run.workbench()))
            progress.advance(task)
    tree = reading.tree(dsn, str(sessions[0]))
    answers = reading.node(dsn, str(nodes[sessions[0]])).alternatives
    asked, found = sum(talk.asked for talk in talks), sum(talk.found for talk in talks)
    if json:
        run.print_json(
            {
                "turns": {"asked": asked, "captured_before": found},
                "replays": {"ran": replayed.ran, "finished_before": replayed.skipped},
                "units": asdict(units),
                "pairs": asdict(pairs),
                "snapshots": [{**asdict(one), "verified": proof.ok} for one, proof in zip(frozen, proofs, strict=True)],
            }
        )
    else:
        run.console.print(
            f"\n[bold]{counted(len(talks), 'conversation')}[/]: {counted(asked, 'turn')} asked now, "
            f"{found} captured before. "
            f"[bold]Replays[/]: {replayed.ran} now, {replayed.skipped} before.\n"
        )
        print_tree(run, tree.session, tree.nodes)
        run.console.print()
        run.console.print(
            alternatives_table(answers, title="The same question, answered again: one anchor, its branches")
        )
        for one, proof in zip(frozen, proofs, strict=True):
            run.console.print(_certificate(one, proof))
        run.console.print(_next(tree.nodes, frozen, gateway.url))
        run.console.print(
            f"\nIn the browser: start [bold]regraft up[/]; then [bold]regraft open[/] opens {run.stack.web_url()}",
            highlight=False,
        )
    if not all(proof.ok for proof in proofs):
        raise IntegrityError("A snapshot could not be verified.")


def _start(run: CommandContext, progress: Progress) -> tuple[str, GatewayEndpoint, str]:
    task = progress.add_task("Starting PostgreSQL, NATS, the model and the gateway", total=5)
    dsn = run.stack.postgres()
    progress.advance(task)
    run.stack.nats()
    progress.advance(task)
    endpoint = run.stack.model()
    progress.advance(task)
    run.stack.ingest()
    progress.advance(task)
    gateway = run.stack.gateway_endpoint()
    progress.advance(task)
    return dsn, gateway, endpoint.model if endpoint else "default"


def _keep(run: CommandContext) -> None:
    """Restart servers that were killed meanwhile."""
    run.stack.keep_servers()
    run.stack.ingest()
    run.stack.gateway()


def _certificate(frozen: Frozen, proof: Verification) -> Panel:
    table = Table(box=None, show_header=False, pad_edge=False)
    refused = ", ".join(f"{count} {reason}" for reason, count in frozen.refused.items()) or "none"
    lines: list[tuple[str, Any]] = [
        ("rows", ", ".join(f"{count} {split}" for split, count in frozen.row_counts.items())),
        ("refused", refused),
        ("leakage", ", ".join(f"{what.replace('_', ' ')} {count}" for what, count in frozen.leakage.items())),
        ("content", frozen.content_hash),
        ("recipe", f"{frozen.recipe_hash}  (regraft {frozen.code_version})"),
        ("iceberg", f"{frozen.iceberg_table} at snapshot {frozen.iceberg_snapshot_id}, tagged for ever"),
        ("verified", "[green]bytes as frozen, every row follows from the truth[/]" if proof.ok else "[red]no[/]"),
    ]
    for name, value in lines:
        table.add_row(f"[bold]{name}[/]", value if name == "verified" else escape(str(value)))
    state = "frozen now" if frozen.created else "frozen before"
    return Panel(table, title=f"{escape(frozen.snapshot_id)} ({frozen.kind}, {state})", title_align="left")


def _next(rows: list[dict[str, Any]], frozen: list[Frozen], gateway: str) -> Panel:
    node = next(row["node_id"] for row in rows if row["parent_node_id"] is not None)
    lines = [
        ("regraft up", "keep everything running, with the page and Dagster"),
        (f"export OPENAI_BASE_URL={gateway}/v1", "point any OpenAI client at it: it will be captured"),
        ("regraft sessions", "list conversations"),
        (f"regraft show {short(node)}", "a node: history, answer, runs, siblings"),
        (f"regraft replay {short(node)} --temperature 0.2 --temperature 1.3 --samples 3", "replay it"),
        ("regraft label", "compare answers, blind"),
        (f"regraft dataset export {frozen[-1].snapshot_id} --to demo-dpo", "files for TRL"),
    ]
    width = max(len(command) for command, _ in lines)
    text = "\n".join(f"[bold]{escape(command.ljust(width))}[/]  {why}" for command, why in lines)
    return Panel(text, title="What to try next", title_align="left")
