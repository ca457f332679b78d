"""A commented TOML file from its model: every key with its default and meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def example(model: type[BaseModel], values: Mapping[str, Any]) -> str:
    """The text of a file of ``model``. ``values`` are top-level keys that differ from their defaults; a key without a
    default and without a value here is left as a comment."""
    top: list[str] = []
    tables: list[str] = []
    for name, field in model.model_fields.items():
        value = values.get(name, _default(field))
        if isinstance(value, BaseModel):
            tables += _table(name, type(value))
        elif isinstance(value, dict):
            tables += [
                "",
                *_comment(field.description),
                f"[{name}]",
                *(f"{key} = {_toml(each)}" for key, each in value.items()),
            ]
        else:
            top += _key(name, field, value)
    return "\n".join([*top, *tables, ""])


def _table(name: str, model: type[BaseModel]) -> list[str]:
    keys: list[str] = []
    below: list[str] = []
    for key, field in model.model_fields.items():
        value = _default(field)
        if isinstance(value, BaseModel):
            below += _table(f"{name}.{key}", type(value))
        else:
            keys += _key(key, field, value)
    return ["", *_comment(model.__doc__), f"[{name}]", *keys, *below]


def _key(name: str, field: FieldInfo, value: Any) -> list[str]:
    written = f"{name} = {_toml(value)}" if value is not None else f"# {name} ="
    meaning = f"# {field.description}" if field.description else ""
    pad = " " * max(1, 36 - len(written))
    return [f"{written}{pad}{meaning}".rstrip()]


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _comment(text: str | None) -> list[str]:
    return [f"# {' '.join((text or '').split())}"] if text else []


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)
