"""A new config file: every setting as a comment, with its default and what it means."""

from __future__ import annotations

from pathlib import Path

from regraft.infra.config.example import example
from regraft.infra.config.place import CONFIG_FILE, DATA_FOLDER
from regraft.infra.data_folder import make_data_folder
from regraft.infra.files.new_file import write_new_text
from regraft.infra.settings import Settings

_HEAD = f"""\
# Settings of Regraft: every key is a comment that shows its default. Remove the `#` in front of what you change.
# Commands find this file from its folder and from the folders below it; calls are kept in {DATA_FOLDER} beside it.
# A variable such as REGRAFT_GATEWAY__PORT=4711 wins over this file.

# Model servers, one section each. Without any, a small local model answers.
# [upstreams.ollama]
# base_url = "http://127.0.0.1:11434/v1"
# [upstreams.hosted]
# base_url = "https://api.example.com/v1"
# api_key_env = "HOSTED_API_KEY"          # the variable that holds its key
# models = ["gpt-*"]                      # globs of the models that it serves

"""


def settings_example() -> str:
    """The text of a config file that changes nothing."""
    tables = {name for name, field in Settings.model_fields.items() if field.default == {}}
    lines = []
    for line in example(Settings, {"data_dir": DATA_FOLDER}).split("\n"):
        if line.strip("[]") in tables:
            line = f"# {line}"  # a table of sections of one's own
        lines.append(line if not line or line.startswith(("#", "[")) else f"# {line}")
    return _HEAD + "\n".join(lines)


def write_settings(folder: Path) -> bool:
    """Make the data folder of a folder, and its config file where there is none; whether the file was written."""
    folder.mkdir(parents=True, exist_ok=True)
    make_data_folder(folder / DATA_FOLDER)
    try:
        write_new_text(folder / CONFIG_FILE, settings_example())
    except FileExistsError:
        return False
    return True
