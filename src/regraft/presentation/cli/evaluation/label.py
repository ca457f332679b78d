"""``regraft label``: a person's word on answers, blind and one pair at a time, or by id."""

from __future__ import annotations

import getpass
import secrets
from typing import Annotated
from uuid import UUID

import typer
from rich.columns import Columns
from rich.markup import escape
from rich.panel import Panel

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import context

label_app = typer.Typer(help="Prefer one of two answers, blind; or rate a path.", invoke_without_command=True)

Reviewer = Annotated[str | None, typer.Option(help="Reviewer's name; the user name of this computer if not given.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Note = Annotated[str, typer.Option(help="Why.")]

_ANSWERS = {"a": "first", "b": "second", "e": "equal", "x": "both_bad"}


def _name(reviewer: str | None) -> str:
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
    seed: Annotated[int | None, typer.Option(help="Seed of the order of pairs and sides; random if not given.")] = None,
) -> None:
    """Show two answers to the same question without their models and ask which is better, until none is left.

    a or b prefers that answer, e is equal, x is both bad, s skips, q leaves.
    """
    if called.invoked_subcommand is not None:
        return
    from regraft.flows.evaluation.pairs import propose_pairs
    from regraft.flows.evaluation.review import next_pair, record_preference

    run = context()
    dsn, workbench, who = run.postgres_dsn(), run.workbench(), _name(reviewer)
    drawn = secrets.randbelow(1 << 31) if seed is None else seed
    propose_pairs(dsn, workbench)
    skipped: list[UUID] = []
    judged = 0
    while (pair := next_pair(dsn, workbench, who, seed=drawn, skip=skipped)) is not None:
        run.console.rule(f"{judged} judged, {pair.waiting} to go")
        run.console.print(escape(pair.history), style="dim")
        run.console.print(
            Columns(
                [
                    Panel(
                        escape(pair.first.removeprefix("[assistant]\n")), title="A", width=run.console.width // 2 - 1
                    ),
                    Panel(
                        escape(pair.second.removeprefix("[assistant]\n")), title="B", width=run.console.width // 2 - 1
                    ),
                ]
            )
        )
        said = ""
        while said not in {*_ANSWERS, "s", "q"}:
            try:
                said = input("a, b, e(qual), x (both bad), s(kip), q(uit)? ").strip().casefold()
            except EOFError:
                said = "q"
        if said == "q":
            break
        if said == "s":
            skipped.append(pair.pair_id)
            continue
        record_preference(dsn, workbench, pair.pair_id, pair.side(_ANSWERS[said]), who, shown_first=pair.shown_first)
        judged += 1
    else:
        run.console.print("No pair is waiting for you.")
    run.console.print(f"{judged} judged.")


@label_app.command("pair")
def prefer_pair(
    pair: Annotated[str, typer.Argument(help="Pair: id or start of an id.")],
    prefer: Annotated[str, typer.Option(help="a, b, equal or both_bad; a is the side of the smaller node id.")],
    reviewer: Reviewer = None,
    note: Note = "",
    json: Json = False,
) -> None:
    """Record which side of a pair is better."""
    from regraft.flows.evaluation import reading
    from regraft.flows.evaluation.pairs import propose_pairs
    from regraft.flows.evaluation.review import record_preference

    run = context()
    dsn, workbench = run.postgres_dsn(), run.workbench()
    propose_pairs(dsn, workbench)
    pair_id = reading.pair_id(workbench, pair)
    label_id = record_preference(dsn, workbench, pair_id, prefer, _name(reviewer), note=note)
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
    json: Json = False,
) -> None:
    """Rate a path from 1 to 5."""
    from regraft.flows.evaluation import reading
    from regraft.flows.evaluation.review import rate_unit
    from regraft.flows.evaluation.trajectories import materialise_units

    run = context()
    dsn = run.postgres_dsn()
    materialise_units(dsn, run.workbench())
    unit_id = reading.unit_id(run.workbench(), unit)
    label_id = rate_unit(dsn, unit_id, rating, _name(reviewer), note=note, categories=category or ())
    if json:
        run.print_json({"label_id": label_id, "unit_id": unit_id, "rating": rating})
    else:
        run.console.print(f"{unit_id}: {rating}")
