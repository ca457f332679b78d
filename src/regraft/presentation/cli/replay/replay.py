"""``regraft replay``: re-run nodes under other conditions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regraft.domain.errors import UsageError
from regraft.domain.replay.experiment import Experiment, Query, grid, read_tools
from regraft.domain.replay.job import Variant
from regraft.infra.files.experiments import read_experiment
from regraft.infra.files.text import read_text
from regraft.presentation.cli import completion
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.replay import plans
from regraft.presentation.cli.replay.plans import following
from regraft.presentation.cli.replay.report import print_counts, print_plan, print_stored

if TYPE_CHECKING:
    from regraft.flows.replay.rollouts import RolloutOptions

_NODES, _VARIANTS, _CONTINUING, _RUNNING = "Nodes", "Variants", "Continuing after the answer", "Running"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Replay")(replay)
    app.add_typer(plans.plans_app, name="plans", rich_help_panel="Replay")


def replay(
    nodes: Annotated[
        list[str] | None,
        typer.Argument(help="Nodes: ids or starts of ids; or none, with conditions.", show_default=False),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_NODES, help="Nodes of this session: id, start of an id, or name."),
    ] = None,
    theme: Annotated[list[str] | None, typer.Option(rich_help_panel=_NODES, help="Nodes of this theme.")] = None,
    task: Annotated[list[str] | None, typer.Option(rich_help_panel=_NODES, help="Nodes of this task.")] = None,
    kind: Annotated[list[str] | None, typer.Option(rich_help_panel=_NODES, help="Nodes of this branch kind.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(rich_help_panel=_NODES, help="Nodes of this status, e.g. error.")
    ] = None,
    of_model: Annotated[
        list[str] | None, typer.Option(rich_help_panel=_NODES, help="Nodes that this model answered.")
    ] = None,
    outcome_below: Annotated[
        float | None, typer.Option(rich_help_panel=_NODES, help="Nodes whose reward is lower.")
    ] = None,
    outcome_above: Annotated[
        float | None, typer.Option(rich_help_panel=_NODES, help="Nodes whose reward is higher.")
    ] = None,
    differing: Annotated[
        bool,
        typer.Option("--differing", rich_help_panel=_NODES, help="Nodes with several answers that differ."),
    ] = False,
    pivots: Annotated[
        bool,
        typer.Option(
            "--pivots",
            rich_help_panel=_NODES,
            help="Nodes whose answers led to different outcomes, the heaviest first (see `regraft pivots`).",
        ),
    ] = False,
    replays: Annotated[
        bool, typer.Option("--replays", rich_help_panel=_NODES, help="Include nodes that replays made.")
    ] = False,
    side_calls: Annotated[
        bool,
        typer.Option("--side-calls", rich_help_panel=_NODES, help="Include clients' side calls (titles, tags, ...)."),
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, rich_help_panel=_NODES, help="Maximum number of nodes; 0 for all.")
    ] = 0,
    experiment: Annotated[
        Path | None, typer.Option(rich_help_panel=_RUNNING, help="TOML file with nodes, variants and limits.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(rich_help_panel=_RUNNING, help="Continue this stored plan.", metavar="PLAN")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_VARIANTS, help="Model to ask.", autocompletion=completion.models),
    ] = None,
    temperature: Annotated[
        list[float] | None, typer.Option(rich_help_panel=_VARIANTS, help="Sampling temperature.")
    ] = None,
    top_p: Annotated[list[float] | None, typer.Option(rich_help_panel=_VARIANTS, help="Nucleus sampling.")] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(rich_help_panel=_VARIANTS, help="Seed of the first sample; each further sample adds 1."),
    ] = None,
    max_tokens: Annotated[
        list[int] | None, typer.Option(rich_help_panel=_VARIANTS, help="Maximum length of an answer, in tokens.")
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_VARIANTS, help="System prompt in place of the recorded one; @FILE reads it, '' removes it."
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(rich_help_panel=_VARIANTS, help="Last user message in place of the recorded one; @FILE reads it."),
    ] = None,
    tools_file: Annotated[
        Path | None,
        typer.Option(rich_help_panel=_VARIANTS, help="JSON list of tools to add; tools of the same name are replaced."),
    ] = None,
    without_tool: Annotated[
        list[str] | None, typer.Option(rich_help_panel=_VARIANTS, help="Tool to remove.", metavar="NAME")
    ] = None,
    plan: Annotated[
        str | None, typer.Option(rich_help_panel=_VARIANTS, help="Value of X-Regraft-Plan for the calls.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", rich_help_panel=_VARIANTS, help="Use the chat API instead of the original one.")
    ] = False,
    samples: Annotated[
        int | None, typer.Option("--samples", "-s", min=1, rich_help_panel=_VARIANTS, help="Answers per variant.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=_RUNNING, help="Calls at the same time.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(rich_help_panel=_RUNNING, help="Start no more jobs after this many tokens.")
    ] = None,
    budget_money: Annotated[
        float | None,
        typer.Option(rich_help_panel=_RUNNING, help="Start no more jobs after this cost, by [prices] in the settings."),
    ] = None,
    continue_: Annotated[
        bool,
        typer.Option(
            "--continue",
            rich_help_panel=_CONTINUING,
            help="Follow the recorded conversation after the new answer, to its end.",
        ),
    ] = False,
    turns: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=_CONTINUING, help="Like --continue, up to this many answers.")
    ] = None,
    toward: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_CONTINUING,
            help="Follow the path to this node; the longest if not given.",
            metavar="NODE",
        ),
    ] = None,
    tools: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_CONTINUING,
            help="Source of tool results: strict (the default), recorded, live, simulated.",
            metavar="POLICY",
        ),
    ] = None,
    simulate_user: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_CONTINUING,
            help="Persona file for a simulated user, where the recorded one no longer applies.",
        ),
    ] = None,
    simulator: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_CONTINUING, help="Model that simulates users and tools; the node's model if not given."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", rich_help_panel=_RUNNING, help="Repeat jobs that an earlier replay finished.")
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", rich_help_panel=_RUNNING, help="Store the plan; run nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", rich_help_panel=_RUNNING, help="Print the jobs and their cost; run nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Re-run nodes with every combination of variants; the answers become siblings of the nodes.

    Variant options are repeatable. Run the same command again to continue an interrupted replay.
    """
    from regraft.domain.replay.budget import Budget
    from regraft.flows.evaluation.pivots import pivots_to_replay
    from regraft.flows.lineage import build as lineage
    from regraft.flows.replay import plans as flow
    from regraft.flows.replay import progress
    from regraft.flows.replay.rollouts import growing

    conditions = Query(
        sessions=tuple(session or ()),
        themes=tuple(theme or ()),
        tasks=tuple(task or ()),
        kinds=tuple(kind or ()),
        statuses=tuple(status or ()),
        models=tuple(of_model or ()),
        outcome_below=outcome_below,
        outcome_above=outcome_above,
        pivot=differing,
        query="pivot" if pivots else "",
        replays=replays,
        limit=limit or None,
    )
    fixed = Variant(
        tools=read_tools(read_text(tools_file), str(tools_file)) if tools_file else (),
        without_tools=tuple(without_tool or ()),
        plan=plan,
        chat=chat,
    )
    dimensions: dict[str, list[Any]] = {
        "model": model or [],
        "system": [_text(each) for each in system or ()],
        "user": [_text(user)] if user is not None else [],
        "temperature": temperature or [],
        "top_p": top_p or [],
        "seed": seed or [],
        "max_tokens": max_tokens or [],
    }
    if nodes and limit:
        raise UsageError("--limit is for nodes that conditions find. Answers per variant are --samples.")
    ways = [bool(nodes), bool(conditions.conditions), experiment is not None, resume is not None]
    if sum(ways) != 1:
        raise UsageError("Give nodes: ids, or conditions such as --theme, or --experiment, or --resume.")
    variants = tuple(grid(dimensions, fixed))
    if (experiment or resume) and (variants != (Variant(),) or samples is not None):
        raise UsageError("--experiment and --resume already define the variants and samples.")

    run = context()
    goes_on = continue_ or turns is not None
    if not goes_on and any(each is not None for each in (toward, tools, simulate_user, simulator)):
        raise UsageError("--toward, --tools, --simulate-user and --simulator are for --continue or --turns.")
    dsn = run.postgres_dsn()
    lineage.build(dsn)
    rollout = _rollout(run, dsn, turns, toward, tools, simulate_user, simulator) if goes_on else None
    growth = rollout.growth() if rollout else ""
    if resume is not None:
        planned = flow.resume(dsn, progress.plan_id(dsn, resume), run.settle)
        if planned.experiment.growth != growth and (goes_on or planned.experiment.rollout is None):
            raise UsageError(
                "This plan was started with other options: give --continue, --turns, --tools and the like as "
                "in the command that began it."
            )
    else:
        if experiment is not None:
            asked = read_experiment(experiment)
        else:
            asked = Experiment(
                nodes=tuple(nodes or ()), query=None if nodes else conditions, variants=variants, samples=samples or 1
            )
        asked = replace(asked, again=again or asked.again, side_calls=side_calls or asked.side_calls, growth=growth)
        if rollout is not None:
            asked = replace(asked, rollout=rollout.describe())
        planned = flow.prepare_experiment(
            dsn, asked, flow.pins(run.settings), run.settle, lambda _: pivots_to_replay(dsn, run.workbench())
        )
    limits: dict[str, Any] = {"concurrency": concurrency, "budget_tokens": budget_tokens, "budget_money": budget_money}
    given = {name: value for name, value in limits.items() if value is not None}
    planned = replace(planned, experiment=replace(planned.experiment, **given))
    prices = flow.prices(run.settings)
    bounds = Budget(tokens=planned.experiment.budget_tokens, money=planned.experiment.budget_money, prices=prices)
    bounds.check(job.model for job in planned.todo)
    if dry_run:
        print_plan(run, planned, prices, as_json=json)
        return
    if store:
        print_stored(run, flow.save(dsn, planned), planned, as_json=json)
        return
    ended: list[Mapping[str, Any]] = []
    if rollout is not None:
        planned = replace(planned, experiment=replace(planned.experiment, rollout=rollout.describe()))
    jobs_at = {job.origin.node_id for job in planned.todo}
    grow = growing(dsn, planned.experiment, jobs_at, run.settings.tools, lambda _, row: ended.append(row))
    run.stack.ingest()
    gateway = run.stack.gateway_endpoint() if planned.todo else ""
    with following(run, len(planned.todo), hidden=json) as (tally, advance):
        try:
            counts = flow.run(dsn, gateway, planned, None, advance, run.stack.ingest, grow, prices=prices, tally=tally)
        except KeyboardInterrupt:
            print("Stopped. What was answered is kept: the same command runs the rest.", file=sys.stderr)
            raise
    print_counts(run, dsn, planned, counts, prices, ended, as_json=json)
    if counts.failures:
        raise typer.Exit(5)


def _rollout(
    run: CommandContext,
    dsn: str,
    turns: int | None,
    toward: str | None,
    tools: str | None,
    persona: Path | None,
    simulator: str | None,
) -> RolloutOptions:
    from regraft.flows.lineage import reading
    from regraft.flows.replay.rollouts import MOST_TURNS, RolloutOptions

    goal = reading.node_id(dsn, toward) if toward is not None else None
    return RolloutOptions(
        policy=tools or "strict",
        max_turns=turns or MOST_TURNS,
        toward=goal,
        persona=read_text(persona) if persona else None,
        simulator=simulator or "",
        servers=run.settings.tools,
    )


def _text(value: str | None) -> str | None:
    return read_text(Path(value[1:])) if value is not None and value.startswith("@") else value
