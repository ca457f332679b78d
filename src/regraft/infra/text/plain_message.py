"""Messages of the plain form: a role, a text, names, calls of functions, and nothing else.

Most messages have it. They are read into canonical form in one step, at a tenth of the cost of parsing JSON that may be
anything; every other text is left to ``canonical_message``, which says what is wrong with it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from regraft.domain.datasets.messages import Message


class _Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    function: _Function
    id: str | None = None
    type: Literal["function"] = "function"


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None


_decode = msgspec.json.Decoder(_Plain).decode


def plain_message(text: str) -> Message | None:
    """The canonical form of a message's JSON text; None where it is not of the plain form."""
    try:
        found = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):  # a lone surrogate, as characters, is a ValueError
        return None
    if found.tool_calls:
        if not all(call.function.name for call in found.tool_calls):
            return None
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in found.tool_calls
        ]
    else:
        calls = []
    if found.content is None and not (calls and found.role == "assistant"):
        return None
    return {
        "role": found.role,
        "content": found.content,
        "tool_calls": calls,
        "tool_call_id": found.tool_call_id,
        "name": found.name,
        "parts": None,
        "reasoning": None,
        "weight": None,
    }
