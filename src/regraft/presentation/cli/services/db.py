"""``regraft db``: the truth's schema, and psql."""

from __future__ import annotations

import shutil
import subprocess
from typing import Annotated

import typer

from regraft.domain.errors import NotFoundError
from regraft.presentation.cli.context import context

app = typer.Typer(help="The truth (PostgreSQL): its schema, its address, psql.", no_args_is_help=True)


@app.command()
def migrate(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Bring the schema up to date and say where it stands."""
    from regraft.infra.postgres.migrate import migrations
    from regraft.infra.postgres.pool import transaction

    run = context()
    with transaction(run.postgres_dsn()) as connection:
        applied = connection.execute("SELECT name, applied_at FROM schema_migration ORDER BY number").fetchall()
    if json:
        run.print_json({"applied": applied, "known": [migration.name for migration in migrations()]})
        return
    for row in applied:
        run.console.print(f"{row['name']}  [dim]applied {row['applied_at']:%Y-%m-%d %H:%M:%S %Z}[/]")


@app.command()
def url() -> None:
    """Print the DSN, password included: for your own tools."""
    run = context()
    print(run.postgres_dsn())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(arguments: typer.Context) -> None:
    """Open psql on the truth; all arguments are psql's (``regraft db psql -c 'TABLE conversation_sessions'``)."""
    from regraft.infra.embedded.postgres_binaries import available

    run = context()
    program = shutil.which("psql") or next(
        (binaries.program("psql") for binaries in available() if shutil.which(binaries.program("psql"))), None
    )
    if program is None:
        raise NotFoundError("There is no psql on this machine; the DSN for other tools: `regraft db url`.")
    raise typer.Exit(subprocess.run([program, run.postgres_dsn(), *arguments.args], check=False).returncode)
