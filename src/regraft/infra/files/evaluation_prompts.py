"""Files of evaluation prompts: JSON Lines with any text fields, or plain text with one prompt to a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from regraft.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A file with its SHA-256 digest and its prompts: (line, text)."""

    name: str
    digest: str
    prompts: list[tuple[int, str]]


def read_prompts(name: str) -> PromptFile:
    """The prompts of a file; its path may be relative to the working folder. Raises ConfigError."""
    try:
        content = Path(name).read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The file of evaluation prompts {name} cannot be read: {reason}.") from error
    return PromptFile(name, sha256(content).hexdigest(), list(_prompts(text)))


def _prompts(text: str) -> Iterator[tuple[int, str]]:
    if text.lstrip().startswith("["):
        try:  # one JSON document: its items are the prompts
            for number, item in enumerate(orjson.loads(text), 1):
                yield from ((number, each) for each in _texts(item))
            return
        except orjson.JSONDecodeError:
            pass
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith(("{", "[", '"')):
            try:
                yield from ((number, each) for each in _texts(orjson.loads(stripped)))
                continue
            except orjson.JSONDecodeError:
                pass
        if stripped:
            yield number, stripped


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, without the names of its fields."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += reversed(one.values())
        elif isinstance(one, list):
            waiting += reversed(one)
