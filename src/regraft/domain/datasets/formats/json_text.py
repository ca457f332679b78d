"""JSON text of exported rows: written with number literals as they were, read with what a target would lose named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.ids import Number, parse_json

_INT64 = 1 << 63


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def line(value: Any) -> str:
    """JSON text on one line, keys in their order and number literals as written (the order is part of what a model
    learns, so this is not the canonical form)."""
    try:
        return _ENCODE(value)
    except TypeError:  # there is a Number in it, whose literal stays as it was written
        return _with_literals(value)


def _with_literals(value: Any) -> str:
    if isinstance(value, Number):
        return value.literal
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_with_literals(one)}" for key, one in value.items())
            + "}"
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_with_literals, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def json_object(text: str) -> dict[str, Any] | RowRefusal:
    """The arguments of a call as an object with number literals; refused when they are none, or say a key twice."""
    if not text.strip():
        return RowRefusal("arguments_not_object", "empty")
    try:
        value = parse_json(text)
        json.loads(text, object_pairs_hook=_no_duplicates)
    except ValueError as error:
        return RowRefusal("arguments_not_object", str(error))
    if not isinstance(value, dict):
        return RowRefusal("arguments_not_object", type(value).__name__)
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def exact(value: Any, *, int64: bool) -> Any:
    """A JSON value with numbers by their exact value, so that only a real loss makes a difference.

    ``int64`` is for targets that load values into Arrow. Raises OverflowError for a number that it cannot hold.
    """
    if isinstance(value, Number):
        return ("number", Decimal(value.literal))
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        if int64 and not -_INT64 <= value < _INT64:
            raise OverflowError(f"{value} does not fit into 64 bits")
        return ("number", Decimal(value))
    if isinstance(value, list):
        return [exact(one, int64=int64) for one in value]
    return {key: exact(one, int64=int64) for key, one in value.items()}
