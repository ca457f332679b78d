"""``regraft db``: the schema of the database, psql, and the role for dashboards."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from regraft.domain.errors import NotFoundError, UsageError
from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import Json

app = typer.Typer(
    help="Manage PostgreSQL: migrate the schema, print the address, open psql, let Grafana read.", no_args_is_help=True
)


@app.command()
def migrate(json: Json = False) -> None:
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


@app.command()
def reader(
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file", help="File with the role's password; if unset, a new role gets one.", metavar="FILE"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Create the role for Grafana: it reads statistics of conversations but no content. Run it again after an
    upgrade."""
    from regraft.flows.dashboard_reader import make_dashboard_reader

    run = context()
    made = make_dashboard_reader(run.postgres_dsn(), _password(password_file))
    if json:
        run.print_json(asdict(made))
        return
    run.console.print(f"{made.role} may read {made.database} at {made.host}:{made.port}.", highlight=False)
    if made.password is not None:
        run.console.print(f"Its password, which is shown once: {made.password}", highlight=False, soft_wrap=True)


def _password(file: Path | None) -> str | None:
    """The first line of a file of passwords. Raises UsageError where it cannot be read or is empty."""
    if file is None:
        return None
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The password in {file} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if not lines or not lines[0]:
        raise UsageError(f"{file} has no password in its first line.")
    return lines[0]


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
