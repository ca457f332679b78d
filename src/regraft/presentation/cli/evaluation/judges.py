"""``regraft judges``: ask judge models, compare them with people, and see how far each is reliable."""

from __future__ import annotations

from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from regraft.domain.errors import UsageError
from regraft.domain.evaluation.calibration import JudgeFigures, standing
from regraft.infra.files.judges import judge_example, judge_of
from regraft.infra.files.new_file import write_new_text
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.progress import Bar
from regraft.presentation.cli.tables import Keys, arranged, cut, listing, print_total
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.evaluation.judging import JudgingCounts

judges_app = typer.Typer(help="Ask judge models, and compare them with people.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Judge: its name.")]
Decides = Annotated[Literal["categories", "preference", "rating"], typer.Option("--task", help="What it decides.")]
_KEYS: Keys = {name: attrgetter(name) for name in ("judge", "model", "votes", "items", "kappa", "agreement", "status")}


def _local_model(run: CommandContext) -> str:
    """The model that built-in judges ask: the local one, where no model server is configured."""
    from regraft.infra.embedded.model import MODEL

    return "" if run.settings.upstreams else MODEL


@judges_app.command("list")
def list_judges(
    limit: Limit = 50,
    sort: Annotated[
        Literal["judge", "model", "votes", "items", "kappa", "agreement", "status"] | None, typer.Option(help=SORT)
    ] = None,
    reverse: Reverse = False,
    json: Json = False,
) -> None:
    """Compare all judges with people, and show how far each is reliable."""
    from regraft.flows.evaluation.judges import judge_summaries

    run = context()
    every = judge_summaries(run.settings, run.postgres_dsn(), run.workbench(), local_model=_local_model(run))
    found = arranged(every, limit, sort, keys=_KEYS, reverse=reverse).rows
    if json:
        run.print_json([asdict(one) for one in found])
        return
    table = listing(
        ("judge", "decides", "model", "votes", "items", "kappa", "95 %", "agreement", "status"),
        figures=("votes", "items", "kappa", "95 %", "agreement"),
        texts=("judge", "decides", "model", "status"),
    )
    for one in found:
        table.add_row(
            cut(one.judge),
            cut(one.category or one.task),
            cut(one.model),
            f"{one.votes}" if one.votes else "",
            str(one.items),
            _figure(one.kappa),
            _interval(one.kappa_low, one.kappa_high),
            _figure(one.agreement),
            cut(one.status),
        )
    run.console.print(table)
    print_total(run.console, len(found), len(every), "judge")


@judges_app.command()
def show(name: Name, json: Json = False) -> None:
    """Show a judge: its rubric, its agreement by category and theme, and its biases."""
    from regraft.flows.evaluation import judges as flow

    run = context()
    report = flow.judge_report(run.settings, run.postgres_dsn(), run.workbench(), name)
    if json:
        run.print_json(flow.as_record(report))
        return
    out = run.console
    for row in report.versions:
        current = " (current)" if row["current"] else ""
        answers = (
            f"{counted(row['votes'], 'vote')} on {counted(row['items'], 'item')}, {row['unparseable']} unparseable"
        )
        out.print(
            escape(f"{row['judge_version']}{current}: {row['task']} by {row['model']}, {answers}"), highlight=False
        )
    if report.definition and report.definition["rubric"]:
        out.print(escape(report.definition["rubric"].strip()), highlight=False)
    if not report.figures:
        out.print("No item was judged by both this judge and people, so its agreement is not known.")
        return
    table = listing(
        ("version", "decides", "theme", "items", "kappa", "95 %", "agreement", "F1", "accuracy", "status"),
        figures=("items", "kappa", "95 %", "agreement", "F1", "accuracy"),
        texts=("version", "decides", "theme", "status"),
    )
    for one in report.figures:
        table.add_row(
            cut(one.judge_version),
            cut(one.category or one.task),
            cut("all" if one.theme is None else one.theme or "none"),
            str(one.items),
            *(_figure(one.kappa), _interval(one.kappa_low, one.kappa_high), _figure(one.agreement)),
            *(_figure(one.f1), _figure(one.accuracy)),
            cut(standing(one)),
        )
    out.print(table)
    for one in report.figures:
        for line in _biases(one) if one.theme is None else ():
            out.print(f"{escape(one.category or one.task)}: {line}", highlight=False)


