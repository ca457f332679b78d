"""The guidelines for reviewers: the file that the settings name, else the built-in one."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from regraft.domain.errors import ConfigError


def read_guidelines(path: Path | None) -> str:
    """Guidelines as Markdown. Raises ConfigError when the file cannot be read."""
    if path is None:
        return files("regraft").joinpath("guidelines", "default.md").read_text("utf-8")
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"The guidelines {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The guidelines {path} are not UTF-8 text: {error}.") from error
