"""The ``regraft`` command. Heavy libraries are imported by the commands that need them, never here."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from regraft.domain.errors import RegraftError, UsageError
from regraft.infra.telemetry.emitter import publishing_facts
from regraft.presentation.cli import demo
from regraft.presentation.cli.capture import importing, keys, quarantine, retention, runtime
from regraft.presentation.cli.context import begin, context
from regraft.presentation.cli.datasets import dataset, erase
from regraft.presentation.cli.evaluation import categories, clusters, evaluate, judges, label, pivots, queue, similar
from regraft.presentation.cli.grammar import command_tree
from regraft.presentation.cli.lineage import build as lineage
from regraft.presentation.cli.lineage import sessions, themes
from regraft.presentation.cli.orchestration import orchestrate, taskify
from regraft.presentation.cli.replay import compare, models, replay, stale
from regraft.presentation.cli.services import (
    backup,
    db,
    doctor,
    init,
    metrics,
    open_page,
    schema,
    serve,
    status,
    up,
    upgrade,
    usage,
    web_token,
)
from regraft.version import __version__

INTERRUPTED = 130  # as shells say it of a command that Ctrl-C ended

app = typer.Typer(
    name="regraft",
    help="Replayable branching graphs from LLM conversations, and training data that can be trusted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(shown: bool) -> None:
    if shown:
        print(f"regraft {__version__}")
        raise typer.Exit


@app.callback()
def start(
    config: Annotated[
        Path | None, typer.Option(help="TOML config file; else $REGRAFT_CONFIG, else regraft.toml here or above.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Regraft keeps every branch of your LLM conversations and turns them into certified training data."""
    begin(config)


for module in (
    demo,
    init,
    up,
    backup,
    upgrade,
    open_page,
    status,
    usage,
    doctor,
    schema,
    sessions,
    compare,
    replay,
    taskify,
    orchestrate,
    importing,
    models,
    similar,
    pivots,
    stale,
    erase,
    retention,
):
    module.register(app)
serve.register(app)
metrics.register(app)
app.add_typer(lineage.app, name="lineage", rich_help_panel="Lineage")
app.add_typer(themes.app, name="themes", rich_help_panel="Lineage")
app.add_typer(runtime.runtime_app, name="runtime", rich_help_panel="Capture")
app.add_typer(evaluate.evaluate_app, name="evaluate", rich_help_panel="Evaluation")
app.add_typer(clusters.clusters_app, name="clusters", rich_help_panel="Evaluation")
app.add_typer(categories.categories_app, name="categories", rich_help_panel="Evaluation")
app.add_typer(judges.judges_app, name="judges", rich_help_panel="Evaluation")
app.add_typer(label.label_app, name="label", rich_help_panel="Evaluation")
app.add_typer(queue.queue_app, name="queue", rich_help_panel="Evaluation")
app.add_typer(dataset.dataset_app, name="dataset", rich_help_panel="Datasets")
app.add_typer(keys.keys_app, name="keys", rich_help_panel="Capture")
app.add_typer(quarantine.quarantine_app, name="quarantine", rich_help_panel="Capture")
app.add_typer(db.app, name="db", rich_help_panel="Services")
app.add_typer(web_token.app, name="web-token", rich_help_panel="Services")


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command. Errors are one line on standard error and an exit code, never a traceback."""
    try:
        signal.signal(signal.SIGTERM, _terminated)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so would we
        try:
            code = _run()
        finally:
            with contextlib.suppress(UsageError):  # the command line itself was wrong: no context was made
                context().close()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to undo
    except KeyboardInterrupt:
        # Also while waiting for servers to end: they do so by themselves once no one uses them.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        code = INTERRUPTED
    sys.exit(code)


def _stream() -> str | None:
    """The stream of the data folder, where it runs."""
    return context().stack.running_nats()


def _run() -> int:
    try:
        with publishing_facts(_stream):
            command_tree(app)()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1 if leaving.code else 0
    except RegraftError as error:
        print(f"regraft: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:  # a full disk, a folder that cannot be written
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"regraft: {where}{error.strerror or error}.", file=sys.stderr)
        return 1
    return 0