def _biases(one: JudgeFigures) -> list[str]:
    lines = [
        f"people {people}: {_counts(one, row)}"
        for people, row in zip(one.labels, one.confusion, strict=True)
        if any(row)
    ]
    if one.flips is not None:
        lines.append(f"the order of the answers changes {one.flips:.0%} of its preferences")
    if one.first_share is not None:
        lines.append(f"{one.first_share:.0%} of its votes are for the answer that is shown first")
    if one.longer_share is not None and one.people_longer_share is not None:
        lines.append(f"it prefers the longer answer in {one.longer_share:.0%}, people in {one.people_longer_share:.0%}")
    if one.own_share is not None and one.people_own_share is not None:
        lines.append(
            f"it prefers its own model family in {one.own_share:.0%} of {counted(one.own_pairs, 'pair')}, people in "
            f"{one.people_own_share:.0%}"
        )
    if one.prevalence is not None:
        corrected = "" if one.corrected_prevalence is None else f", corrected {one.corrected_prevalence:.0%}"
        lines.append(f"it holds for {one.prevalence:.0%} of {counted(one.judged or 0, 'path')}{corrected}")
    if one.kappa_early is not None and one.kappa_late is not None:
        lines.append(
            f"kappa {one.kappa_early:.2f} in the first half of its judgements, {one.kappa_late:.2f} in the second"
        )
    return lines


def _counts(one: JudgeFigures, row: tuple[int, ...]) -> str:
    return ", ".join(f"{count} {label}" for label, count in zip(one.labels, row, strict=True) if count)


