"""``regraft replay``: grow nodes again under other conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from regraft.domain.errors import UsageError
from regraft.domain.replay import Variant
from regraft.presentation.cli.context import context
from regraft.presentation.cli.sessions import alternatives_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    nodes: Annotated[list[str], typer.Argument(help="Nodes: ids or starts of ids.", metavar="NODE...")],
    model: Annotated[list[str] | None, typer.Option(help="Ask this model; may be given several times.")] = None,
    temperature: Annotated[
        list[float] | None, typer.Option(help="Sampling temperature; may be given several times.")
    ] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the first sample; the next ones count up.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    system: Annotated[str | None, typer.Option(help="System prompt instead; @FILE reads it, '' removes it.")] = None,
    user: Annotated[str | None, typer.Option(help="Last user message instead; @FILE reads it.")] = None,
    samples: Annotated[int, typer.Option("-n", min=1, help="Answers of each variant.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at the same time.")] = 2,
    again: Annotated[bool, typer.Option(help="Also run what an earlier replay finished.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be run, and run nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a node's frozen context again, under each variant; the answers become its siblings."""
    from regraft.flows import lineage
    from regraft.flows import replay as flow
    from regraft.infra.postgres import reading
    from regraft.infra.postgres.pool import transaction

    run = context()
    sampling = {
        key: value for key, value in (("top_p", top_p), ("seed", seed), ("max_tokens", max_tokens)) if value is not None
    }
    models: list[str | None] = [*model] if model else [None]
    heats: list[float | None] = [*temperature] if temperature else [None]
    variants = [
        Variant(
            model=name,
            system=_text(system),
            user=_text(user),
            sampling=sampling if heat is None else {**sampling, "temperature": heat},
        )
        for name in models
        for heat in heats
    ]
    dsn = run.postgres_dsn()
    lineage.build(dsn)
    with transaction(dsn) as connection:
        wanted = list(dict.fromkeys(reading.resolve_node(connection, node) for node in nodes))
    planned = flow.prepare(dsn, wanted, variants, samples, again=again)
    if dry_run:
        _print_plan(planned, as_json=json)
        return
    failures: list[str] = []
    if planned.todo:
        run.stack.ingest()
        gateway = run.stack.gateway()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=run.console, transient=True, disable=json) as progress:
            task = progress.add_task("Replaying", total=len(planned.todo))
            counts = flow.run(
                dsn, gateway, planned, concurrency, lambda done: progress.advance(task, done), run.stack.ingest
            )
        failures = counts.failures
    with transaction(dsn) as connection:
        anchors: dict[Any, list[dict[str, Any]]] = {}
        for node in wanted:
            anchor = reading.node(connection, node)["context_anchor_turn_id"]
            anchors.setdefault(anchor, reading.alternatives(connection, anchor))
    if json:
        run.print_json(
            {
                "ran": len(planned.todo),
                "skipped": planned.done,
                "failures": failures,
                "anchors": {str(anchor): [reading.parsed(row) for row in rows] for anchor, rows in anchors.items()},
            }
        )
    else:
        run.console.print(f"{len(planned.todo)} replayed, {planned.done} finished before.")
        for anchor, rows in anchors.items():
            run.console.print(alternatives_table(rows, title=f"answers under anchor {anchor}"))
    for failure in sorted(set(failures)):
        run.console.print(f"[red]failed[/] {failures.count(failure)} x {failure}", highlight=False)
    if failures:
        raise typer.Exit(5)


def _text(value: str | None) -> str | None:
    if value is None or not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The file {path} cannot be read: {error}.") from error


def _print_plan(planned: Any, *, as_json: bool) -> None:
    run = context()
    if as_json:
        jobs = [
            {"node": job.origin.node_id, "sample": job.sample, "fingerprint": job.fingerprint, **job.variant.describe()}
            for job in planned.todo
        ]
        run.print_json({"jobs": jobs, "skipped": planned.done})
        return
    run.console.print(f"{len(planned.todo)} jobs would run; {planned.done} were finished before.")
    for job in planned.todo:
        run.console.print(f"  {job.origin.node_id}  sample {job.sample}  {job.variant.describe() or 'as it was asked'}")
