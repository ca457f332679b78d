"""``regraft status``: which services run, and how much is stored. Starts nothing."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from regraft.domain.errors import UnavailableError
from regraft.infra.embedded.leases import users_of
from regraft.infra.embedded.stack import DAGSTER, GATEWAY, INGEST, METRICS, WEB
from regraft.infra.embedded.state import RunFolder
from regraft.infra.embedded.supervisor import Supervisor
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.services.disk import measure, size_text, usage_document
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.capture.backlog import CaptureBacklog
    from regraft.flows.capture.live import TrafficFigures

_SHOWN = 3  # users of one service


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(status)


def services(run: CommandContext) -> list[dict[str, Any]]:
    """Each service with ``state``, ``where``, ``process`` and the ``users`` that it runs for; what the configuration
    names is not looked at, and where something else starts services, none is."""
    settings, stack = run.settings, run.stack
    folder = run.data_dir / "run"
    where = {
        "postgres": "127.0.0.1:{port}",
        "nats": "127.0.0.1:{port}",
        "model": "http://127.0.0.1:{port}/v1",
        GATEWAY: stack.gateway_url() + "/v1",
        INGEST: "stream -> PostgreSQL",
        WEB: stack.web_url(),
        METRICS: f"{stack.metrics_url()}/metrics",
        DAGSTER: stack.dagster_url(),
    }
    configured = {
        "postgres": settings.postgres.dsn is not None,
        "nats": settings.nats.url is not None,
        "model": bool(settings.upstreams),
        GATEWAY: settings.client.gateway_url is not None,
    }
    if not settings.start_services:
        configured = dict.fromkeys(where, True)
    rows = []
    for name, place in where.items():
        state = RunFolder(folder).read(name) if folder.is_dir() else None
        running = state is not None and state.alive()
        rows.append(
            {
                "service": name,
                "state": "configured" if configured.get(name) else "running" if running else "stopped",
                "where": place.format(port=state.port if state else "-") if running else "",
                "process": state.pid if running and state else None,
                "users": users_of(RunFolder(folder).users(name)) if running else [],
            }
        )
    return rows


def postgres_state(run: CommandContext) -> str:
    """``configured``, ``running`` or ``stopped``."""
    return str(next(row["state"] for row in services(run) if row["service"] == "postgres"))


def counts(run: CommandContext) -> dict[str, Any] | None:
    """Row counts of the database; None when PostgreSQL is not running."""
    from regraft.flows.lineage import reading

    up = {row["service"]: row["state"] for row in services(run)}
    if up["postgres"] == "stopped":
        return None
    try:
        return reading.status(run.postgres_dsn())
    except UnavailableError:
        return None


def traffic(run: CommandContext, found: dict[str, Any] | None) -> TrafficFigures | None:
    """The calls of the last hour; None when PostgreSQL is not running."""
    from regraft.flows.capture.live import last_hour

    return None if found is None else last_hour(run.postgres_dsn())


def _age(seconds: float) -> str:
    for name, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} s"


def _in_words(hour: TrafficFigures) -> str:
    if hour.newest_seconds is None:
        return "No call captured yet: point a client at the gateway."
    took = "" if hour.p95_seconds is None else f", 95 % of the answers within {hour.p95_seconds:.1f} s"
    failed = f", [red]{hour.failed} failed or cut[/]" if hour.failed else ", none failed"
    stored = f"the latest was stored {_age(hour.newest_seconds)} ago"
    return f"Last hour: [bold]{counted(hour.calls, 'call')}[/]{failed if hour.calls else ''}{took}; {stored}."


def backlog(run: CommandContext) -> CaptureBacklog:
    """What was captured and is not stored yet. Starts nothing: a stream that does not run is not asked."""
    from regraft.flows.capture.backlog import capture_backlog

    running = {row["service"]: row["state"] for row in services(run)}["nats"] != "stopped"
    return capture_backlog(run.data_dir / "spool", run.stack.nats() if running else None)


def _users(row: dict[str, Any]) -> str:
    own = [user for user in row["users"] if f"({os.getpid()})" not in user]
    return ", ".join(own[:_SHOWN]) + (f" and {len(own) - _SHOWN} more" if len(own) > _SHOWN else "")


def status(json: Json = False) -> None:
    """Show which services run, where, and how much is stored."""
    run = context()
    rows, found, waiting = services(run), counts(run), backlog(run)
    hour = traffic(run, found)
    disk = measure(run, postgres_state(run))
    if json:
        up = Supervisor.of(run.data_dir)
        state = {"data_dir": str(run.data_dir.resolve()), "up": asdict(up) if up else None}
        run.print_json(
            {
                **state,
                "services": rows,
                "counts": found,
                "backlog": asdict(waiting),
                "disk": usage_document(disk),
                "last_hour": hour and asdict(hour),
            }
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("service", "state", "where", "process", "used by"):
        table.add_column(name)
    colours = {"running": "green", "stopped": "dim", "configured": "cyan"}
    for row in rows:
        colour = colours[row["state"]]
        table.add_row(
            row["service"], f"[{colour}]{row['state']}[/]", row["where"], str(row["process"] or ""), _users(row)
        )
    run.console.print(table)
    if up := Supervisor.of(run.data_dir):
        doing = "watches over them" if up.ready else "is starting them"
        run.console.print(f"\n`regraft up` (process {up.pid}) {doing}; `regraft down` stops it.", highlight=False)
    if hour is not None:
        run.console.print(f"\n{_in_words(hour)}", highlight=False)
    if waiting.spool_bytes or waiting.stream_packs:
        stream = "" if waiting.stream_packs is None else f", {counted(waiting.stream_packs, 'pack')} in the stream"
        run.console.print(
            f"\nNot stored yet: {waiting.spool_bytes / (1 << 20):.1f} MiB in the spool{stream}; "
            f"the oldest call waits for {waiting.seconds:.0f} s.",
            highlight=False,
        )
    each = f", {size_text(disk.bytes_per_turn)} a turn" if disk.bytes_per_turn else ""
    run.console.print(
        f"\nDisk: {size_text(disk.bytes)}{each}; {size_text(disk.free)} free. `regraft usage` says what takes it.",
        highlight=False,
    )
    if found is None:
        run.console.print("\nPostgreSQL is not running: start everything with `regraft up`.")
        return
    calls, graph = ("inbox", "waiting_calls", "quarantine"), ("turns", "waiting_turns", "sessions", "nodes", "replays")
    unsure = [name for name in ("ambiguous_turns", "unknown_endings", "unmatched_feedback") if found[name]]
    shown = (*calls, *graph, "snapshots", *unsure)
    run.console.print("\n" + "  ".join(f"{name.replace('_', ' ')} [bold]{found[name]}[/]" for name in shown))
