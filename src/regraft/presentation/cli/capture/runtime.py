"""``regraft runtime``: calls, tool calls, tokens, who called whom and timelines, as tables of the workbench."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from regraft.presentation.cli.context import context
from regraft.presentation.cli.lineage.sessions import short
from regraft.presentation.cli.options import Json, Limit, OnlySession, most
from regraft.presentation.cli.tables import cut, listing, one_line
from regraft.presentation.cli.words import counted, moment

runtime_app = typer.Typer(
    help="Show what happened at run time: calls, tools, tokens, flows, timelines.", no_args_is_help=True
)

_SHOWN = {  # what fits on a line; --json has all columns
    "llm_chat_turns": ("started_at", "turn_id", "purpose", "model", "node_status", "seconds", "tool_calls", "answer"),
    "llm_tool_calls": ("called_at", "turn_id", "name", "arguments", "is_error", "seconds", "result"),
    "token_usage": (
        *("started_at", "event_id", "purpose", "model", "upstream", "prompt_tokens", "cached_tokens"),
        *("completion_tokens", "seconds", "failed"),
    ),
    "flow_nodes": ("node", "calls_made", "calls_received", "sessions"),
    "flow_edges": ("caller", "callee", "calls", "prompt_tokens", "completion_tokens", "seconds", "errors"),
    "session_timeline": (
        *("session_id", "position", "offset_seconds", "kind", "caller", "callee", "seconds", "failed", "what"),
    ),
}


@runtime_app.command()
def build(json: Json = False) -> None:
    """Update the tables from the execution log."""
    from regraft.flows.capture.runtime import build_runtime

    run = context()
    done = build_runtime(run.postgres_dsn(), run.workbench())
    if json:
        run.print_json(asdict(done))
        return
    run.console.print(f"{counted(done.calls, 'new call')}, {counted(done.turns, 'new answer')}.")
    run.console.print("  ".join(f"{table} [bold]{rows}[/]" for table, rows in done.rows.items()))


@runtime_app.command()
def show(
    table: Annotated[str, typer.Argument(help="One of: " + ", ".join(_SHOWN) + ".")],
    session: OnlySession = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Update the tables from the execution log, and show one of them; times are UTC."""
    from regraft.domain.errors import UsageError
    from regraft.flows.capture import runtime
    from regraft.flows.lineage import reading

    if table not in _SHOWN:
        raise UsageError(f"There is no runtime table {table!r}. It is one of {', '.join(_SHOWN)}.")
    run = context()
    dsn = run.postgres_dsn()
    wanted = reading.session_id(dsn, session) if session is not None else None
    runtime.build_runtime(dsn, run.workbench())
    rows = runtime.rows(run.workbench(), table, session=wanted, limit=most(limit))
    if json:
        run.print_json(rows)
        return
    if not rows:
        run.console.print("No rows.")
        return
    names = {name: name.replace("_", " ") for name in _SHOWN[table]}
    figures = [title for name, title in names.items() if _figure(rows, name)]
    texts = [title for name, title in names.items() if title not in figures and not name.endswith("_id")]
    shown = listing(list(names.values()), figures=figures, texts=texts)
    for row in rows:
        shown.add_row(*(_cell(name, row[name]) for name in _SHOWN[table]))
    run.console.print(shown)


def _figure(rows: list[dict[str, Any]], name: str) -> bool:
    return any(isinstance(row[name], int | float) and not isinstance(row[name], bool) for row in rows)


def _cell(name: str, value: Any) -> str | Text:
    if value is None:
        return ""
    if isinstance(value, bool):
        return name.removeprefix("is_") if value else ""
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, datetime):
        return moment(value, "%Y-%m-%d %H:%M:%S")
    return short(value) if name.endswith("_id") else cut(one_line(str(value), 40))
