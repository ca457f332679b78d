"""Tool calls of an answer, each with the result that the history of a following call brings along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.message import Message, text_of
from regraft.domain.ids import canonical_json

RESULT_ROLES = ("tool", "function")
_ERROR_OPENINGS = ("error", "traceback", "exception", "fatal", "command failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedToolCall:
    """``position`` counts from 1 within the answer. ``result`` and ``is_error`` are None while nothing came back."""

    position: int
    call_id: str | None
    name: str
    arguments: str
    result: str | None
    is_error: bool | None


def pair_calls(answer: Message, following: Sequence[Message]) -> list[PairedToolCall]:
    """The calls of ``answer`` with their results among ``following``: the messages after it, up to the next answer.

    A result belongs to the call whose id it bears. Where no id fits at all, because a client rewrote them, results
    belong to the calls in order.
    """
    results = [message for message in following if message.get("role") in RESULT_ROLES]
    by_id: dict[Any, Message] = {}
    for result in results:
        by_id.setdefault(result.get("tool_call_id"), result)
    asked = _asked(answer)
    ids = {call_id for call_id, _, _ in asked if call_id is not None}
    in_order = not ids & by_id.keys()
    paired = []
    for place, (call_id, name, arguments) in enumerate(asked):
        found = by_id.get(call_id) if call_id is not None else None
        if in_order:
            found = results[place] if place < len(results) else None
        paired.append(
            PairedToolCall(
                position=place + 1,
                call_id=call_id,
                name=name,
                arguments=arguments,
                result=None if found is None else text_of(found),
                is_error=None if found is None else is_tool_error(found),
            )
        )
    return paired


def is_tool_error(message: Message) -> bool:
    """Whether a tool message reports a failure: by its flag ``is_error`` (Anthropic's), where it has one; else a JSON
    object with a truthy ``error`` or ``is_error``, or ``success: false``; or plain text that opens with a word such as
    "Error" or "Traceback"."""
    if message.get("role") != "tool":
        return False
    if isinstance(flag := message.get("is_error"), bool):
        return flag
    text = text_of(message).strip()
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return bool(value.get("error") or value.get("is_error") or value.get("success") is False)
    return text[:20].casefold().startswith(_ERROR_OPENINGS)


def _asked(answer: Message) -> list[tuple[str | None, str, str]]:
    calls = answer.get("tool_calls")
    if isinstance(calls, list):
        return [_call(call) for call in calls]
    legacy = answer.get("function_call")
    return [_call({"function": legacy})] if isinstance(legacy, Mapping) else []


def _call(call: Any) -> tuple[str | None, str, str]:
    """Id, name and arguments as text, from any dialect's shape."""
    if not isinstance(call, Mapping):
        return None, "", _text(call)
    identity = call.get("id")
    said = next((call[key] for key in ("function", "custom") if isinstance(call.get(key), Mapping)), call)
    arguments = next((said[key] for key in ("arguments", "input") if key in said), None)
    return (identity if isinstance(identity, str) else None), _text(said.get("name")), _text(arguments)


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else canonical_json(value)
