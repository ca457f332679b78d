"""``regraft queue``: the review queue, its progress, and the agreement of reviewers."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.evaluation.label import (
    Category,
    Cluster,
    Note,
    Reviewer,
    Session,
    Theme,
    reviewer_name,
)
from regraft.presentation.cli.options import Json, Limit, most
from regraft.presentation.cli.tables import cut, listing

queue_app = typer.Typer(help="Fill and inspect the review queue, and see how reviewers agree.", no_args_is_help=True)

Kind = Annotated[Literal["unit", "pair"] | None, typer.Option(help="Only paths (`unit`), or only pairs.")]
Item = Annotated[str, typer.Argument(help="Item: id or start of an id, of it, its path or its pair.")]


@queue_app.command("fill")
def fill(
    kind: Kind = None,
    size: Annotated[int | None, typer.Option(min=1, help="Open items of each kind; review.size if not given.")] = None,
    reviewers: Annotated[
        int | None, typer.Option(min=1, help="People who judge each new item; review.reviewers if not given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the first random sample; random if not given.")] = None,
    json: Json = False,
) -> None:
    """Fill the queue, and reorder its items.

    A share of the items is a random sample. The others are those of the highest priority of each theme, cluster and
    category: uncertainty times the number of dependent paths, pivots first.
    """
    from dataclasses import asdict, replace

    from regraft.flows.evaluation.queue import fill_queue, queue_size

    run = context()
    how = queue_size(run.settings.review)
    how = replace(how, size=size or how.size, reviewers=reviewers or how.reviewers)
    done = fill_queue(run.graph_dsn(), run.workbench(), how, kinds=(kind,) if kind else ("unit", "pair"), seed=seed)
    if json:
        run.print_json(asdict(done))
        return
    run.console.print(
        f"{done.added} added, {done.gone} gone, {done.open} open, of {done.candidates} that may be judged."
    )


@queue_app.command("status")
def status(json: Json = False) -> None:
    """Show the size of the queue, estimates for all paths from the random sample, and the age of the oldest open
    item."""
    from dataclasses import asdict

    from regraft.flows.evaluation.queue_estimates import queue_status

    run = context()
    found = queue_status(run.postgres_dsn())
    if json:
        run.print_json(asdict(found))
        return
    if not found.shares:
        run.console.print("The queue is empty. `regraft queue fill` fills it.")
        return
    table = listing(
        ("kind", "theme", "share", "items", "open", "held", "complete", "skipped", "judgements", "oldest open"),
        figures=("items", "open", "held", "complete", "skipped", "judgements"),
        texts=("theme",),
    )
    for each in found.shares:
        figures = (each.items, each.open, each.leased, each.complete, each.skipped, each.judgements)
        oldest = f"{each.oldest_open:%Y-%m-%d %H:%M}" if each.oldest_open else ""
        table.add_row(each.kind, cut(each.theme), each.share, *map(str, figures), oldest)
    run.console.print(table)
    for sample in found.samples:
        run.console.print(
            f"Random sample of {sample.kind}s in {sample.scope}: {sample.rate:.2%} of {sample.population:,}."
        )
    if not found.estimates:
        return
    table = listing(
        ("estimate", "theme", "mean", "95 % interval", "judged"),
        figures=("mean", "95 % interval", "judged"),
        texts=("theme",),
    )
    for one in found.estimates:
        interval = f"{one.estimate.low:.2f} to {one.estimate.high:.2f}"
        theme = "all" if one.theme is None else cut(one.theme)
        table.add_row(one.what, theme, f"{one.estimate.mean:.2f}", interval, str(one.estimate.judged))
    run.console.print(table)


@queue_app.command("show")
def show(
    item: Annotated[str | None, typer.Argument(help="Item to show with its history.")] = None,
    state: Annotated[
        Literal["open", "closed", "leased", "skipped", "flagged", "all"], typer.Option(help="Which items to list.")
    ] = "open",
    share: Annotated[
        Literal["priority", "random", "gold"] | None, typer.Option(help="Only items of this share.")
    ] = None,
    kind: Kind = None,
    theme: Theme = None,
    session: Session = None,
    cluster: Cluster = None,
    category: Category = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List items, those that are next first; or show what reviewers did with one."""
    from dataclasses import asdict

    from regraft.flows.evaluation import queue as flow
    from regraft.flows.evaluation.desk import desk_at
    from regraft.flows.evaluation.review_service import filter_of

    run = context()
    dsn = run.postgres_dsn()
    if item is not None:
        found = flow.resolve_item(dsn, item)
        acts = flow.item_acts(dsn, found)
        if json:
            run.print_json({"item_id": found, "acts": [asdict(each) for each in acts]})
            return
        run.console.print(f"Item {found}")
        for act in acts:
            undone = " (taken back)" if act.undone else ""
            why = " ".join(each for each in (act.reason, act.note) if each)
            run.console.print(f"{act.at:%Y-%m-%d %H:%M} {act.reviewer}: {act.act}{undone} {why}".rstrip(), markup=False)
        return
    desk = desk_at(dsn, "queue")
    wanted = filter_of(desk, kind=kind, theme=theme, session=session, cluster=cluster, category=category)
    items = flow.queue_items(dsn, wanted, share=share, state=state, limit=most(limit))
    if json:
        run.print_json([asdict(each) for each in items])
        return
    table = listing(
        ("item", "kind", "subject", "theme", "share", "priority", "done", "needed", "held", "skips", "flags", "closed"),
        figures=("priority", "done", "needed", "held", "skips", "flags"),
        texts=("theme",),
    )
    for each in items:
        figures = (each.done, each.needed, each.leased, each.skips, each.flags)
        table.add_row(
            str(each.item_id)[:13],
            each.kind,
            str(each.subject_id)[:13],
            cut(each.theme),
            each.share,
            f"{each.priority:.2f}",
            *map(str, figures),
            each.closed_because or "",
        )
    run.console.print(table)


