"""What ``regraft replay`` prints: a plan before it runs, and how its jobs ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from regraft.domain.replay.comparison import changes_in_words
from regraft.domain.replay.experiment import SIDE_CALL
from regraft.presentation.cli.context import CommandContext
from regraft.presentation.cli.lineage.sessions import rollout_line, short
from regraft.presentation.cli.replay.compare import print_comparison
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.domain.replay.budget import Price
    from regraft.flows.replay.plans import ReplayCounts, ReplayPlan

_MOST_SHOWN = 6  # anchors whose answers are shown as tables
_NONE_FOUND = "No node meets all of these conditions."
_MOST_ROLLOUTS = 20  # that get one per line


def _tell(run: CommandContext, line: str) -> None:
    run.console.print(line, highlight=False)


def print_plan(run: CommandContext, planned: ReplayPlan, prices: dict[str, Price], *, as_json: bool) -> None:
    """Print a plan that would run: its jobs, and what they are estimated to cost."""
    from regraft.domain.replay.budget import estimate
    from regraft.domain.replay.preview import preview

    found = preview(planned.todo, prices)
    whole, cost = found.tokens, found.cost
    uncounted, unbounded = found.prompts_estimated, found.answers_without_limit
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
            for job in planned.todo
            for one in (estimate(job),)
        ]
        tokens = {"prompt": whole.prompt, "completion": whole.completion}
        about = {"prompts_estimated": uncounted, "answers_without_limit": unbounded}
        told = {
            "jobs": jobs,
            "skipped": planned.done,
            "plan": planned.plan_id,
            "refused": dict(planned.refused),
            "tokens": tokens,
            "cost": cost,
            **about,
        }
        run.print_json(told)
        return
    _print_refused(run, planned)
    if not planned.origins:
        return
    run.console.print(f"{counted(len(planned.todo), 'job')} would run; {planned.done} were finished before.")
    for job in planned.todo[:50]:
        changes = escape(changes_in_words(job.variant.describe()))
        run.console.print(f"  {job.origin.node_id}  sample {job.sample}  {changes}", highlight=False)
    if len(planned.todo) > 50:
        run.console.print(f"  and {len(planned.todo) - 50} more")
    if planned.todo:
        money = f", {cost:.4g} in money" if cost is not None else ""
        run.console.print(f"About {whole.prompt:,} tokens of prompt and {whole.completion:,} of answers{money}.")
    if uncounted:
        run.console.print(
            f"[dim]{counted(uncounted, 'prompt')} without a count: a token for four characters is assumed.[/]"
        )
    if unbounded:
        run.console.print(
            f"[dim]{counted(unbounded, 'answer', 'have')} no max_tokens: as long as the original's is assumed.[/]"
        )


def _print_refused(run: CommandContext, planned: ReplayPlan) -> None:
    """Why requested nodes are not replayed, or that there are none."""
    if side_calls := planned.refused.get(SIDE_CALL):
        run.console.print(
            f"Refused (side_call): {counted(side_calls, 'node')} of calls that clients make for themselves, such as "
            "titles and tags. --side-calls includes them.",
            highlight=False,
        )
    elif not planned.origins:
        run.console.print(_NONE_FOUND)


def print_stored(run: CommandContext, plan_id: Any, planned: ReplayPlan, *, as_json: bool) -> None:
    """Print that a plan was stored, and how to run it."""
    if as_json:
        counts = {"jobs": len(planned.todo), "skipped": planned.done, "refused": dict(planned.refused)}
        run.print_json({"plan": plan_id, **counts})
    else:
        _print_refused(run, planned)
        run.console.print(
            f"Stored plan {plan_id}: {counted(len(planned.todo), 'job')}, {planned.done} finished before. "
            f"Run it with `regraft replay --resume {short(plan_id)}`."
        )


def print_counts(
    run: CommandContext,
    dsn: str,
    planned: ReplayPlan,
    counts: ReplayCounts,
    prices: dict[str, Price],
    rollouts: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
) -> None:
    """Print how the jobs of a plan ended, with their costs, and compare the answers."""
    from regraft.domain.replay.budget import Budget, TokenSpend
    from regraft.flows.lineage import reading
    from regraft.flows.replay import comparison as comparing

    tally = counts.tally
    spent = sum(tally.spent.values(), TokenSpend())
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
                "stopped": tally.stopped or None,
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
        _tell(run, f"[yellow]{tally.limited} times[/] a model server asked to be called later.")
    if tally.stopped == "budget":
        _tell(
            run,
            f"[yellow]The budget is spent[/]: {counted(left, 'job', 'are')} left. Give a larger one with "
            "--resume to go on.",
        )
    elif tally.stopped:
        _tell(run, f"[yellow]Cancelled[/]: {counted(left, 'job', 'are')} left. `regraft replay --resume PLAN` goes on.")
    for failure in sorted(set(counts.failures)):
        _tell(run, f"[red]failed[/] {counts.failures.count(failure)} x {escape(failure)}")
