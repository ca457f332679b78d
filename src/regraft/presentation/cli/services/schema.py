"""``regraft schema``: the JSON Schema of a file that a user writes."""

from __future__ import annotations

from typing import Annotated

import typer

from regraft.presentation.cli.context import context


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(schema)


def schema(
    name: Annotated[
        str | None,
        typer.Argument(help="A file (settings, experiment, recipe) or a settings table; without a name, list them."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON; a schema always is.")] = False,
) -> None:
    """Print the JSON Schema of a file that you write, for an editor or a validator."""
    from regraft.infra.files.schemas import MODELS, json_schema

    if name is not None:
        context().print_json(json_schema(name))
    elif json:
        context().print_json(list(MODELS))
    else:
        for each in MODELS:
            print(each)