@queue_app.command("requeue")
def requeue(
    items: Annotated[list[str] | None, typer.Argument(help="Items: ids or starts of ids.")] = None,
    more: Annotated[int, typer.Option(min=1, help="Additional people to ask.")] = 1,
    release: Annotated[str | None, typer.Option(help="Release the items that this reviewer has claimed.")] = None,
    release_all: Annotated[bool, typer.Option("--release-all", help="Release all claimed items.")] = False,
    reviewer: Reviewer = None,
    note: Note = "",
    json: Json = False,
) -> None:
    """Reopen items and ask more people; or release claimed items."""
    from regraft.flows.evaluation import queue as flow

    run = context()
    dsn = run.postgres_dsn()
    if not items and release is None and not release_all:
        raise UsageError("Name items, or a reviewer with --release, or give --release-all.")
    found = [flow.resolve_item(dsn, each) for each in items or ()]
    queued = flow.requeue(dsn, found, reviewer_name(reviewer), more=more, note=note) if found else 0
    released = flow.release_leases(dsn, None if release_all else release) if release or release_all else 0
    if json:
        run.print_json({"requeued": queued, "released": released})
    else:
        run.console.print(f"{queued} queued again, {released} given back.")


@queue_app.command("gold")
def gold(
    item: Annotated[str | None, typer.Argument(help="Item that becomes gold.")] = None,
    prefer: Annotated[
        Literal["a", "b", "equal", "both_bad"] | None,
        typer.Option(help="The right preference; a is the side of the smaller node id."),
    ] = None,
    rating: Annotated[str | None, typer.Option(help="The right rating, or a range: 4, or 1-2.")] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Stop giving it to reviewers.")] = False,
    reviewer: Reviewer = None,
    note: Note = "",
    json: Json = False,
) -> None:
    """List items with a known answer, or make one. They are mixed with the others without a mark."""
    from dataclasses import asdict

    from regraft.flows.evaluation import gold as flow
    from regraft.flows.evaluation.queue import resolve_item

    run = context()
    dsn = run.postgres_dsn()
    if item is not None:
        found = resolve_item(dsn, item)
        if withdraw:
            flow.withdraw_gold(dsn, found, reviewer_name(reviewer))
        else:
            low, high = _range(rating) if rating is not None else (None, None)
            known = flow.KnownAnswer(preference=prefer, rating_low=low, rating_high=high)
            flow.add_gold(dsn, found, known, reviewer_name(reviewer), note=note)
    items = flow.gold_items(dsn)
    if json:
        run.print_json([asdict(each) for each in items])
        return
    table = listing(
        ("item", "kind", "theme", "answer", "answered", "right", "made by"),
        figures=("answered", "right"),
        texts=("theme", "made by"),
    )
    for each in items:
        answer = each.preference or (
            str(each.rating_low) if each.rating_low == each.rating_high else f"{each.rating_low}-{each.rating_high}"
        )
        counts = (str(each.answered), str(each.right))
        table.add_row(str(each.item_id)[:13], each.kind, cut(each.theme), answer, *counts, cut(each.made_by))
    run.console.print(table)


