"""``regraft keys``: virtual keys for a gateway that other machines can reach."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from regraft.domain.errors import UsageError
from regraft.infra.files.keys import KeyStore, VirtualKey
from regraft.presentation.cli.context import context

keys_app = typer.Typer(help="Create, list and revoke virtual keys of the gateway.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def keys_path(data_dir: Path) -> Path:
    """The key file of a data folder."""
    return data_dir / "keys.json"


def _store() -> KeyStore:
    settings = context().settings
    return KeyStore(settings.gateway.keys_file or keys_path(settings.data_dir))


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Name of the client that uses the key.")],
    scope: Annotated[str, typer.Option(help="Tenant of its calls.")] = "default",
    model: Annotated[list[str] | None, typer.Option(help="Glob of the models it may call; repeatable.")] = None,
    per_minute: Annotated[int, typer.Option(min=0, help="Calls per minute, of all workers together; 0: no limit.")] = 0,
    max_concurrency: Annotated[
        int, typer.Option(min=0, help="Concurrent calls, of all workers together; 0: no limit.")
    ] = 0,
    paths: Annotated[
        list[str] | None,
        typer.Option(help="Glob of other paths it may call, e.g. '/v1/files*'; repeatable. None by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a key and print its secret once; only its digest is stored."""
    if not name.strip() or not scope.strip():
        raise UsageError("A key needs a name and a scope that are not empty.")
    key, secret = _store().create(name, scope, tuple(model or ["*"]), per_minute, max_concurrency, tuple(paths or ()))
    run = context()
    if as_json:
        run.print_json({**_shown(key), "key": secret})
        return
    print(secret)
    run.console.print(f"Keep it: it is not shown again. Its id is {key.key_id}; send it as a Bearer token.")


@keys_app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List keys. Secrets are never shown."""
    run, keys = context(), _store().all()
    if as_json:
        run.print_json([_shown(key) for key in keys])
        return
    table = Table("id", "name", "scope", "models", "other paths", "a minute", "at once", "made", "revoked")
    for key in keys:
        limits = [str(limit or "any") for limit in (key.per_minute, key.max_concurrency)]
        may = [" ".join(key.models), " ".join(key.paths)]
        cells = [key.key_id, key.name, key.scope, *may, *limits, _day(key.created), _day(key.revoked)]
        table.add_row(*map(escape, cells))
    run.console.print(table)


@keys_app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="Key: id or start of an id.")], as_json: Json = False) -> None:
    """Revoke a key. Running gateways refuse it within two seconds."""
    run, key = context(), _store().revoke(key_id)
    if as_json:
        run.print_json(_shown(key))
    else:
        run.console.print(f"Revoked {key.key_id} ({escape(key.name)}).")


def _shown(key: VirtualKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "scope": key.scope,
        "models": list(key.models),
        "paths": list(key.paths),
        "per_minute": key.per_minute,
        "max_concurrency": key.max_concurrency,
        "created": _day(key.created),
        "revoked": _day(key.revoked) or None,
    }


def _day(seconds: int | None) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat() if seconds else ""
