"""``regraft diff`` and ``find``: two nodes side by side, and nodes by their words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from regraft.domain.errors import NotFoundError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.sessions import Json, one_line, short

_STYLES = {"same": "", "old": "red strike", "new": "green bold"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (diff, find):
        app.command()(command)


def diff(
    a: Annotated[str, typer.Argument(help="Node: id or start of an id.")],
    b: Annotated[str, typer.Argument(help="Another node.")],
    json: Json = False,
) -> None:
    """Say how the answers of two nodes differ, word by word, and what was changed in their requests."""
    from regraft.domain.ids import NodeId, parse_json
    from regraft.domain.message import text_of
    from regraft.domain.request import part_digest, system_digest, user_digest
    from regraft.domain.variant import Components, difference
    from regraft.domain.wording import likeness, word_diff
    from regraft.infra.postgres import reading
    from regraft.infra.postgres.pool import transaction
    from regraft.infra.postgres.replay import origins

    run = context()
    with transaction(run.postgres_dsn()) as connection:
        wanted = [NodeId(reading.resolve_node(connection, node)) for node in (a, b)]
        asked = {origin.node_id: origin for origin in origins(connection, set(wanted))}
        answers = [(reading.runs(connection, node) or [{"answer": None}])[0]["answer"] for node in wanted]
    missing = [node for node in wanted if node not in asked]
    if missing:
        raise NotFoundError(f"Node {missing[0]} is a root: nothing was asked there.")
    texts = [text_of(parse_json(answer)) if answer else "" for answer in answers]
    components = [
        Components(
            model=origin.model,
            sampling=origin.sampling,
            tools=origin.tools,
            tools_id=part_digest("tools", origin.tools),
            system=system_digest(list(origin.messages)),
            user=user_digest(list(origin.messages)),
        )
        for origin in (asked[node] for node in wanted)
    ]
    change = difference(*components)
    pieces = word_diff(*texts)
    alike = likeness(*texts)
    if json:
        run.print_json(
            {
                "a": wanted[0],
                "b": wanted[1],
                "request": {"kind": change.kind, "changes": change.config, "reason": change.reason},
                "likeness": alike,
                "answer": [asdict(piece) for piece in pieces],
            }
        )
        return
    run.console.print(f"requests: {change.reason}", highlight=False, markup=False)
    run.console.print(f"answers: {alike:.0%} alike\n", highlight=False)
    shown = Text()
    for piece in pieces:
        shown.append(piece.text.replace("\x00", "\ufffd"), style=_STYLES[piece.where])
    run.console.print(shown)


def find(
    text: Annotated[str, typer.Argument(help='Words, "phrases", or, -not.')],
    limit: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 20,
    json: Json = False,
) -> None:
    """Find nodes whose answer or last question holds the words."""
    from regraft.infra.postgres.finding import find as search
    from regraft.infra.postgres.pool import transaction

    run = context()
    with transaction(run.postgres_dsn()) as connection:
        rows: list[dict[str, Any]] = search(connection, text, limit)
    if json:
        run.print_json(rows)
        return
    if not rows:
        run.console.print("Nothing holds these words.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("node", "session", "in", "words"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        excerpt = Text(one_line(row["excerpt"], 90))
        table.add_row(short(row["node_id"]), short(row["session_id"]), row["place"], excerpt)
    run.console.print(table)
