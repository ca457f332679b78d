"""Tool lists and calls of a row: what was offered, what was called, and which result answers which call."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.ids import canonical_json


def tool_list(part: Mapping[str, Any]) -> str | RowRefusal | None:
    """The tool list of a request's tool settings as JSON text, None when it offers none; or why it cannot be said."""
    tools = part.get("tools")
    if functions := part.get("functions"):
        if tools or not isinstance(functions, list):
            return RowRefusal("tools_unsupported", "functions beside tools" if tools else type(functions).__name__)
        tools = [{"type": "function", "function": function} for function in functions]
    if not tools:
        return None
    if not isinstance(tools, list):
        return RowRefusal("tools_unsupported", type(tools).__name__)
    for tool in tools:
        if (
            not isinstance(tool, Mapping)
            or tool.get("type") != "function"
            or not isinstance(tool.get("function"), dict)
        ):
            return RowRefusal("tools_unsupported", str(tool.get("type")) if isinstance(tool, Mapping) else "")
    return canonical_json(tools)


def broken_exchange(messages: Sequence[Message]) -> RowRefusal | None:
    """Why the calls and results of a history do not fit together; None when they do.

    A result belongs to the call whose id it bears; one without an id, or of a call without one, to the first call that
    waits. A result without a call, and a call without a result before the conversation continues, are refused: chat
    templates fail on them, or attribute their text to another role. Calls of the last message may wait.
    """
    waiting: OrderedDict[str, None] = OrderedDict()  # its first entry is found at once, however many were taken
    without_id = 0
    for message in messages:
        if message["role"] == "tool":
            asked = message["tool_call_id"]
            if asked in waiting:
                del waiting[asked]
            elif without_id:
                without_id -= 1
            elif not asked and waiting:
                waiting.popitem(last=False)
            else:
                return RowRefusal("tool_result_without_call", f"a result for {asked!r}"[:80])
            continue
        if waiting or without_id:
            return RowRefusal(
                "call_without_result", f"a message of {message['role']} follows a call that has no result"
            )
        for call in message["tool_calls"]:
            if call["id"]:
                waiting[call["id"]] = None
            else:
                without_id += 1
    if messages and messages[-1]["role"] == "tool" and (waiting or without_id):
        return RowRefusal("call_without_result", "not all parallel calls have results")
    return None


def unlisted_call(messages: Iterable[Message], tools: str | None) -> RowRefusal | None:
    """Why a row shows calls that its tool list does not explain; None when every called tool was offered.

    Without a tool list nothing is known of what was offered: imports often come without one.
    """
    if tools is None:
        return None
    called = {call["function"]["name"] for message in messages for call in message["tool_calls"]}
    if not called:
        return None
    missing = called - offered(tools)
    return RowRefusal("call_to_unlisted_tool", ", ".join(sorted(missing))[:80]) if missing else None


def offered(tools: str | None) -> frozenset[str]:
    """The names of the functions in a tool list."""
    listed = json.loads(tools) if tools else []
    return frozenset(str(tool["function"].get("name")) for tool in listed)
