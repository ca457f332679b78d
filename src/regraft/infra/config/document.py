"""Read a TOML document that a user wrote as an instance of its model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from regraft.domain.errors import ConfigError
from regraft.infra.config.mistakes import config_error

_Model = TypeVar("_Model", bound=BaseModel)


def parse_document(text: str, source: str, model: type[_Model]) -> _Model:
    """An instance of ``model`` from TOML text. ``source`` names the text in errors.

    Raises ConfigError with a line for each mistake: the key's path, what is wrong with it, what it may be.
    """
    table = parse_toml(text, source)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise config_error(error, model, source) from error


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError when it cannot be read."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}.") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """The tables of TOML text. Raises ConfigError when it is not TOML."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise ConfigError(f"{source} is not valid TOML: its values are nested too deeply.") from error
    except ValueError as error:
        raise ConfigError(f"{source} is not valid TOML: {str(error).rstrip('.')}.") from error
