"""``regraft up``: all services of a data folder, watched, until Ctrl-C."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Annotated

import typer

from regraft.domain.errors import RegraftError, UsageError
from regraft.infra.backoff import Backoff
from regraft.infra.embedded.program import EmbeddedProgram
from regraft.infra.embedded.stack import DAGSTER, WEB, Stack
from regraft.infra.embedded.state import RunFolder, ServerState
from regraft.presentation.cli.context import CommandContext, context

SUPERVISOR = "up"
_LOOK_SECONDS = 1.0
_BACKOFF = Backoff(1.0, 30.0)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(up)


def up(
    dagster: Annotated[
        bool | None, typer.Option(help="Start Dagster too; the setting dagster.enabled if unset.")
    ] = None,
    model: Annotated[bool, typer.Option(help="Start the local model when no upstream is configured.")] = True,
) -> None:
    """Start all services, print their addresses, and keep them running until Ctrl-C."""
    run = context()
    stack, console = run.stack, run.console
    folder = RunFolder.of(run.data_dir)
    running = folder.read(SUPERVISOR)
    if running and running.alive():
        raise UsageError(f"`regraft up` runs already for {run.data_dir} (process {running.pid}): see `regraft status`.")
    folder.write(SUPERVISOR, ServerState.of(os.getpid(), 0))
    with_dagster = run.settings.dagster.enabled if dagster is None else dagster
    console.print(f"Starting Regraft in [bold]{run.data_dir.resolve()}[/] (logs in {run.data_dir / 'logs'})")
    _say(run, "PostgreSQL", stack.postgres, "psql: `regraft db psql`", hide=True)
    _say(run, "NATS", stack.nats, "JetStream, every acknowledged event fsynced", hide=True)
    if model and not run.settings.upstreams:
        _say(run, "Model", lambda: ((endpoint := stack.model()) and endpoint.model) or "", "local, open weights")
    _say(run, "Gateway", stack.gateway, "OpenAI-compatible: base_url ends in /v1")
    stack.ingest()
    console.print("  [green]ready[/]  Ingest      stream -> PostgreSQL")
    _say(run, "Web API", lambda: _web(stack), "/api")
    if with_dagster:
        _say(run, "Dagster", lambda: _dagster(stack), "assets, runs and sensors")
    console.print("\nAll up. Ctrl-C stops everything; nothing captured is lost.")
    _watch(run, stack)


def _say(run: CommandContext, name: str, start: Callable[[], str], note: str, *, hide: bool = False) -> None:
    with run.console.status(f"starting {name}"):
        began = time.monotonic()
        where = start()
    shown = where.rpartition("@")[2] if hide else where
    run.console.print(f"  [green]ready[/]  {name:<11} {shown}  [dim]{note} ({time.monotonic() - began:.1f} s)[/]")


def _web(stack: Stack) -> str:
    web = stack.settings.web
    stack.run(WEB, port=web.port, port_setting="web.port", health=f"{stack.web_url()}/api/health")
    return stack.web_url()


def _dagster(stack: Stack) -> str:
    port = stack.settings.dagster.port
    url = stack.dagster_url()
    stack.run(DAGSTER, port=port, port_setting="dagster.port", health=f"{url}/server_info", start_timeout=180)
    return url


def _watch(run: CommandContext, stack: Stack) -> None:
    """Start again what has ended, at a slower pace the more often it does. Servers first: their start is a no-op
    while they run, and they come back on the port that the programs know."""
    ended: dict[str, int] = {}
    next_try: dict[str, float] = {}
    while True:
        time.sleep(_LOOK_SECONDS)
        _keep_servers(run, stack)
        for program in stack.programs():
            if program.alive():
                continue
            now = time.monotonic()
            if now < next_try.get(program.name, 0.0):
                continue
            ended[program.name] = ended.get(program.name, 0) + 1
            next_try[program.name] = now + _BACKOFF.after(ended[program.name])
            _restart(run, program)


def _keep_servers(run: CommandContext, stack: Stack) -> None:
    try:
        stack.keep_servers()
    except RegraftError as error:
        run.console.print(f"  [red]failed[/] {error}")


def _restart(run: CommandContext, program: EmbeddedProgram) -> None:
    run.console.print(f"  [yellow]ended[/]  {program.name}: starting it again")
    try:
        program.start()
    except RegraftError as error:
        run.console.print(f"  [red]failed[/] {program.name}: {error}")
    else:
        run.console.print(f"  [green]ready[/]  {program.name}")
