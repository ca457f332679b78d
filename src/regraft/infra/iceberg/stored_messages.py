"""Lists of canonical messages as an Arrow column, and back: column by column, because rows have many messages."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from regraft.domain.datasets.messages import MESSAGE_KEYS, Message

_TEXT = pa.string()
_CALL = pa.struct([("id", _TEXT), ("type", _TEXT), ("function", pa.struct([("name", _TEXT), ("arguments", _TEXT)]))])
MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", _TEXT),
            ("content", _TEXT),
            ("tool_calls", pa.list_(_CALL)),
            ("tool_call_id", _TEXT),
            ("name", _TEXT),
            ("parts", pa.list_(_TEXT)),
            ("reasoning", _TEXT),
            ("weight", pa.float64()),
        ]
    )
)


def messages_from(column: pa.Array) -> list[tuple[Message, ...]]:
    """The messages of each row; none where there is no list. A key that the column does not have is None."""
    lengths = pc.list_value_length(column).to_pylist()
    flat = column.flatten()
    fields = flat.type.names
    parts = dict(zip(fields, flat.flatten(), strict=True))
    values = [_values(parts[key]) if key in parts else [None] * len(flat) for key in MESSAGE_KEYS]
    role, content, calls, call_id, name, texts, reasoning, weight = values
    messages: list[Message] = [
        {
            "role": each[0],
            "content": each[1],
            "tool_calls": each[2],
            "tool_call_id": each[3],
            "name": each[4],
            "parts": each[5],
            "reasoning": each[6],
            "weight": each[7],
        }
        for each in zip(role, content, calls, call_id, name, texts, reasoning, weight, strict=True)
    ]
    found = []
    start = 0
    for length in lengths:
        end = start + (length or 0)
        found.append(tuple(messages[start:end]))
        start = end
    return found


def _values(column: pa.Array) -> list[Any]:
    """The values of a column. Of columns that hold next to nothing, as most of them do, few are looked at."""
    if column.null_count == len(column):
        return [None] * len(column)
    if isinstance(column, pa.ListArray | pa.LargeListArray) and not len(column.flatten()) and not column.null_count:
        return [[] for _ in range(len(column))]
    found: list[Any] = column.to_pylist()
    return found
