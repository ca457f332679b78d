"""``regraft keys``: who may use the gateway, when it listens to more than this machine."""

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

keys_app = typer.Typer(help="Virtual keys of the gateway: make, list and revoke them.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def keys_path(data_dir: Path) -> Path:
    """Where a data folder's keys are."""
    return data_dir / "keys.json"


def _store() -> KeyStore:
    settings = context().settings
    return KeyStore(settings.gateway.keys_file or keys_path(settings.data_dir))


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whom it is for.")],
    scope: Annotated[str, typer.Option(help="The tenant that its calls belong to.")] = "default",
    model: Annotated[
        list[str] | None, typer.Option(help="A glob of models that it may ask for; may come again.")
    ] = None,
    per_minute: Annotated[int, typer.Option(min=0, help="Calls a minute for each gateway process; 0: any.")] = 0,
    max_concurrency: Annotated[int, typer.Option(min=0, help="Calls at once for each process; 0: any.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once: only its digest is kept."""
    if not name.strip() or not scope.strip():
        raise UsageError("A key needs a name and a scope that are not empty.")
    key, secret = _store().create(name, scope, tuple(model or ["*"]), per_minute, max_concurrency)
    run = context()
    if as_json:
        run.print_json({**_shown(key), "key": secret})
        return
    print(secret)
    run.console.print(f"Keep it now, it is not shown again. Its id is {key.key_id}; send it as a Bearer token.")


@keys_app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Show all keys, without what nobody knows any more: the keys themselves."""
    run, keys = context(), _store().all()
    if as_json:
        run.print_json([_shown(key) for key in keys])
        return
    table = Table("id", "name", "scope", "models", "a minute", "at once", "made", "revoked")
    for key in keys:
        limits = [str(limit or "any") for limit in (key.per_minute, key.max_concurrency)]
        told = [key.key_id, key.name, key.scope, " ".join(key.models), *limits, _day(key.created), _day(key.revoked)]
        table.add_row(*map(escape, told))
    run.console.print(table)


@keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")], as_json: Json = False
) -> None:
    """End a key. Running gateways notice within two seconds."""
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
        "per_minute": key.per_minute,
        "max_concurrency": key.max_concurrency,
        "created": _day(key.created),
        "revoked": _day(key.revoked) or None,
    }


def _day(seconds: int | None) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat() if seconds else ""
