"""Turn pydantic's ValidationError into a ConfigError that names each key, what is wrong, and what it may be."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from regraft.domain.errors import ConfigError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r"'([^']*)'")
_LONGEST_VALUE = 60  # characters of a wrong value that are shown
_MESSAGES = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "path_type": "must be the text of a path",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}


def config_error(error: ValidationError, model: type[BaseModel], source: str) -> ConfigError:
    """One ConfigError with a line for each mistake. ``source`` names the file at the start of each line.

    The value itself is shown unless its field is a secret.
    """
    return ConfigError("\n".join(f"{source}: {_sentence(model, item)}" for item in error.errors()))


def located_mistakes(error: ValidationError, model: type[BaseModel]) -> list[tuple[tuple[str | int, ...], str]]:
    """Each mistake as the path of its key and a sentence that names it."""
    return [(_Place.of(model, item["loc"]).parts, _sentence(model, item)) for item in error.errors()]


def _sentence(model: type[BaseModel], item: Mapping[str, Any]) -> str:
    place = _Place.of(model, item["loc"])
    name, kind, context = place.path(), item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{name} is unknown.{_known_keys(place)}"
    if kind == "missing":
        meaning = place.field.description if place.field and place.field.description else ""
        return f"{name} is missing{f': {meaning}' if meaning else ''}."
    if kind in ("value_error", "assertion_error"):
        return f"{name} {str(context.get('error', item['msg'])).rstrip('.')}.".lstrip()
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{name} must be a table: write [{name}]{_shown(place, item['input'])}."
    if kind == "string_too_short" and context["min_length"] == 1:
        return f"{name} must not be empty."
    if kind in _MESSAGES:
        expected = _MESSAGES[kind].format(**{key: _plain(bound) for key, bound in context.items()})
    else:
        expected = item["msg"].replace("Input should be", "must be", 1)
    near = _near(item["input"], _QUOTED.findall(context["expected"])) if kind == "literal_error" else ""
    return f"{name} {expected}{_shown(place, item['input'])}.{near}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a document a mistake is: its keys and positions, and what the model says about the last one."""

    parts: tuple[str | int, ...]
    field: FieldInfo | None  # the field that the last key belongs to; None for an unknown one
    siblings: tuple[str, ...]  # the keys that the table may have that holds the last key

    @classmethod
    def of(cls, model: type[BaseModel], location: Sequence[str | int]) -> _Place:
        """Follow a location of pydantic's through the model. Names of a union's branches are left out."""
        kinds: list[Any] = [model]
        parts: list[str | int] = []
        field: FieldInfo | None = None
        siblings: tuple[str | int, ...] = ()
        for position, part in enumerate(location):
            known = {key: one for kind in kinds if _is_model(kind) for key, one in _fields(kind).items()}
            inner = [each for kind in kinds for each in _items(kind, part)]
            if part in known:
                field, siblings, kinds = known[part], tuple(known), list(_members(known[part].annotation))
            elif inner:
                kinds = inner
            elif known and position == len(location) - 1:
                field, siblings, kinds = None, tuple(known), []
            else:
                continue  # the name of a union's branch, or of a validator
            parts.append(part)
        return cls(tuple(parts), field, tuple(str(each) for each in siblings))

    def path(self, *, last: str | None = None) -> str:
        """The path as a user writes it, e.g. ``prices."gpt-4.1".prompt``, ``variant[0].seed``."""
        parts = self.parts if last is None else (*self.parts[:-1], last)
        text = ""
        for part in parts:
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                key = part if _BARE_KEY.fullmatch(part) else '"' + part.replace('"', '\\"') + '"'
                text += f".{key}" if text else key
        return text


def _known_keys(place: _Place) -> str:
    last = str(place.parts[-1]) if place.parts else ""
    if near := get_close_matches(last, place.siblings, n=1):
        return f" Did you mean {place.path(last=near[0])}?"
    return f" Known: {', '.join(sorted(place.siblings))}." if place.siblings else ""


def _near(value: object, known: Sequence[str]) -> str:
    found = get_close_matches(value, known, n=1) if isinstance(value, str) else []
    return f" Did you mean {found[0]!r}?" if found else ""


def _shown(place: _Place, value: object) -> str:
    secret = place.field and any(kind in (SecretStr, SecretBytes) for kind in _members(place.field.annotation))
    if secret or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, bool):
        return f", not {str(value).lower()}"
    text = repr(value[: _LONGEST_VALUE + 1]) if isinstance(value, str) else str(value)
    return f", not {text if len(text) <= _LONGEST_VALUE + 2 else text[:_LONGEST_VALUE] + '...'}"


def _plain(bound: object) -> object:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str | int, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _members(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows, without ``Annotated`` and unions around them."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for each in get_args(annotation):
            yield from _members(each)
    else:
        yield annotation


def _items(kind: Any, part: str | int) -> Iterator[Any]:
    """The types of what a mapping or a list holds, where ``part`` can be one of its keys or positions."""
    origin, arguments = get_origin(kind), get_args(kind)
    if not isinstance(origin, type) or not arguments:
        return
    if isinstance(part, str) and issubclass(origin, Mapping):
        yield from _members(arguments[1])
    elif isinstance(part, int) and issubclass(origin, Sequence):
        yield from _members(arguments[0])
