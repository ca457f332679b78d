"""``regraft replay``: grow nodes again under other conditions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from regraft.domain.errors import UsageError
from regraft.domain.replay.comparison import changes_in_words
from regraft.domain.replay.experiment import SIDE_CALL, Experiment, Query, grid, read_tools
from regraft.domain.replay.job import Variant
from regraft.infra.files.experiments import read_experiment
from regraft.infra.files.text import read_text
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.lineage.sessions import rollout_line, short
from regraft.presentation.cli.replay import plans
from regraft.presentation.cli.replay.compare import print_comparison
from regraft.presentation.cli.replay.plans import following

if TYPE_CHECKING:
    from regraft.domain.replay.budget import Price
    from regraft.flows.replay.plans import ReplayCounts, ReplayPlan
    from regraft.flows.replay.rollouts import RolloutOptions

_NODES, _VARIANTS, _CONTINUING, _RUNNING = "Nodes", "Variants", "Continuing after the answer", "Running"
_MOST_SHOWN = 6  # anchors whose answers are shown as tables
_NONE_FOUND = "No node meets all of these conditions."
_MOST_ROLLOUTS = 20  # that get a line each


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Replay")(replay)
    app.add_typer(plans.plans_app, name="plans", rich_help_panel="Replay")


def replay(
    nodes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Nodes: ids or starts of ids; or none, with conditions.", metavar="[NODE]...", show_default=False
        ),
    ] = None,
    session: Annotated[
        list[str] | None, typer.Option(rich_help_panel=_NODES, help="Nodes of this session: id or name.")
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
    pivot: Annotated[
        bool, typer.Option("--pivot", rich_help_panel=_NODES, help="Nodes where several answers differ.")
    ] = False,
    replays: Annotated[
        bool, typer.Option("--replays", rich_help_panel=_NODES, help="Include nodes that replays made.")
    ] = False,
    side_calls: Annotated[
        bool,
        typer.Option("--side-calls", rich_help_panel=_NODES, help="Include clients' side calls (titles, tags, ...)."),
    ] = False,
    limit: Annotated[int | None, typer.Option(rich_help_panel=_NODES, help="Maximum number of nodes.")] = None,
    experiment: Annotated[
        Path | None, typer.Option(rich_help_panel=_RUNNING, help="TOML file with nodes, variants and limits.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(rich_help_panel=_RUNNING, help="Continue this stored plan.", metavar="PLAN")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(rich_help_panel=_VARIANTS, help="Model to ask.")] = None,
    temperature: Annotated[
        list[float] | None, typer.Option(rich_help_panel=_VARIANTS, help="Sampling temperature.")
    ] = None,
    top_p: Annotated[list[float] | None, typer.Option(rich_help_panel=_VARIANTS, help="Nucleus sampling.")] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(rich_help_panel=_VARIANTS, help="Seed of the first sample; each further sample adds 1."),
    ] = None,
    max_tokens: Annotated[
        list[int] | None, typer.Option(rich_help_panel=_VARIANTS, help="Limit of an answer, in tokens.")
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
        typer.Option(rich_help_panel=_VARIANTS, help="JSON list of tools to add; one with a known name replaces it."),
    ] = None,
    without_tool: Annotated[
        list[str] | None, typer.Option(rich_help_panel=_VARIANTS, help="Tool to remove.", metavar="NAME")
    ] = None,
    plan: Annotated[
        str | None, typer.Option(rich_help_panel=_VARIANTS, help="Value of X-Regraft-Plan for the calls.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", rich_help_panel=_VARIANTS, help="Use the chat API, whichever the original used.")
    ] = False,
    samples: Annotated[
        int | None, typer.Option("-n", min=1, rich_help_panel=_VARIANTS, help="Answers per variant.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, rich_help_panel=_RUNNING, help="Concurrent calls.")] = None,
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
        int | None, typer.Option(min=1, rich_help_panel=_CONTINUING, help="The same, for at most this many answers.")
    ] = None,
    toward: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_CONTINUING, help="Follow the path to this node; the longest if not given.", metavar="NODE"
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
        bool, typer.Option("--again", rich_help_panel=_RUNNING, help="Run jobs again that an earlier replay finished.")
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", rich_help_panel=_RUNNING, help="Store the plan; run nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", rich_help_panel=_RUNNING, help="Print the jobs and their cost; run nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Re-run nodes with every combination of variants; the answers become siblings of the nodes.

    Variant options are repeatable. Run the same command again to continue an interrupted replay.
    """
    from regraft.domain.replay.budget import Budget
    from regraft.flows.lineage import build as lineage
    from regraft.flows.replay import plans as flow
    from regraft.flows.replay import progress

    query = Query(
        sessions=tuple(session or ()),
        themes=tuple(theme or ()),
        tasks=tuple(task or ()),
        kinds=tuple(kind or ()),
        statuses=tuple(status or ()),
        models=tuple(of_model or ()),
        outcome_below=outcome_below,
        outcome_above=outcome_above,
        pivot=pivot,
        replays=replays,
        limit=limit,
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
    ways = [bool(nodes), bool(query.conditions), experiment is not None, resume is not None]
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
        planned = flow.resume(dsn, progress.plan_id(dsn, resume), lambda: _settle(run))
        if planned.experiment.growth != growth:
            raise UsageError(
                "The answers of this plan are grown in another way: give --continue, --turns, --tools and the like as "
                "in the command that began it."
            )
    else:
        if experiment is not None:
            asked = read_experiment(experiment)
        else:
            asked = Experiment(
                nodes=tuple(nodes or ()), query=None if nodes else query, variants=variants, samples=samples or 1
            )
        asked = replace(asked, again=again or asked.again, side_calls=side_calls or asked.side_calls, growth=growth)
        planned = flow.prepare_experiment(dsn, asked, flow.pins(run.settings), lambda: _settle(run))
    limits: dict[str, Any] = {"concurrency": concurrency, "budget_tokens": budget_tokens, "budget_money": budget_money}
    given = {name: value for name, value in limits.items() if value is not None}
    planned = replace(planned, experiment=replace(planned.experiment, **given))
    prices = flow.prices(run.settings)
    bounds = Budget(tokens=planned.experiment.budget_tokens, money=planned.experiment.budget_money, prices=prices)
    bounds.check(job.model for job in planned.todo)
    if dry_run:
        _print_plan(run, planned, prices, as_json=json)
        return
    if store:
        _print_stored(run, flow.save(dsn, planned), planned, as_json=json)
        return
    ended: list[Mapping[str, Any]] = []
    grow = flow.grow_once
    if rollout is not None:
        from regraft.flows.replay.rollouts import Rollouts

        rollouts = Rollouts(dsn, rollout, lambda _, row: ended.append(row))
        rollouts.check({job.origin.node_id for job in planned.todo})
        grow = rollouts.grow
    run.stack.ingest()
    gateway = run.stack.gateway_endpoint() if planned.todo else ""
    with following(run, len(planned.todo), hidden=json) as (tally, advance):
        try:
            counts = flow.run(dsn, gateway, planned, None, advance, run.stack.ingest, grow, prices=prices, tally=tally)
        except KeyboardInterrupt:
            print("Stopped. What was answered is kept: the same command runs the rest.", file=sys.stderr)
            raise
    _print_counts(run, dsn, planned, counts, prices, ended, as_json=json)
    if counts.failures:
        raise typer.Exit(5)


def _settle(run: CommandContext) -> None:
    """Have everything stored that was captured before, also by a gateway that died with its driver."""
    from regraft.flows.capture.backlog import wait_until_delivered

    run.stack.gateway()
    run.stack.ingest()
    wait_until_delivered(run.data_dir / "spool", run.stack.nats(), run.stack.ingest)


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


def _tell(run: CommandContext, line: str) -> None:
    run.console.print(line, highlight=False)


def _print_plan(run: CommandContext, planned: ReplayPlan, prices: dict[str, Price], *, as_json: bool) -> None:
    from regraft.domain.replay.budget import Budget, Spent, estimate

    estimates = [estimate(job) for job in planned.todo]
    by_model: dict[str, Spent] = {}
    for job, one in zip(planned.todo, estimates, strict=True):
        by_model[job.model] = by_model.get(job.model, Spent()) + one.spent
    whole = sum(by_model.values(), Spent())
    priced = bool(by_model) and by_model.keys() <= prices.keys()
    cost = Budget(prices=prices).cost(by_model) if priced else None
    uncounted = sum(not one.counted for one in estimates)
    unbounded = sum(not one.bounded for one in estimates)
    if as_json:
        jobs = [
            {
                "node": job.origin.node_id,
                "sample": job.sample,
                "fingerprint": job.fingerprint,
                "prompt_tokens": one.prompt,
                "completion_tokens": one.completion,
                **job.variant.describe(),
            }
            for job, one in zip(planned.todo, estimates, strict=True)
        ]
        tokens = {"prompt": whole.prompt, "completion": whole.completion}
        about = {"prompts_estimated": uncounted, "answers_without_limit": unbounded}
        found = {
            "jobs": jobs,
            "skipped": planned.done,
            "plan": planned.plan_id,
            "refused": dict(planned.refused),
            "tokens": tokens,
            "cost": cost,
            **about,
        }
        run.print_json(found)
        return
    _print_refused(run, planned)
    if not planned.origins:
        return
    run.console.print(f"{len(planned.todo)} jobs would run; {planned.done} were finished before.")
    for job in planned.todo[:50]:
        changes = escape(changes_in_words(job.variant.describe()))
        run.console.print(f"  {job.origin.node_id}  sample {job.sample}  {changes}", highlight=False)
    if len(planned.todo) > 50:
        run.console.print(f"  and {len(planned.todo) - 50} more")
    if planned.todo:
        money = f", {cost:.4g} in money" if cost is not None else ""
        run.console.print(f"About {whole.prompt:,} tokens of prompt and {whole.completion:,} of answers{money}.")
    if uncounted:
        run.console.print(f"[dim]{uncounted} prompts were never counted: a token for four characters is assumed.[/]")
    if unbounded:
        run.console.print(f"[dim]{unbounded} answers have no max_tokens: as long as the original's is assumed.[/]")


def _print_refused(run: CommandContext, planned: ReplayPlan) -> None:
    """Why nodes that were asked for are not replayed, or that there are none."""
    if side_calls := planned.refused.get(SIDE_CALL):
        run.console.print(
            f"Refused (side_call): {side_calls} nodes are calls that clients make for themselves, such as titles and "
            "tags. --side-calls includes them.",
            highlight=False,
        )
    elif not planned.origins:
        run.console.print(_NONE_FOUND)


def _print_stored(run: CommandContext, plan_id: Any, planned: ReplayPlan, *, as_json: bool) -> None:
    if as_json:
        counts = {"jobs": len(planned.todo), "skipped": planned.done, "refused": dict(planned.refused)}
        run.print_json({"plan": plan_id, **counts})
    else:
        _print_refused(run, planned)
        run.console.print(
            f"Stored plan {plan_id}: {len(planned.todo)} jobs, {planned.done} finished before. "
            f"Run it with `regraft replay --resume {short(plan_id)}`."
        )


def _print_counts(
    run: CommandContext,
    dsn: str,
    planned: ReplayPlan,
    counts: ReplayCounts,
    prices: dict[str, Price],
    rollouts: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
) -> None:
    from regraft.domain.replay.budget import Budget, Spent
    from regraft.flows.lineage import reading
    from regraft.flows.replay import comparison as comparing

    tally = counts.tally
    spent = sum(tally.spent.values(), Spent())
    cost = Budget(prices=prices).cost(tally.spent) if tally.spent and tally.spent.keys() <= prices.keys() else None
    anchors: dict[Any, list[dict[str, Any]]] = {}
    comparisons: list[dict[str, Any]] = []
    nodes = [origin.node_id for origin in planned.origins]
    shown = nodes if as_json or len(nodes) <= _MOST_SHOWN else []
    node_by_anchor = reading.anchors(dsn, shown)
    if as_json:
        anchors = {anchor: reading.alternatives(dsn, anchor) for anchor in node_by_anchor}
    else:
        comparisons = [comparing.compare(dsn, node, prices) for node in node_by_anchor.values()]
    left = len(planned.todo) - counts.ran
    if as_json:
        run.print_json(
            {
                "plan": counts.plan_id,
                "ran": counts.ran,
                "skipped": counts.skipped,
                "refused": dict(planned.refused),
                "left": left,
                "stopped": "budget" if tally.stopped else None,
                "failures": counts.failures,
                "tokens": {"prompt": spent.prompt, "completion": spent.completion, "cached": spent.cached},
                "cost": cost,
                "seconds": counts.seconds,
                "told_to_wait": tally.limited,
                "rollouts": [dict(row) for row in rollouts],
                "anchors": {str(anchor): [reading.values(row) for row in rows] for anchor, rows in anchors.items()},
            }
        )
        return
    _print_refused(run, planned)
    if not planned.origins:
        return
    ran = counts.ran - len(counts.failures)
    plan = f" Plan {short(counts.plan_id)}." if counts.plan_id else ""
    run.console.print(f"{ran} replayed, {counts.skipped} finished before.{plan}")
    if spent.tokens:
        rate = f", {tally.completed_tokens / counts.seconds:,.0f} tokens/s" if counts.seconds else ""
        share = f", {spent.cached / spent.prompt:.0%} of it from a cache" if spent.prompt else ""
        money = f", {cost:.4g} in money" if cost is not None else ""
        run.console.print(
            f"{spent.prompt:,} tokens of prompt{share}; {spent.completion:,} of answers{rate}{money}.",
            highlight=False,
        )
    for row in rollouts[:_MOST_ROLLOUTS]:
        _tell(run, rollout_line(row))
    if len(rollouts) > _MOST_ROLLOUTS:
        _tell(run, f"  and {len(rollouts) - _MOST_ROLLOUTS} more")
    for comparison in comparisons:
        print_comparison(run, comparison)
    if tally.limited:
        _tell(run, f"[yellow]{tally.limited} times[/] a model server said that it wants to be asked later.")
    if tally.stopped:
        _tell(run, f"[yellow]The budget is spent[/]: {left} jobs are left. Give a larger one with --resume to go on.")
    for failure in sorted(set(counts.failures)):
        _tell(run, f"[red]failed[/] {counts.failures.count(failure)} x {escape(failure)}")
