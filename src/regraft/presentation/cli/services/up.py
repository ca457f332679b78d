"""``regraft up``: all services of a data folder, watched, until Ctrl-C or ``regraft down``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from regraft.domain.errors import RegraftError, ServerStartError, UsageError
from regraft.infra.backoff import Backoff
from regraft.infra.data_folder import make_data_folder
from regraft.infra.embedded.log_rotation import rotate
from regraft.infra.embedded.program import EmbeddedProgram
from regraft.infra.embedded.stack import DAGSTER, METRICS, WEB, Stack
from regraft.infra.embedded.state import wait_until
from regraft.infra.embedded.supervisor import Supervisor, become_supervisor, report_ready
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.services.housekeeping import Housekeeping
from regraft.presentation.cli.services.open_page import PAGE, print_page
from regraft.presentation.cli.services.status import services

_LOOK_SECONDS = 1.0
_BACKOFF = Backoff(1.0, 30.0)
_READY = "All up."
_HOW_TO_STOP = "`regraft down` stops everything; nothing captured is lost."
_DOWN_PATIENCE = 180.0  # seconds: PostgreSQL and the gateway may each take a minute to end in order


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(up)
    app.command(rich_help_panel="Services")(down)


def up(
    dagster: Annotated[
        bool | None, typer.Option(help="Start Dagster too; the setting dagster.enabled if unset.")
    ] = None,
    model: Annotated[bool, typer.Option(help="Start the local model when no upstream is configured.")] = True,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all services are ready; `regraft down` stops them.")
    ] = False,
) -> None:
    """Start all services, print their addresses, and keep them running until Ctrl-C or `regraft down`."""
    run = context()
    stack, console = run.stack, run.console
    if not run.settings.start_services:
        raise UsageError("start_services is false, so `regraft up` starts nothing: run each service separately.")
    if detach:
        _detach(run, [*_flag("dagster", dagster), *_flag("model", model)])
        return
    become_supervisor(run.data_dir)
    with_dagster = run.settings.dagster.enabled if dagster is None else dagster
    console.print(f"Starting Regraft in [bold]{run.data_dir.resolve()}[/] (logs in {run.data_dir / 'logs'})")
    _say(run, "PostgreSQL", stack.postgres, "psql: `regraft db psql`", hide=True)
    _say(run, "NATS", stack.nats, "JetStream, every acknowledged event fsynced", hide=True)
    if model and not run.settings.upstreams:
        _say(run, "Model", lambda: ((endpoint := stack.model()) and endpoint.model) or "", "local, open weights")
    _say(run, "Gateway", stack.gateway, "OpenAI-compatible: base_url ends in /v1")
    stack.ingest()
    console.print("  [green]ready[/]  Ingest      stream -> PostgreSQL")
    _say(run, "Web UI", lambda: _web(stack), "and its API under /api")
    if run.settings.metrics.enabled:
        _say(run, "Metrics", lambda: _metrics(stack), "of conversations and stores, for Prometheus")
    if with_dagster:
        _say(run, "Dagster", lambda: _dagster(stack), "assets, runs and sensors")
    print_page(run)
    report_ready(run.data_dir)
    console.print(f"\n{_READY} Ctrl-C stops everything; nothing captured is lost.")
    _watch(run, stack)


def down(json: Json = False) -> None:
    """Stop the services that `regraft up` started. Services that other commands use run until these end."""
    run = context()
    running = Supervisor.of(run.data_dir)
    if running is None:
        if json:
            run.print_json({"stopped": None, "in_use": {}})
        else:
            run.console.print(f"`regraft up` does not run for {run.data_dir.resolve()}.", highlight=False)
        return
    with run.console.status("stopping"):
        os.kill(running.pid, signal.SIGTERM)
        if not wait_until(lambda: Supervisor.of(run.data_dir) is None, _DOWN_PATIENCE):
            raise ServerStartError(f"`regraft up` (process {running.pid}) has not ended: see `regraft status`.")
    left = {row["service"]: row["users"] for row in services(run) if row["users"]}
    if json:
        run.print_json({"stopped": running.pid, "in_use": left})
        return
    lines = [f"\n  {service} is used by {', '.join(users)}" for service, users in left.items()]
    run.console.print("Stopped." + "".join(lines), highlight=False)


def _flag(name: str, value: bool | None) -> list[str]:
    return [] if value is None else [f"--{name}" if value else f"--no-{name}"]


def _detach(run: CommandContext, options: list[str]) -> None:
    """Run ``regraft up`` without a terminal, show what it prints until all is up, and leave it running. Where it runs
    already, wait until all is up."""
    if Supervisor.of(run.data_dir):
        _wait_for_other(run)
        return
    config = ["--config", str(run.config.resolve())] if run.config else []
    log = run.data_dir / "logs" / "up.log"
    make_data_folder(run.data_dir)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with log.open("ab") as printed:
        begin = printed.tell()
        started = subprocess.Popen(
            [sys.executable, "-P", "-m", "regraft", *config, "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        for line in _lines_while(log, begin, started):
            if line.startswith(PAGE) and run.console.is_terminal:
                continue  # said below, with the key
            if line.startswith(_READY):
                if run.console.is_terminal:
                    print_page(run)
                run.console.print(f"\n{_READY} {_HOW_TO_STOP} Log: {log}")
                started.returncode = 0  # it is left running on purpose
                return
            run.console.print(line, highlight=False, markup=False)
    except BaseException:  # Ctrl-C: what is not up yet is not left behind
        started.terminate()
        raise
    status = started.wait()
    if Supervisor.of(run.data_dir):  # another terminal was faster
        _wait_for_other(run)
        return
    raise ServerStartError(f"`regraft up` ended with status {status}; it printed to {log}.")


def _wait_for_other(run: CommandContext) -> None:
    """Return when all is up that another ``regraft up`` starts. Raises ServerStartError when it ends before that."""
    with run.console.status("waiting for `regraft up` of another terminal"):
        while (running := Supervisor.of(run.data_dir)) and not running.ready:
            time.sleep(_LOOK_SECONDS)
    if running is None:
        raise ServerStartError(f"`regraft up` of another terminal has ended: see {run.data_dir / 'logs'}.")
    run.console.print(f"All is up already (process {running.pid}). {_HOW_TO_STOP}", highlight=False)


def _lines_while(log: Path, begin: int, process: subprocess.Popen[bytes]) -> Iterator[str]:
    """The whole lines of a log from the byte ``begin`` on that a process writes, as they come, until it has ended."""
    with log.open(encoding="utf-8", errors="replace") as printed:
        printed.seek(begin)
        rest = ""
        while True:
            ended = process.poll() is not None
            rest += printed.read()
            *lines, rest = rest.split("\n")
            yield from lines
            if ended:
                return
            time.sleep(0.1)


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


def _metrics(stack: Stack) -> str:
    url = f"{stack.metrics_url()}/metrics"
    stack.run(METRICS, port=stack.settings.metrics.port, port_setting="metrics.port", health=url)
    return url


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
    housekeeping = Housekeeping(run)
    while True:
        time.sleep(_LOOK_SECONDS)
        _keep_servers(run, stack)
        with contextlib.suppress(OSError):
            rotate(run.data_dir / "logs" / "up.log", stack.log_limits.size, stack.log_limits.keep)
            housekeeping.look()
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
