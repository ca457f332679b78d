"""Secrets that the settings name and do not hold: they are in environment variables or files."""

from __future__ import annotations

import os
from pathlib import Path

from regraft.domain.errors import ConfigError


def secret_variable(name: str, user: str) -> str:
    """The value of an environment variable that ``user`` needs. Raises ConfigError when it is not set."""
    if value := os.environ.get(name):
        return value
    raise ConfigError(f"The variable {name} for {user} is not set.")


def secret_file(path: Path) -> str:
    """The secret in a file. Raises ConfigError when it cannot be read."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The key file {path} cannot be read: {reason}.") from error
