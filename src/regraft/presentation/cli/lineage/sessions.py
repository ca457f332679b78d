"""``regraft sessions``, ``tree``, ``show`` and ``path``: reading the conversation graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from regraft.domain.errors import UsageError
from regraft.domain.ids import plain
from regraft.domain.lineage.tool_calls import RESULT_ROLES
from regraft.infra.files.new_file import write_new_text
from regraft.presentation.cli import completion
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import SORT, Json, Limit, NodeArgument, Reverse, most
from regraft.presentation.cli.tables import cut, listing, one_line, print_total
from regraft.presentation.cli.words import counted

MOST_SHOWN = 20_000  # characters of one text on a terminal
_MARKS = {
    "root": "◉",
    "continuation": "─",
    "retry": "↻",
    "model_variant": "M",
    "sampling_variant": "S",
    "prompt_variant": "P",
    "tool_variant": "T",
    "taskify_variant": "K",
    "compaction": "≋",
}
_LEGEND = "─ goes on  ↻ retry  M model  S sampling  P prompt  T tools  K plan  ≋ summary  n x: given by n runs"
_WAYS = {"starts": "⇒", "started_by": "⇐"}
_NO_LINKS: dict[str, list[Any]] = {"starts": [], "started_by": []}
_CALL, _RESULT = "⚒", "↳"
_CALLS = f"  {_CALL} calls a tool  {_RESULT} result of a tool"
_PIVOTS = "  ◆ pivot: its answers came to different ends"
_LINKS = "  ⇒ starts another session  ⇐ started by one"
SHORT = 13  # characters of an id that are shown: enough to find it again


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (sessions, tree, show, path):
        app.command(rich_help_panel="Lineage")(command)


def sessions(
    theme: Annotated[str | None, typer.Option(help="Only sessions of this theme.")] = None,
    limit: Limit = 20,
    sort: Annotated[Literal["recent", "started", "turns", "errors", "outcome"], typer.Option(help=SORT)] = "recent",
    reverse: Reverse = False,
    side: Annotated[bool, typer.Option("--side", help="Only side calls (titles, probes) and calls of judges.")] = False,
    json: Json = False,
) -> None:
    """List conversations, the most recent first. Side calls of clients and calls of judges are listed with --side.

    Sorted by outcome, conversations without one are left out.
    """
    from regraft.domain.lineage.session_filter import SessionFilter
    from regraft.flows.lineage import reading, session_list

    run = context()
    dsn = run.graph_dsn()
    wanted = SessionFilter(themes=() if theme is None else (theme,), side=side)
    rows = session_list.first_sessions(
        dsn,
        wanted,
        most(limit),
        sort="reward" if sort == "outcome" else sort,
        direction="asc" if reverse else "desc",
    )
    if json:
        run.print_json([reading.values(row) for row in rows])
        return
    if not rows and side:
        run.console.print("No side calls yet.")
        return
    if not rows:
        run.console.print("No sessions yet. Point an OpenAI client at the gateway, or run `regraft demo`.")
        return
    table = listing(
        ("session", "name", "theme", "purpose", "turns", "nodes", "replays", "outcome", "models", "opens with"),
        figures=("turns", "nodes", "replays", "outcome"),
        texts=("name", "theme", "purpose", "models", "opens with"),
    )
    for row in rows:
        table.add_row(
            short(row["session_id"]),
            cut(row["external_id"] or ""),
            cut(row["theme"] or ""),
            cut(", ".join(row["purposes"] or [])),
            str(row["turns"]),
            str(row["nodes"]),
            str(row["replays"]),
            figure(row["reward"]),
            cut(", ".join(name for name in row["models"] or [] if name)),
            cut(one_line(row["opening"] or "", 60)),
        )
    run.console.print(table)
    if run.console.is_terminal:
        total = session_list.session_facets(dsn, wanted).total
        print_total(run.console, len(rows), max(total, len(rows)), "side session" if side else "conversation")


def tree(
    session: Annotated[
        str, typer.Argument(help="Session: id, start of an id, or name.", autocompletion=completion.sessions)
    ],
    json: Json = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the tree to this HTML file, a new one, which opens without a server.", dir_okay=False),
    ] = None,
    most_text: Annotated[
        int, typer.Option(min=0, help="With --html: maximum size of the messages, in megabytes.")
    ] = 50,
) -> None:
    """Draw a conversation with all its branches; a run of turns without branches is one block.

    With --html, write the picture of the web UI to a file: every turn in full, searchable. The file loads nothing, and
    executes nothing that a model or user wrote.

    Answers under a pivot show their value and number of leaves, as last computed by `regraft pivots`.
    """
    from regraft.flows.evaluation.pivots import values_in_tree
    from regraft.flows.lineage import reading

    run = context()
    if html is not None:
        _write_html(run, session, html, most_text, json=json)
        return
    found = reading.tree(run.graph_dsn(), session)
    values = values_in_tree(run.workbench(), found.session["session_id"])
    rows = [
        {**row, **found.links.get(row["node_id"], _NO_LINKS), "values": values.get(row["node_id"], {})}
        for row in found.nodes
    ]
    if json:
        run.print_json([reading.values(row) for row in rows])
        return
    print_tree(run, found.session, rows)


def _write_html(run: CommandContext, session: str, file: Path, most_text: int, *, json: bool) -> None:
    from datetime import UTC, datetime

    from regraft.flows.lineage.tree_file import tree_document
    from regraft.presentation.web.tree_page import tree_page
    from regraft.version import __version__

    if file.exists():
        raise UsageError(f"{file} exists. Name another file.")
    now = datetime.now(UTC)
    found = tree_document(run.graph_dsn(), session, now=now, version=__version__, most_text=most_text * 1_000_000)
    page = "".join(tree_page(found.json, found.title))
    try:
        write_new_text(file, page)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
    size = file.stat().st_size
    if json:
        run.print_json({"file": str(file), "bytes": size, "messages": found.messages, "left_out": found.left_out})
        return
    run.console.print(
        f"{file}: {counted(found.messages, 'message')}, {size / 1e6:.1f} MB.", markup=False, highlight=False
    )
    if found.left_out:
        run.console.print(
            f"{counted(found.left_out, 'message', 'are')} left out: with them the file would hold over "
            f"{most_text} MB of text."
            " --most-text raises that."
        )


def print_tree(run: CommandContext, head: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Draw the rows of a session's tree; ``starts`` and ``started_by`` of a row are its links to other sessions."""
    below: dict[UUID | None, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        below[row["parent_node_id"]].append(row)
    title = head["external_id"] or short(head["session_id"])
    theme = f"  theme {head['theme']}" if head["theme"] else ""
    size = f"{counted(head['turns'], 'turn')}, {counted(head['nodes'], 'node')}"
    figures = f"[dim]{head['session_id']}{escape(theme)}  {size}[/]"
    if head["reward"] is not None:
        figures += (
            f"  [bold]outcome {figure(head['reward'])}[/] [dim]({escape(one_line(head['reward_source'], 30))})[/]"
        )
    drawn = Tree(f"◉ [bold]{escape(title)}[/]  {figures}", guide_style="dim")
    linked = any(row.get(way) for row in rows for way in _WAYS)
    waiting = [(row, drawn) for root in below[None] for row in reversed(below[root["node_id"]])]
    while waiting:
        row, place = waiting.pop()
        lines = [_line(row)]
        while len(children := below[row["node_id"]]) == 1:
            row = children[0]
            lines.append(_line(row))
        branch = place.add("\n".join(lines))
        waiting.extend((child, branch) for child in reversed(children))
    run.console.print(drawn)
    calls = any(row["called"] or row["asked_role"] in RESULT_ROLES for row in rows)
    pivot = any(value["pivot"] for row in rows for value in (row.get("values") or {}).values())
    run.console.print(f"[dim]{_LEGEND}{_CALLS if calls else ''}{_PIVOTS if pivot else ''}{_LINKS if linked else ''}[/]")


def _line(row: dict[str, Any]) -> str:
    mark = _MARKS.get(row["branch_kind"], "?")
    colour = {"ok": "green", "error": "red"}.get(row["node_status"], "yellow")
    runs = f" [bold]{row['runs']} x[/]" if row["runs"] > 1 else ""
    status = "" if row["node_status"] == "ok" else f" [{colour}]{row['node_status']}[/]"
    asked = escape(one_line(row["asked"] or "", 38))
    if row["asked_role"] in RESULT_ROLES:
        asked = f"[dim]{_RESULT}[/] {asked}"
    answer = escape(one_line(row["answer_text"] or "", 46))
    if row["called"]:
        room = 24 if answer else 46
        answer = f"{answer} [dim]{_CALL}[/] {escape(one_line(row['called'], room))}".strip()
    why = "" if row["branch_kind"] == "continuation" else f" [dim]({escape(one_line(row['branch_reason'], 46))})[/]"
    outcome = "" if row["reward"] is None else f" [bold]outcome {figure(row['reward'])}[/]"
    place = f"[bold cyan]{mark}[/] [dim]{short(row['node_id'])} {escape(one_line(row['model'] or '', 24))}[/]"
    return f"{place} {asked} [bold]→[/] {answer}{runs}{status}{outcome}{_values(row)}{_links(row)}{why}"


def _values(row: dict[str, Any]) -> str:
    """What an answer under a pivot came to, and the spread of its pivot."""
    marks = []
    for source, value in (row.get("values") or {}).items():
        if value["mean"] is not None:
            marks.append(f" [bold]{source} {value['mean']:.2f}[/] [dim]of {value['leaves']}[/]")
        if value["pivot"]:
            marks.append(f" [bold yellow]◆ spread {value['pivot']['spread']:.2f}[/]")
    return "".join(marks)


def _links(row: dict[str, Any]) -> str:
    """The sessions that a node is linked with, each once, by way."""
    marks = []
    for way, mark in _WAYS.items():
        others = dict.fromkeys(short(link["session_id"]) for link in row.get(way, ()))
        if others:
            marks.append(f" [bold magenta]{mark} {', '.join(others)}[/]")
    return "".join(marks)


def show(node: NodeArgument, json: Json = False) -> None:
    """Show a node: the history it was asked with, its answer, its runs, its judgements, its siblings, its
    rollouts, and its links."""
    from regraft.flows.evaluation.reading import judgements_of_node
    from regraft.flows.lineage import reading

    run = context()
    dsn = run.graph_dsn()
    detail = reading.node(dsn, node)
    found, siblings = detail.node, detail.alternatives
    judged = judgements_of_node(dsn, found["node_id"])
    parsed = [reading.values(row) for row in detail.runs]
    whole = reading.values(found)
    if json:
        others = [reading.values(row) for row in siblings]
        rollouts = plain(detail.rollouts)
        run.print_json(
            {
                **whole,
                "run_records": parsed,
                "alternatives": others,
                "rollouts": rollouts,
                **detail.links,
                "judgements": judged,
            }
        )
        return
    console = run.console
    place = f"{found['branch_kind']}, depth {found['depth']}: {found['branch_reason']}"
    console.print(f"[bold]{found['node_id']}[/]  {escape(place)}")
    parent = f"parent {found['parent_node_id'] or 'none'} ({found['parent_evidence']})"
    console.print(f"[dim]session {found['session_id']}  {parent}[/]\n")
    for message in whole["history"]:
        _print_message(run, message)
    for record in parsed[:1]:
        _print_message(run, record["answer"] or {"role": "error", "content": str(record["error"])}, bold=True)
    table = Table(title="runs", box=None, title_justify="left", pad_edge=False, header_style="bold")
    for name in ("run", "purpose", "model snapshot", "status", "tokens", "ms", "outcome"):
        table.add_column(name)
    for record in parsed:
        tokens = f"{record['prompt_tokens']} + {record['completion_tokens']}"
        values = (short(record["run_id"]), record["purpose"], record["model_snapshot_id"], record["run_status"], tokens)
        last = (f"{record['duration_ms']:.0f}", figure(record["reward"]))
        table.add_row(*(escape(str(value)) for value in values), *last)
    console.print(table)
    for each in judged:
        who = ": ".join(filter(None, (each["source"], each["annotator"])))
        kind = f" ({each['given_by']})" if each["given_by"] else ""
        console.print(
            f"judged [bold]{escape(each['name'])} {each['value']:g}[/] by {escape(who)}{kind}", highlight=False
        )
    if len(siblings) > 1:
        console.print(alternatives_table(siblings, title="answers under this anchor"))
    for each in detail.rollouts:
        console.print(rollout_line(each), highlight=False)
    for way, mark in _WAYS.items():
        for link in detail.links[way]:
            console.print(
                f"[bold magenta]{mark}[/] {way.replace('_', ' ')} session {link['session_id']}, node "
                f"{short(link['node_id'])}: {escape(link['detail'])} [dim]({link['evidence']})[/]",
                highlight=False,
            )


def rollout_line(row: Mapping[str, Any]) -> str:
    """How a rollout ended: answers, reason, fidelity, and where it first parted from the record."""
    true = "" if row["fidelity"] is None else f", fidelity {row['fidelity']:g}"
    parted = row["first_divergence"]
    where = f", parts in turn {parted['turn']} ({parted['kind']})" if parted else ", as recorded"
    detail = f": {row['stop_detail']}" if row["stop_detail"] else ""
    begun = f"rollout of {short(row['node_id'])}"
    return f"{begun}  {counted(row['steps'], 'answer')}{true}{where}; {row['stop_reason']}{escape(detail)}"


def _print_message(run: CommandContext, message: Any, *, bold: bool = False) -> None:
    from regraft.domain.capture.message import text_of

    role = message.get("role", "?") if isinstance(message, dict) else "?"
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    run.console.print(f"[bold cyan]{escape(str(role))}[/]{' [bold](this answer)[/]' if bold else ''}")
    _print_text(run, text_of(message))
    for call in calls or []:
        function = call.get("function") or {}
        _print_text(run, f"  calls {function.get('name')}({function.get('arguments')})")
    run.console.print()


def _print_text(run: CommandContext, text: str) -> None:
    """A text as it is; of a very long one the beginning and the end, and how much is between them."""
    if len(text) > MOST_SHOWN:
        half = MOST_SHOWN // 2
        left_out = f"\n… {len(text) - 2 * half:,} characters; --json prints them all …\n"
        text = f"{text[:half]}{left_out}{text[-half:]}"
    run.console.print(escape(text.replace("\x00", "\ufffd")), highlight=False)


def alternatives_table(rows: list[dict[str, Any]], title: str = "") -> Table:
    """Sibling answers side by side, in the order of their branch indexes."""
    table = Table(title=title or None, box=None, title_justify="left", pad_edge=False, header_style="bold")
    for name in ("#", "kind", "model", "node", "status", "tokens", "ms", "outcome", "answer"):
        right = name in ("#", "tokens", "ms", "outcome")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "answer")
    for row in rows:
        answer = row.get("answer_text") or ""
        table.add_row(
            str(row["branch_index"]),
            row["branch_kind"] + (" (replay)" if row["is_replay"] else ""),
            escape(row["model"]),
            short(row["node_id"]),
            row["run_status"],
            str(row["completion_tokens"] or ""),
            f"{row['duration_ms']:.0f}",
            figure(row.get("reward")),
            escape(one_line(answer, 70)),
        )
    return table


def path(node: NodeArgument, json: Json = False) -> None:
    """Print the path from the session's root to a node."""
    from regraft.flows.lineage import reading

    run = context()
    rows = reading.path(run.graph_dsn(), node)
    if json:
        run.print_json(rows)
        return
    for row in rows:
        run.console.print(
            f"{row['depth']:>4}  {_MARKS.get(row['branch_kind'], '?')} {row['node_id']}  {row['branch_kind']}"
        )


def short(value: UUID | None) -> str:
    """The start of an id, enough to find it again."""
    return str(value)[:SHORT] if value else ""


def figure(value: object) -> str:
    """A reward as it is read: plain text of a number or of a stored number, nothing where there is none."""
    return "" if value is None else f"{float(str(value)):g}"
