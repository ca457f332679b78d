"""``regraft open``: the page of the web UI, in a browser that is signed in by the owner's token."""

from __future__ import annotations

import html
import os
import socket
import webbrowser
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from regraft.domain.errors import NotFoundError, ServerStartError
from regraft.infra.files.owner_token import OwnerTokenFile
from regraft.presentation.cli.context import CommandContext, context

PAGE = "Page: "

_FILE = "open.html"
_PATIENCE = 5.0  # seconds


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("open", rich_help_panel="Services")(open_page)


def open_page(
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the address with the token, and open nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Open the web UI in the browser, signed in as the owner of the data folder."""
    run = context()
    _require_running(run.stack.web_url())
    url = signed_in_url(run)
    if json:
        run.print_json({"url": url})
    elif print_only or not _opened(run.data_dir, url):
        print(url)
    else:
        run.console.print(f"{PAGE}{run.stack.web_url()} (opened in the browser)", highlight=False, markup=False)


def signed_in_url(run: CommandContext) -> str:
    """The page's address with the owner's token in its fragment, which browsers send to no server.

    Raises NotFoundError where no web UI was ever started for the data folder: another one may listen at its address.
    """
    token = OwnerTokenFile(run.data_dir).current()
    if token is None:
        raise NotFoundError(f"No web UI was started for {run.data_dir.resolve()}: `regraft up` starts it.")
    return f"{run.stack.web_url()}/#key={token}"


def print_page(run: CommandContext) -> None:
    """Print the page's address: with the key on a terminal, without it where a log may keep it."""
    if run.console.is_terminal:
        run.console.print(f"\n{PAGE}{signed_in_url(run)}", highlight=False, markup=False, soft_wrap=True)
        run.console.print("      The address signs its reader in. `regraft open` opens it.", highlight=False)
    else:
        run.console.print(
            f"{PAGE}{run.stack.web_url()} (`regraft open` signs a browser in)", highlight=False, markup=False
        )


def _require_running(url: str) -> None:
    place = urlsplit(url)
    try:
        with socket.create_connection((place.hostname or "", place.port or 80), _PATIENCE):
            return
    except OSError as error:
        raise ServerStartError(f"Nothing listens at {url}: `regraft up` starts it.") from error


def _opened(folder: Path, url: str) -> bool:
    """Whether a browser was started. It gets a file of the data folder that leads to the page: a command line, which
    other accounts can list, never holds the key."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if isinstance(browser, webbrowser.GenericBrowser) and type(browser) is webbrowser.GenericBrowser:
        return False  # a browser of the terminal, which would take it over and runs no scripts
    path = folder.resolve() / _FILE
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(
            f'<!doctype html><meta charset="utf-8"><title>Regraft</title>'
            f'<meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0;url={html.escape(url)}"><p>Opening Regraft.</p>\n'
        )
    return browser.open(path.as_uri())
