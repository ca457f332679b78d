"""``regraft retention``: remove old data from which nothing else is derived."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from regraft.domain.errors import ConfigError
from regraft.presentation.cli.context import CommandContext, context

if TYPE_CHECKING:
    from regraft.flows.retention import RetentionAges

_WORDS = {
    "answers": "calls: additional fields of answers",
    "resolved": "copies of calls that left quarantine",
    "unreadable": "calls that could never be read",
    "run_details": "events that Dagster's runs logged",
    "run_logs": "log files of Dagster's runs",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Capture")(retention)


def retention(
    raw_bodies_older_than: Annotated[
        str | None, typer.Option(help="Age of raw bytes: a number and h, d, w or y.")
    ] = None,
    run_details_older_than: Annotated[str | None, typer.Option(help="Age of what Dagster's runs logged.")] = None,
    unreadable: Annotated[
        bool, typer.Option("--unreadable", help="Also calls in quarantine that cannot be read.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be removed; change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove raw bytes and run logs from which nothing else is derived, by age. Without options, use the settings in
    [retention].

    Histories, replays and datasets stay as they are.
    """
    from regraft.flows.retention import RetentionPlaces, remove_old
    from regraft.presentation.dagster.home import home_of

    run = context()
    ages = _ages(run, raw_bodies_older_than, run_details_older_than, unreadable=unreadable)
    truth = run.postgres_dsn()
    places = RetentionPlaces(truth=truth, dagster=_dagster(run), dagster_home=home_of(run.data_dir))
    done = remove_old(places, ages, dry_run=dry_run)
    if as_json:
        run.print_json({"dry_run": dry_run, "removed": [asdict(each) for each in done]})
        return
    verb = "would be removed" if dry_run else "removed"
    for each in done:
        run.console.print(
            f"{each.items} {_WORDS[each.kind]} ({each.bytes / (1 << 20):.1f} MiB) {verb}", highlight=False
        )
    if not done:
        run.console.print("Nothing has an age: give one, or set retention.raw_bodies or retention.run_details.")


def _ages(run: CommandContext, raw: str | None, details: str | None, *, unreadable: bool) -> RetentionAges:
    """Of the options; of the settings where no option names one."""
    from regraft.flows.retention import RetentionAges
    from regraft.infra.config.retention import age_of

    section = run.settings.retention
    if raw is None and details is None:
        raw, details, unreadable = section.raw_bodies, section.run_details, unreadable or section.unreadable
    return RetentionAges(
        raw_bodies=age_of(raw) if raw else None, unreadable=unreadable, run_details=age_of(details) if details else None
    )


def _dagster(run: CommandContext) -> str | None:
    """Dagster's database; None where it has its own configuration, or shares no server with ours."""
    try:
        return run.stack.dagster_dsn()
    except ConfigError:
        return None
