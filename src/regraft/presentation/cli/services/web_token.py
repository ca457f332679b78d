"""``regraft web-token``: tokens of the web UI and its API, each of one tenant or of all."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from regraft.domain.errors import UsageError
from regraft.infra.files.web_tokens import Role, WebToken, WebTokenStore
from regraft.presentation.cli.context import context
from regraft.presentation.cli.credentials import describe, print_credentials, print_revoked
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.tables import Keys, arranged

app = typer.Typer(help="Create, list and revoke tokens of the web UI and its API.", no_args_is_help=True)

_KEYS: Keys = {name: attrgetter(name) for name in ("name", "scope", "role", "created")}


def tokens_path(data_dir: Path) -> Path:
    """The token file of a data folder."""
    return data_dir / "web-tokens.json"


def _store() -> WebTokenStore:
    settings = context().settings
    return WebTokenStore(settings.web.tokens_file or tokens_path(settings.data_dir))


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who uses the token.")],
    scope: Annotated[str | None, typer.Option(help="Tenant whose data it sees; without it: everything.")] = None,
    role: Annotated[
        Role | None,
        typer.Option(
            help="Role: a viewer reads, a reviewer also judges, an admin does everything.",
            show_default="viewer",
        ),
    ] = None,
    review: Annotated[bool, typer.Option("--review", help="The same as --role reviewer.", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Create a token and print it once; only its digest is stored. Once a token exists, every request needs one."""
    if review and role not in (None, "reviewer"):
        raise UsageError(f"--review makes a reviewer, --role {role} does not: give one of them.")
    if not name.strip() or (scope is not None and not scope.strip()):
        raise UsageError("A token needs a name, and a scope if any, that are not empty.")
    token, secret = _store().create(name, scope, role=role or ("reviewer" if review else "viewer"))
    run = context()
    if as_json:
        run.print_json({**_shown(token), "token": secret})
        return
    print(secret)
    run.console.print(
        f"Keep it: it is not shown again. Its id is {token.key_id}. Sign in with it, or send it as a Bearer token."
    )


@app.command("list")
def list_tokens(
    limit: Limit = 0,
    sort: Annotated[Literal["name", "scope", "role", "created"] | None, typer.Option(help=SORT)] = None,
    reverse: Reverse = False,
    as_json: Json = False,
) -> None:
    """List tokens. The tokens themselves are never shown."""
    run, every = context(), _store().all()
    tokens = arranged(every, limit, sort, keys=_KEYS, reverse=reverse).rows
    if as_json:
        run.print_json([_shown(token) for token in tokens])
        return
    print_credentials(tokens, _COLUMNS, len(every), "token")


@app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(help="Token: id or start of an id.")], as_json: Json = False
) -> None:
    """Revoke a token. Within two seconds it is refused, and browsers that signed in with it are signed out."""
    token = _store().revoke(token_id)
    print_revoked(token, _shown(token) if as_json else None)


_COLUMNS: dict[str, Callable[[WebToken], str]] = {
    "scope": lambda token: "(everything)" if token.scope is None else token.scope,
    "role": lambda token: token.role,
}


def _shown(token: WebToken) -> dict[str, Any]:
    return describe(token, scope=token.scope, role=token.role)
