"""``regraft orchestrate``: a prompt to an orchestrator, from the command line."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from regraft.domain.errors import NotFoundError, UsageError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import Json

_STYLES = {"done": "green", "failed": "red", "blocked": "yellow", "cancelled": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Orchestration")(orchestrate)


def orchestrate(
    prompt: Annotated[str, typer.Argument(help="The request.", metavar="PROMPT")],
    name: Annotated[str | None, typer.Option("--with", help="The orchestrator; the first one if not given.")] = None,
    session: Annotated[str | None, typer.Option(help="Name of the session that the calls belong to.")] = None,
    json: Json = False,
) -> None:
    """Plan a prompt, have workers execute the steps, and print the answer and the result of each step."""
    from regraft.flows.capture.waiting import wait_until_stored
    from regraft.flows.lineage import build as lineage
    from regraft.flows.orchestration import taskify as flow
    from regraft.flows.orchestration.prompting import prompt_orchestrator
    from regraft.infra.embedded.model import MODEL
    from regraft.infra.files.orchestrators import orchestrators

    if not prompt.strip():
        raise UsageError("The prompt is empty.")
    run = context()
    known = orchestrators(run.settings, MODEL)
    if not known:
        raise UsageError("There is no orchestrator: add a section [orchestrators.NAME] to the settings.")
    chosen = name or next(iter(known))
    if chosen not in known:
        raise NotFoundError(f"There is no orchestrator {chosen}. There is: {', '.join(known)}.")
    dsn = run.new_postgres_dsn()
    run.stack.ingest()
    gateway = run.stack.gateway_endpoint()
    answered = prompt_orchestrator(gateway, chosen, prompt, session, lambda piece: None if json else _write(piece))
    wait_until_stored(dsn, [answered.turn_id], run.stack.ingest)
    lineage.build(dsn)
    flow.collect(dsn)
    if json:
        run.print_json(
            {
                "turn_id": answered.turn_id,
                "answer": answered.answer,
                "usage": answered.usage,
                "regraft": answered.report,
            }
        )
        return
    run.console.print()
    report = answered.report
    run.console.print(f"plan {report['taskification_id']}: {report['plan']['status']}")
    for problem in report["plan"]["problems"]:
        run.console.print(Text(f"  {problem}", style="yellow"))
    run.console.print(_table(report["steps"]))


def _write(piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()


def _table(steps: list[dict[str, Any]]) -> Table:
    table = Table("step", "worker", "model", "status", "calls", "tools", "s", "why", box=None)
    for each in steps:
        table.add_row(
            Text(each["id"]),
            Text(each["worker"]),
            Text(each["model"]),
            Text(each["status"], style=_STYLES.get(each["status"], "")),
            str(each["attempts"]),
            str(each["tool_calls"]),
            f"{each['seconds']:.1f}",
            Text(each["error"] or ""),
        )
    return table
