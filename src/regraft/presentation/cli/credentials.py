"""Credentials as commands print them: virtual keys of the gateway and tokens of the web UI. Secrets are never shown."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rich.markup import escape
from rich.table import Table

from regraft.infra.files.secret_file import StoredSecret
from regraft.presentation.cli.context import context
from regraft.presentation.cli.tables import print_total

_Credential = TypeVar("_Credential", bound=StoredSecret)


def describe(credential: StoredSecret, **own: Any) -> dict[str, Any]:
    """A credential as JSON; ``own`` is what only its kind has."""
    return {
        "id": credential.key_id,
        "name": credential.name,
        **own,
        "created": _day(credential.created),
        "revoked": _day(credential.revoked) or None,
    }


def print_credentials(
    credentials: Sequence[_Credential], columns: Mapping[str, Callable[[_Credential], str]], total: int, noun: str
) -> None:
    """A table of some of the ``total`` credentials; ``columns`` are those that only their kind has."""
    console = context().console
    table = Table("id", "name", *columns, "made", "revoked")
    for each in credentials:
        own = [cell(each) for cell in columns.values()]
        table.add_row(*map(escape, (each.key_id, each.name, *own, _day(each.created), _day(each.revoked))))
    console.print(table)
    print_total(console, len(credentials), total, noun)


def print_revoked(credential: StoredSecret, described: dict[str, Any] | None) -> None:
    """Say that a credential is revoked: as JSON where it is ``described``."""
    run = context()
    if described is not None:
        run.print_json(described)
    else:
        run.console.print(f"Revoked {credential.key_id} ({escape(credential.name)}).")


def _day(seconds: int | None) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat() if seconds else ""
