"""``regraft taskify`` and ``taskifications``: split a request into a plan of subtasks; show plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.lineage.sessions import short
from regraft.presentation.cli.options import Json, Limit, most
from regraft.presentation.cli.tables import one_line

if TYPE_CHECKING:
    from regraft.infra.gateway_endpoint import GatewayEndpoint


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (taskify, taskifications):
        app.command(rich_help_panel="Orchestration")(command)


def taskify(
    node: Annotated[str | None, typer.Argument(help="Node: id or start of an id.", metavar="NODE")] = None,
    prompt: Annotated[str | None, typer.Option(help="Text to taskify instead of a node's request.")] = None,
    model: Annotated[str | None, typer.Option(help="Model that plans; the node's model if not given.")] = None,
    rule: Annotated[str, typer.Option(help="Taskify rule.")] = "default",
    worker: Annotated[list[str] | None, typer.Option(help="Name of a worker for the steps; repeatable.")] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, max=64, help="Maximum number of steps; the rule may allow fewer.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make a new plan even if this rule made one before.")] = False,
    json: Json = False,
) -> None:
    """Plan a node's request, or a text, as subtasks; a second call prints the stored plan."""
    from regraft.flows.lineage import build as lineage
    from regraft.flows.lineage import reading
    from regraft.flows.orchestration import taskify as flow
    from regraft.infra.files.rules import rule_of

    if (node is None) == (prompt is None):
        raise UsageError("Give a NODE or --prompt TEXT.")
    if prompt is not None and not prompt.strip():
        raise UsageError("The prompt is empty.")
    run = context()
    chosen = rule_of(run.settings, rule)
    dsn = run.postgres_dsn()
    workers = tuple(dict.fromkeys(worker or ()))
    if node is not None:
        lineage.build(dsn)
        flow.collect(dsn)
        wanted = reading.node_id(dsn, node)
        todo = flow.of_node(dsn, wanted, chosen, workers, model or "", max_steps, again=again)
    else:
        flow.collect(dsn)
        todo = flow.of_prompt(dsn, prompt or "", chosen, workers, model or _planner(), max_steps, again=again)
    gateway: GatewayEndpoint | str = ""
    if not todo.known:
        run.stack.ingest()
        gateway = run.stack.gateway_endpoint()
    row = flow.taskify(dsn, gateway, todo, chosen, keep=run.stack.ingest)
    if json:
        run.print_json({**_plain(row), "made": not todo.known})
    else:
        _print_plan(row)
    if row["status"] == "failed":
        raise typer.Exit(1)


def taskifications(
    taskification: Annotated[str | None, typer.Argument(help="Plan: id or start of an id.", metavar="ID")] = None,
    node: Annotated[str | None, typer.Option(help="Only plans for this node: id or start of an id.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List taskifications, or show one with its runs."""
    from regraft.flows.lineage import build as lineage
    from regraft.flows.orchestration import reading
    from regraft.flows.orchestration import taskify as flow

    run = context()
    dsn = run.postgres_dsn()
    lineage.build(dsn)
    flow.collect(dsn)
    if taskification is None:
        rows = reading.taskifications(dsn, most(limit), node)
        if json:
            run.print_json(rows)
        else:
            run.console.print(_plans_table(rows))
        return
    found = reading.taskification(dsn, taskification)
    if json:
        run.print_json({**_plain(found.taskification), "runs": found.runs})
    else:
        _print_plan(found.taskification)
        run.console.print(_runs_table(found.runs))


def _planner() -> str:
    """The model that plans by default."""
    from regraft.infra.embedded.model import MODEL

    settings = context().settings
    if not settings.upstreams:
        return MODEL
    for section in settings.orchestrators.values():
        return section.model
    raise UsageError("Give the model that plans: --model NAME.")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    from regraft.domain.ids import plain

    return {**row, "plan": plain(row["plan"])}


def _print_plan(row: dict[str, Any]) -> None:
    run = context()
    run.console.print(
        f"plan {row['taskification_id']}  [bold]{row['status']}[/]  {row['taskify_rule_version']}  "
        f"by {row['model']}  generation {row['generation']}"
    )
    for problem in row["problems"]:
        run.console.print(Text(f"  {problem}", style="yellow"))
    if row["plan"] is None:
        return
    table = Table("step", "worker", "takes", "after", "instruction", "good when", box=None)
    for each in row["plan"]["subtasks"]:
        table.add_row(
            each["id"],
            Text(each["worker"]),
            Text(", ".join(each["inputs"])),
            Text(", ".join(each["dependencies"])),
            Text(one_line(each["instruction"], 60)),
            Text(one_line(each["acceptance"], 40)),
        )
    run.console.print(table)


def _plans_table(rows: list[dict[str, Any]]) -> Table:
    table = Table("plan", "node", "status", "steps", "rule", "model", "made", "prompt", box=None)
    for row in rows:
        table.add_row(
            short(row["taskification_id"]),
            short(row["node_id"]) if row["node_id"] else "",
            row["status"],
            str(row["subtasks"] or ""),
            row["taskify_rule_version"],
            Text(row["model"]),
            f"{row['created_at']:%Y-%m-%d %H:%M}",
            Text(one_line(row["prompt"], 50)),
        )
    return table


def _runs_table(runs: list[dict[str, Any]]) -> Table:
    table = Table("run", "step", "model", "status", "tokens", "ms", box=None)
    for each in runs:
        tokens = f"{each['prompt_tokens'] or 0} + {each['completion_tokens'] or 0}"
        table.add_row(
            short(each["run_id"]),
            Text(each["step"] or ""),
            Text(each["model"]),
            each["run_status"],
            tokens,
            f"{each['duration_ms']:.0f}",
        )
    return table
