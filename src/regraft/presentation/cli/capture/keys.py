"""``regraft keys``: virtual keys for a gateway that other machines can reach."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from regraft.domain.errors import UsageError
from regraft.infra.files.keys import KeyStore, VirtualKey
from regraft.presentation.cli.context import context
from regraft.presentation.cli.credentials import describe, print_credentials, print_revoked
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.tables import Keys, arranged

keys_app = typer.Typer(help="Create, list and revoke virtual keys of the gateway.", no_args_is_help=True)

_KEYS: Keys = {name: attrgetter(name) for name in ("name", "scope", "created")}


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
    file: Annotated[
        Path | None,
        typer.Option(help="Write the secret to this new file for its owner; do not print it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a key and print its secret once; only its digest is stored."""
    if not name.strip() or not scope.strip():
        raise UsageError("A key needs a name and a scope that are not empty.")
    run = context()
    with _written(file) as written:
        key, secret = _store().create(
            name, scope, tuple(model or ["*"]), per_minute, max_concurrency, tuple(paths or ())
        )
        written.write(f"{secret}\n")
    if as_json:
        run.print_json({**_shown(key), **({"file": file} if file is not None else {"key": secret})})
        return
    if file is not None:
        run.console.print(f"The key is in {file}. Its id is {key.key_id}; it is sent as a Bearer token.")
        return
    print(secret)
    run.console.print(f"Keep it: it is not shown again. Its id is {key.key_id}; send it as a Bearer token.")


@contextlib.contextmanager
def _written(file: Path | None) -> Iterator[TextIO]:
    """A new file that only its owner can read. It is created before the key, and removed if no key is made."""
    if file is None:
        yield io.StringIO()
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{file} exists already: name a new file, so that no key is lost.") from error
    try:
        with os.fdopen(descriptor, "w") as opened:
            yield opened
    except BaseException:
        file.unlink(missing_ok=True)
        raise


@keys_app.command("list")
def list_keys(
    limit: Limit = 0,
    sort: Annotated[Literal["name", "scope", "created"] | None, typer.Option(help=SORT)] = None,
    reverse: Reverse = False,
    as_json: Json = False,
) -> None:
    """List keys. Secrets are never shown."""
    run, every = context(), _store().all()
    keys = arranged(every, limit, sort, keys=_KEYS, reverse=reverse).rows
    if as_json:
        run.print_json([_shown(key) for key in keys])
        return
    print_credentials(keys, _COLUMNS, len(every), "key")


@keys_app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="Key: id or start of an id.")], as_json: Json = False) -> None:
    """Revoke a key. Running gateways refuse it within two seconds."""
    key = _store().revoke(key_id)
    print_revoked(key, _shown(key) if as_json else None)


def _limit(most: int) -> str:
    return str(most or "any")


_COLUMNS: dict[str, Callable[[VirtualKey], str]] = {
    "scope": lambda key: key.scope,
    "models": lambda key: " ".join(key.models),
    "other paths": lambda key: " ".join(key.paths),
    "a minute": lambda key: _limit(key.per_minute),
    "at once": lambda key: _limit(key.max_concurrency),
}


def _shown(key: VirtualKey) -> dict[str, Any]:
    return describe(
        key,
        scope=key.scope,
        models=list(key.models),
        paths=list(key.paths),
        per_minute=key.per_minute,
        max_concurrency=key.max_concurrency,
    )