@judges_app.command("run")
def run_judge(
    name: Name,
    model: Annotated[str, typer.Option(help="Model to ask instead of the one in the judge's file.")] = "",
    theme: Annotated[str | None, typer.Option(help="Only items of this theme.")] = None,
    judged: Annotated[bool, typer.Option("--judged", help="Only items that people judged, for calibration.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Items to judge; 0 for all.")] = 100,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at the same time.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the order of items that people did not judge.")] = 0,
    json: Json = False,
) -> None:
    """Run a judge on items that it has not judged; items with human labels come first. A stopped run can be
    continued."""
    from regraft.flows.evaluation import judging

    run = context()
    judge = judge_of(run.settings, name, model=model, local_model=_local_model(run))
    dsn = run.postgres_dsn()
    gateway = run.stack.gateway_endpoint()
    run.stack.ingest()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(run.console, *columns, hidden=json) as bar:
        task = bar.add_task("Judging", total=None)
        counts = judging.run_judge(
            dsn,
            run.workbench(),
            judge,
            gateway,
            limit=limit,
            theme=theme,
            judged=judged,
            concurrency=concurrency,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        run.print_json({**asdict(counts), "status": _standings(run, counts)})
        return
    out = run.console
    out.print(
        f"{counted(counts.items, 'item')}, {counted(counts.asked, 'vote')} by {escape(counts.model)}, "
        f"{counts.unparseable} unparseable; "
        f"{counted(counts.waiting, 'item', 'are')} left.",
        highlight=False,
    )
    for problem, count in sorted(counts.problems.items()):
        out.print(f"  {count} unparseable: {escape(problem)}", highlight=False)
    if counts.failed:
        out.print(f"  {counted(counts.failed, 'call')} failed: {escape('; '.join(counts.failures))}", highlight=False)
    if counts.left_out:
        out.print(f"  {counted(counts.left_out, 'item', 'are')} gone or erased", highlight=False)
    for category, status in _standings(run, counts).items():
        out.print(f"  {escape(category or counts.judge)}: {status}", highlight=False)


def _standings(run: CommandContext, counts: JudgingCounts) -> dict[str, str]:
    """How far what was labelled is reliable, by category."""
    from regraft.flows.evaluation.calibration import calibrate, figures

    calibrate(run.postgres_dsn(), run.workbench())
    found = {
        one.category: standing(one)
        for one in figures(run.workbench())
        if one.judge_version == counts.judge_version and one.theme is None
    }
    return found or {"": standing(None)}


@judges_app.command()
def calibrate(json: Json = False) -> None:
    """Compare all judges with people again, and store the results."""
    from regraft.flows.evaluation.calibration import calibrate as flow

    run = context()
    counts = flow(run.postgres_dsn(), run.workbench())
    if json:
        run.print_json(asdict(counts))
        return
    run.console.print(
        f"{counted(counts.judges, 'judge')} compared with people on {counted(counts.items, 'item')}: "
        f"{counted(counts.figures, 'figure')}, "
        f"{counts.stale} of them outdated. `regraft judges list` shows them.",
        highlight=False,
    )


@judges_app.command()
def disagreements(
    judge: Annotated[str | None, typer.Option(help="Only this judge's.")] = None,
    theme: Annotated[str | None, typer.Option(help="Only of this theme.")] = None,
    category: Annotated[str | None, typer.Option(help="Only on this category.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Show items on which a judge and people differ, the latest first."""
    from regraft.flows.evaluation import calibration as flow

    run = context()
    flow.calibrate(run.postgres_dsn(), run.workbench())
    found = flow.disagreements(run.workbench(), limit or 2**31, judge=judge, theme=theme, category=category)
    if json:
        run.print_json(found)
        return
    if not found:
        run.console.print("No judge differs from people.")
        return
    table = listing(
        ("judge", "decides", "theme", "unit or side a", "side b", "people", "judge says"),
        texts=("judge", "decides", "theme"),
    )
    for row in found:
        table.add_row(
            cut(row["judge"]),
            cut(row["category"] or row["task"]),
            cut(row["theme"]),
            str(row["node_id"])[:13],
            str(row["other_node_id"] or "")[:13],
            row["people"],
            row["said"],
        )
    run.console.print(table)


@judges_app.command()
def contrast(
    judge: Annotated[str | None, typer.Option(help="Only this judge beside others.")] = None, json: Json = False
) -> None:
    """Compare judges with one another on the items that both judged, those that differ most first."""
    from regraft.flows.evaluation import calibration as flow

    run = context()
    flow.calibrate(run.postgres_dsn(), run.workbench())
    found = [one for one in flow.contrasts(run.workbench()) if judge in (None, one.judge, one.other)]
    if json:
        run.print_json([asdict(one) for one in found])
        return
    if not found:
        run.console.print("No two judges judged the same item.")
        return
    table = listing(
        ("judge", "other", "decides", "items", "kappa", "same"),
        figures=("items", "kappa", "same"),
        texts=("judge", "other", "decides"),
    )
    for one in found:
        names = (cut(one.judge), cut(one.other), cut(one.category or one.task))
        table.add_row(*names, str(one.items), _figure(one.kappa), f"{one.same:.0%}")
    run.console.print(table)


@judges_app.command()
def votes(item: Annotated[str, typer.Argument(help="Path or pair: id or start of an id.")], json: Json = False) -> None:
    """Show all votes of judges on a path or a pair, with their reasons."""
    from regraft.domain.errors import NotFoundError
    from regraft.flows.evaluation import judging, reading

    run = context()
    try:
        subject = reading.unit_id(run.workbench(), item)
    except NotFoundError:
        subject = reading.pair_id(run.workbench(), item)
    found = judging.votes_on(run.postgres_dsn(), subject)
    if json:
        run.print_json(found)
        return
    table = listing(
        ("judge", "version", "shown first", "vote", "says", "because"),
        figures=("vote",),
        texts=("version", "says", "because"),
    )
    for row in found:
        said = ", ".join(f"{name} {value}" for name, value in (row["value"] or {}).items())
        table.add_row(
            escape(row["judge"]),
            cut(row["judge_version"]),
            row["shown_first"],
            str(row["vote_index"] + 1),
            cut(said or f"unparseable: {row['problem']}"),
            cut("; ".join(map(str, row["evidence"].values()))),
        )
    run.console.print(table)


@judges_app.command()
def init(
    name: Name,
    task: Annotated[
        Literal["categories", "preference", "rating"], typer.Option(help="What it decides.")
    ] = "preference",
    model: Annotated[str, typer.Option(help="Model to ask, as the gateway knows it.")] = "",
    to: Annotated[Path | None, typer.Option(help="File to write instead; - prints it.")] = None,
    json: Json = False,
) -> None:
    """Write a judge's file into the folder of judges. A file that exists is left as it is."""
    text = judge_example(name, task, model)
    run = context()
    path = to or run.settings.judges / f"{name}.toml"
    if str(path) == "-":
        print(text, end="")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_new_text(path, text)
    except FileExistsError:
        raise UsageError(f"{path} exists. Name another file with --to.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    if json:
        run.print_json({"file": str(path), "name": name, "task": task})
    else:
        run.console.print(f"{escape(str(path))} is written. `regraft judges run {escape(name)}` asks it.")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(low: Any, high: Any) -> str:
    return "" if low is None or high is None else f"{low:.2f} to {high:.2f}"