@queue_app.command("agreement")
def agreement(json: Json = False) -> None:
    """Show the agreement of people on each theme, contested ones first.

    Alpha is Krippendorff's: 1 is perfect, 0 what chance gives. Labels on a contested theme decide nothing until its
    disputes are adjudicated with `regraft label --adjudicate`."""
    from dataclasses import asdict

    from regraft.flows.evaluation import reviewer_agreement as flow

    run = context()
    dsn, review = run.postgres_dsn(), run.settings.review
    flow.refresh_agreement(dsn, review.min_agreement, review.min_judged)
    found = flow.themes_agreement(dsn)
    if json:
        run.print_json([asdict(each) for each in found])
        return
    if not found:
        run.console.print("Nothing was judged by two people yet.")
        return
    table = listing(
        ("theme", "measure", "alpha", "95 % interval", "judged twice", "labels", "reviewers", "disputed", "contested"),
        figures=("alpha", "95 % interval", "judged twice", "labels", "reviewers", "disputed"),
        texts=("theme", "measure"),
    )
    for each in found:
        interval = "" if each.low is None or each.high is None else f"{each.low:.2f} to {each.high:.2f}"
        counts = (each.subjects, each.labels, each.reviewers, each.disputed)
        contested = "contested" if each.contested else ""
        table.add_row(cut(each.theme), cut(each.measure), _figure(each.alpha), interval, *map(str, counts), contested)
    run.console.print(table)


@queue_app.command("reviewers")
def reviewers(json: Json = False) -> None:
    """Show the work of each reviewer, their accuracy on gold items, and their agreement with others."""
    from dataclasses import asdict

    from regraft.flows.evaluation.reviewer_report import reviewer_reports

    run = context()
    found = reviewer_reports(run.postgres_dsn())
    if json:
        run.print_json([asdict(each) for each in found])
        return
    columns = ("labels", "skipped", "flagged", "undone", "expired", "seconds", "first", "gold", "alpha", "stars above")
    table = listing(("reviewer", *columns), figures=columns, texts=("reviewer",))
    for each in found:
        counts = (each.labels, each.skipped, each.flagged, each.undone, each.expired)
        right = f"{each.gold_right}/{each.gold}" if each.gold else ""
        alphas = {one.measure: one for one in each.agreement}
        main = alphas.get("preference") or alphas.get("rating")
        above = f"{alphas['rating'].difference:+.2f}" if "rating" in alphas else ""
        table.add_row(
            cut(each.reviewer),
            *map(str, counts),
            _figure(each.median_seconds, 1),
            _figure(each.first_share),
            right,
            _figure(main.alpha if main else None),
            above,
        )
    run.console.print(table)


def _figure(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not (low.strip().isdecimal() and (high or low).strip().isdecimal()):
        raise UsageError(f"A rating is a number from 1 to 5 or a range such as 1-2, not {text!r}.")
    return int(low), int(high or low)
