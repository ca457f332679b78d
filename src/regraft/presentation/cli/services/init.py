"""``regraft init``: a config file and a data folder, so that commands in this folder and below it find them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to prepare.")] = Path(),
    json: Json = False,
) -> None:
    """Write a commented regraft.toml and make the data folder. A file that exists is left as it is."""
    from regraft.infra.config.place import CONFIG_FILE, DATA_FOLDER
    from regraft.infra.files.settings_file import write_settings

    written = write_settings(folder)
    config, data = folder.resolve() / CONFIG_FILE, folder.resolve() / DATA_FOLDER
    run = context()
    if json:
        run.print_json({"config": config, "written": written, "data_dir": data})
        return
    run.console.print(f"{'Wrote' if written else 'Kept'} {config}; calls will be kept in {data}.", highlight=False)
    run.console.print("Next: `regraft up` captures calls, `regraft import FILE` reads an export.", highlight=False)
