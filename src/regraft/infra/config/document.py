"""Read a TOML document that a user wrote as an instance of its model."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from regraft.domain.errors import ConfigError
from regraft.infra.config.mistakes import config_error, located_mistakes
from regraft.infra.config.toml_lines import KeyPath, key_lines, line_of

_LINE = re.compile(r"\(at line (\d+)")
_WORD = re.compile(r"\w+")
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


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a text. ``line`` is from 1, None where it is about the whole; ``key`` is a path such as
    ``source.min_score``, '' where it is about no key."""

    line: int | None
    key: str
    message: str


def mistakes_of(text: str, model: type[BaseModel]) -> list[Mistake]:
    """What is wrong with a TOML text that should be an instance of ``model``; nothing where it is one."""
    try:
        table = parse_toml(text, "The text")
    except ConfigError as error:
        place = _LINE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        return [Mistake(line, "", str(error))]
    try:
        model.model_validate(table)
    except ValidationError as error:
        lines = key_lines(text)
        return [
            Mistake(_line(path, sentence, lines), ".".join(map(str, path)), sentence)
            for path, sentence in located_mistakes(error, model)
        ]
    return []


def _line(path: KeyPath, sentence: str, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a key; for a mistake about the whole, that of the first key or table in its message."""
    if path:
        return line_of(path, lines)
    named = ((word,) for word in _WORD.findall(sentence))
    return next((lines[one] for one in named if one in lines), None)


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
