"""``regraft quarantine``: captured calls that could not be read, and calls that wait for another."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse, most
from regraft.presentation.cli.tables import Keys, arranged, print_total
from regraft.presentation.cli.words import counted

quarantine_app = typer.Typer(help="List, retry and dismiss captured calls that wait or cannot be read.")
_KEYS: Keys = {
    "received": lambda row: row["received_at"],
    "tries": lambda row: row["tries"],
    "bytes": lambda row: row["bytes"],
    "reason": lambda row: row["reason"],
}


@quarantine_app.callback()
def quarantine() -> None:
    """Captured calls that wait for another call, or that cannot be read. They are kept whole."""


@quarantine_app.command("list")
def list_(
    limit: Limit = 20,
    sort: Annotated[Literal["received", "tries", "bytes", "reason"] | None, typer.Option(help=SORT)] = None,
    reverse: Reverse = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only calls that wait for another.")] = False,
    dismissed: Annotated[bool, typer.Option("--dismissed", help="Calls that were dismissed instead.")] = False,
    json: Json = False,
) -> None:
    """List what is in quarantine and why, the latest first."""
    from regraft.flows.capture import quarantine as flow

    run = context()
    dsn = run.postgres_dsn()
    every = flow.contents(dsn, most(0), waiting=waiting, dismissed=dismissed)
    rows = arranged(every, limit, sort, keys=_KEYS, reverse=reverse).rows
    if json:
        run.print_json([{key: value for key, value in row.items() if key != "event"} for row in rows])
        return
    if not rows:
        run.console.print("Nothing was dismissed." if dismissed else "Nothing is in quarantine.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("call", "received", "tries", "bytes", "reason"):
        table.add_column(name, justify="right" if name in ("tries", "bytes") else "left", no_wrap=name != "reason")
    for row in rows:
        received = f"{row['received_at']:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(row["event_id"]), received, str(row["tries"]), str(row["bytes"]), escape(_reason(row)[:300]))
    run.console.print(table)
    print_total(run.console, len(rows), len(every), "call")
    for code, calls in flow.reasons(dsn).items():
        run.console.print(f"[dim]{escape(code)}: {calls}[/]")


def _reason(row: dict[str, Any]) -> str:
    because = row["dismissed_because"]
    return str(row["reason"]) if because is None else f"dismissed: {because}; {row['reason']}"


@quarantine_app.command()
def dismiss(
    calls: Annotated[list[str] | None, typer.Argument(help="Calls: ids or starts of ids.", metavar="CALL...")] = None,
    because: Annotated[str, typer.Option(help="Why they are dismissed.", metavar="TEXT")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All calls that cannot be read.")] = False,
    json: Json = False,
) -> None:
    """Dismiss calls that cannot be read: they stay stored, but no longer count in checks."""
    from regraft.flows.capture import quarantine as flow

    if bool(calls) == everything:
        raise UsageError("Name the calls to dismiss, or give --all.")
    run = context()
    done = flow.dismiss(run.postgres_dsn(), None if everything else calls, because)
    if json:
        run.print_json({"dismissed": done})
        return
    run.console.print(f"{done} dismissed. `regraft quarantine list --dismissed` shows them.")


@quarantine_app.command()
def retry(
    everything: Annotated[
        bool, typer.Option("--all", help="Also calls that could not be read, e.g. after an upgrade.")
    ] = False,
    place: Annotated[bool, typer.Option("--place", help="Store waiting calls by their opening.")] = False,
    json: Json = False,
) -> None:
    """Retry calls that wait for another call; after ingest.patience a call is stored by its opening."""
    from regraft.flows.capture import quarantine as flow

    run = context()
    patience = timedelta(seconds=0 if place else run.settings.ingest.patience)
    counts = flow.retry(run.postgres_dsn(), patience=patience, everything=everything, table=run.settings.client_table)
    if json:
        run.print_json(asdict(counts))
        return
    run.console.print(
        f"Tried {counted(counts.tried, 'call')}: {counts.resolved} stored "
        f"({counted(counts.new_turns, 'turn')}), {counts.left} left."
    )
