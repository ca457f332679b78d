"""``regraft label``: label answers and paths, blind, item by item of the review queue."""

from __future__ import annotations

import getpass
from typing import Annotated
from uuid import UUID

import typer

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import Json

label_app = typer.Typer(
    help="Prefer one of two answers or rate a path, blind, item by item of the review queue.",
    invoke_without_command=True,
)

Reviewer = Annotated[str | None, typer.Option(help="Reviewer's name; the user name of this computer if not given.")]
Note = Annotated[str, typer.Option(help="Why.")]
Theme = Annotated[str | None, typer.Option(help="Only items of this theme.")]
Session = Annotated[str | None, typer.Option(help="Only items of this session: id, start of an id, or name.")]
Cluster = Annotated[str | None, typer.Option(help="Only items of this cluster: id or start of an id.")]
Category = Annotated[str | None, typer.Option(help="Only items of this category.")]


def reviewer_name(reviewer: str | None) -> str:
    """The name that was given, or the user name of this computer. Raises UsageError where neither is known."""
    if reviewer:
        return reviewer
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise UsageError("Give the reviewer's name: --reviewer NAME.") from error


@label_app.callback()
def label(
    called: typer.Context,
    reviewer: Reviewer = None,
    kind: Annotated[str, typer.Option(help="`pair`: prefer one of two answers; `unit`: rate a path.")] = "pair",
    theme: Theme = None,
    session: Session = None,
    cluster: Cluster = None,
    category: Category = None,
    adjudicate: Annotated[
        bool, typer.Option("--adjudicate", help="Adjudicate disputes, those of contested themes first.")
    ] = False,
) -> None:
    """Show the next items of the review queue without their models and ask for a judgement, until none is left.

    Of a pair, a or b prefers that answer, e is equal, x is both bad; a path is rated 1 (worst) to 5 (best), with
    categories behind the rating if any. s skips, f flags, u undoes the latest answer, p shows progress, q quits.
    """
    if called.invoked_subcommand is not None:
        return
    from regraft.flows.evaluation import reviewer_agreement as flow
    from regraft.flows.evaluation.desk import desk_at, review_policy
    from regraft.flows.evaluation.queue import fill_queue, queue_size
    from regraft.flows.evaluation.review_service import filter_of
    from regraft.presentation.cli.evaluation.adjudicating import AdjudicationSession
    from regraft.presentation.cli.evaluation.labelling import LabellingSession

    run = context()
    dsn, review = run.graph_dsn(), run.settings.review
    desk = desk_at(dsn, reviewer_name(reviewer), policy=review_policy(review))
    if adjudicate:
        flow.refresh_agreement(dsn, review.min_agreement, review.min_judged)
        AdjudicationSession(desk, kind, theme, run.console).run()
        return
    wanted = filter_of(desk, kind=kind, theme=theme, session=session, cluster=cluster, category=category)
    if not desk.progress(wanted).waiting:
        fill_queue(dsn, run.workbench(), queue_size(review))
    LabellingSession(desk, wanted, run.console).run()


@label_app.command("pair")
def prefer_pair(
    pair: Annotated[str, typer.Argument(help="Pair: id or start of an id.")],
    prefer: Annotated[str, typer.Option(help="a, b, equal or both_bad; a is the side of the smaller node id.")],
    reviewer: Reviewer = None,
    note: Note = "",
    adjudicate: Annotated[bool, typer.Option("--adjudicate", help="Adjudicate: this label decides.")] = False,
    json: Json = False,
) -> None:
    """Record which side of a pair is better."""
    from regraft.flows.evaluation import reading
    from regraft.flows.evaluation.pairs import propose_pairs
    from regraft.flows.evaluation.review import record_preference

    run = context()
    dsn, workbench = run.graph_dsn(), run.workbench()
    propose_pairs(dsn, workbench)
    pair_id = reading.pair_id(workbench, pair)
    who = reviewer_name(reviewer)
    label_id = record_preference(dsn, workbench, pair_id, prefer, who, note=note, adjudicates=adjudicate)
    if json:
        run.print_json({"label_id": label_id, "pair_id": pair_id, "preference": prefer})
    else:
        run.console.print(f"{pair_id}: {prefer}")


@label_app.command("rate")
def rate(
    unit: Annotated[str, typer.Argument(help="Path: id or start of an id of its last node.")],
    rating: Annotated[int, typer.Argument(min=1, max=5, help="1 is worst, 5 is best.")],
    reviewer: Reviewer = None,
    note: Note = "",
    category: Annotated[list[str] | None, typer.Option(help="Category of the path; repeatable.")] = None,
    adjudicate: Annotated[bool, typer.Option("--adjudicate", help="Adjudicate: this label decides.")] = False,
    json: Json = False,
) -> None:
    """Rate a path from 1 to 5."""
    from regraft.flows.evaluation import reading
    from regraft.flows.evaluation.review import rate_unit
    from regraft.flows.evaluation.trajectories import materialise_units

    run = context()
    dsn = run.graph_dsn()
    materialise_units(dsn, run.workbench())
    unit_id: UUID = reading.unit_id(run.workbench(), unit)
    who = reviewer_name(reviewer)
    label_id = rate_unit(dsn, unit_id, rating, who, note=note, categories=category or (), adjudicates=adjudicate)
    if json:
        run.print_json({"label_id": label_id, "unit_id": unit_id, "rating": rating})
    else:
        run.console.print(f"{unit_id}: {rating}")
