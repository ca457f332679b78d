"""``regraft import``: conversations of other tools, with every branch."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from regraft.domain.errors import NotFoundError, UsageError
from regraft.presentation.cli import completion
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.progress import Bar
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.domain.evaluation.label_lines import LabelDefaults
    from regraft.flows.capture.import_report import ImportCounts

_NAMES_SHOWN = 3  # of what was refused for one reason; --json has more


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import", rich_help_panel="Capture")(import_)


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders; also .gz, .zst and .zip.", metavar="PATH...")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="Format of all files; recognised if not given.", autocompletion=completion.formats
        ),
    ] = None,
    theme: Annotated[str | None, typer.Option(help="Theme of what is imported.")] = None,
    scope: Annotated[str, typer.Option(help="Tenant to import for.")] = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; store nothing.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write a line of JSON for each conversation to this file.", metavar="FILE")
    ] = None,
    requests: Annotated[
        list[Path] | None,
        typer.Option(help="Requests of a batch, whose answers are imported; repeatable.", metavar="FILE"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep importing what is added, until Ctrl-C.")] = False,
    source: Annotated[str, typer.Option(help="Labels: source of lines that name none.")] = "",
    annotator: Annotated[str, typer.Option(help="Labels: annotator of lines that name none.")] = "",
    given_by: Annotated[str, typer.Option(help="Labels: person, model or program, for lines without given_by.")] = "",
    key_prefix: Annotated[str, typer.Option(help="Labels: put this before every key.")] = "",
    json: Json = False,
) -> None:
    """Import conversations with all their branches and judgements, or files of labels. A second import adds nothing."""
    from regraft.domain.evaluation.label_lines import LabelDefaults
    from regraft.flows.capture.importing import import_files
    from regraft.flows.evaluation import label_files

    run = context()
    for path in (*paths, *(requests or ())):
        if not path.exists():
            raise NotFoundError(f"There is no file or folder {path}.")
    labels = [path for path in paths if form == label_files.FORM or (form is None and label_files.is_label_file(path))]
    if labels:
        if watch or len(labels) < len(paths):
            raise UsageError("Import files of labels separately, after their conversations.")
        defaults = LabelDefaults(source=source, annotator=annotator, given_by=given_by, key_prefix=key_prefix)
        _import_labels(run, labels, scope, defaults, report, dry_run=dry_run, json=json)
        return
    if source or annotator or given_by or key_prefix:
        raise UsageError("--source, --annotator, --given-by and --key-prefix are for files of labels.")
    if watch:
        if dry_run or report is not None or requests:
            raise UsageError("--watch cannot be combined with --dry-run, --report or --requests.")
        _watch(run, paths, form, theme, scope, json=json)
        return
    size = sum(file.stat().st_size for path in paths for file in ([path] if path.is_file() else path.rglob("*")))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(run.console, *columns, hidden=json) as progress:
        task = progress.add_task("Importing", total=size)

        def tell(counts: ImportCounts, done: int) -> None:
            progress.update(
                task, completed=done, description=f"Importing: {counted(counts.conversations, 'conversation')}"
            )

        dsn = None if dry_run else run.new_postgres_dsn()
        counts = import_files(
            dsn, paths, form=form, theme=theme, scope=scope, progress=tell, report=report, requests=requests or ()
        )
    if json:
        run.print_json(asdict(counts))
        return
    state = "would be imported" if dry_run else f"read, {counts.already} of them stored before"
    run.console.print(
        f"{counted(counts.conversations, 'conversation')} {state}, from {counted(counts.files, 'file')}.",
        highlight=False,
    )
    turns = "" if dry_run else f", {counted(counts.turns, 'new turn')}"
    run.console.print(
        f"{counted(counts.messages, 'message')}, {counted(counts.calls, 'answer')}{turns}, "
        f"{counted(counts.branches, 'branch')}, "
        f"{counted(counts.judgements, 'judgement')}. Formats: {', '.join(sorted(counts.forms))}.",
        highlight=False,
    )
    _print_refused(run, counts)


def _import_labels(
    run: CommandContext,
    paths: list[Path],
    scope: str,
    defaults: LabelDefaults,
    report: Path | None,
    *,
    dry_run: bool,
    json: bool,
) -> None:
    from regraft.flows.evaluation.label_files import import_labels

    dsn = None if dry_run else run.new_postgres_dsn()
    counts = import_labels(dsn, paths, scope=scope, defaults=defaults, report=report)
    if json:
        run.print_json(asdict(counts))
        return
    state = "would be added" if dry_run else "added"
    run.console.print(
        f"{counted(counts.judgements, 'judgement')} {state}, from {counted(counts.files, 'file')}.", highlight=False
    )
    _print_refused(run, counts)


def _print_refused(run: CommandContext, counts: ImportCounts) -> None:
    for reason, count in sorted(counts.refused.items()):
        names = ", ".join(counts.refused_names[reason][:_NAMES_SHOWN]) + (", ..." if count > _NAMES_SHOWN else "")
        run.console.print(f"[yellow]refused[/] {count} x {escape(reason)}: {escape(names)}", highlight=False)


def _watch(
    run: CommandContext, paths: list[Path], form: str | None, theme: str | None, scope: str, *, json: bool
) -> None:
    from regraft.flows.capture.watching import watch

    def tell(counts: ImportCounts) -> None:
        if json:
            run.print_json(asdict(counts))
        elif counts.turns or counts.judgements:
            run.console.print(
                f"{counted(counts.files, 'file')} read: {counted(counts.turns, 'new turn')}, "
                f"{counted(counts.judgements, 'judgement')}.",
                highlight=False,
            )

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return True

    if not json:
        run.console.print("Watching. Ctrl-C ends it; what is stored stays.", highlight=False)
    watch(run.new_postgres_dsn(), paths, wait=wait, report=tell, form=form, theme=theme, scope=scope)
