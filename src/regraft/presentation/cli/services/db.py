"""``regraft db``: the truth's schema, and psql."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from typing import Annotated

import typer

from regraft.domain.errors import NotFoundError
from regraft.presentation.cli.context import context

app = typer.Typer(help="Manage PostgreSQL: migrate the schema, print the address, open psql.", no_args_is_help=True)


@app.command()
def migrate(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Apply pending migrations and list all that are applied."""
    from regraft.flows.schema import schema_state

    run = context()
    state = schema_state(run.new_postgres_dsn())
    if json:
        run.print_json(asdict(state))
        return
    for each in state.applied:
        run.console.print(f"{each.name}  [dim]applied {each.applied_at:%Y-%m-%d %H:%M:%S %Z}[/]")


@app.command()
def url() -> None:
    """Print the DSN with its password, for other tools."""
    run = context()
    print(run.postgres_dsn())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(arguments: typer.Context) -> None:
    """Open psql on the database; all arguments are passed to psql (``regraft db psql -c 'TABLE
    conversation_sessions'``)."""
    from regraft.infra.embedded.postgres_binaries import available

    run = context()
    program = shutil.which("psql") or next(
        (binaries.program("psql") for binaries in available() if shutil.which(binaries.program("psql"))), None
    )
    if program is None:
        raise NotFoundError("psql is not installed. `regraft db url` prints the DSN for other tools.")
    raise typer.Exit(subprocess.run([program, run.postgres_dsn(), *arguments.args], check=False).returncode)
