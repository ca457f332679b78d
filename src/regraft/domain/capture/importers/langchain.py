"""Messages as LangChain serialises them (``lc``, ``kwargs``), in the form that traces of other tools have."""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.importers.messages import tool_call
from regraft.domain.capture.importers.values import mapping, mappings, text

_ROLES = {
    "Human": "user",
    "AI": "assistant",
    "System": "system",
    "Tool": "tool",
    "Function": "function",
    "Chat": "user",
}


def plain_messages(value: Any) -> Any:
    """The value with each serialised message as a plain one, and lists of one list of messages as that list."""
    if isinstance(value, dict):
        if generations := value.get("generations"):
            return _generation(generations)
        if _is_serialised(value):
            return _message(value)
        for key in ("messages", "message", "output", "input"):
            if isinstance(value.get(key), list | dict):
                return {**value, key: plain_messages(value[key])}
        return value
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], list):
            return plain_messages(value[0])
        return [_message(each) if _is_serialised(each) else each for each in value]
    return value


def _is_serialised(value: Any) -> bool:
    return isinstance(mapping(value).get("kwargs"), dict) or isinstance(mapping(value).get("data"), dict)


def _message(value: dict[str, Any]) -> dict[str, Any]:
    inner = mapping(value.get("kwargs")) or mapping(value.get("data"))
    path = value.get("id")
    kind = text(path[-1]) if isinstance(path, list) and path else text(inner.get("type")) or text(value.get("type"))
    stem = kind.removesuffix("Chunk").removesuffix("Message")
    role = _ROLES.get(stem) or text(inner.get("role")) or text(inner.get("type")) or text(value.get("type"))
    more = {key: inner[key] for key in ("name", "tool_call_id") if inner.get(key)}
    if calls := mappings(inner.get("tool_calls")):
        more["tool_calls"] = [
            each if "function" in each else tool_call(each.get("id"), each.get("name"), each.get("args"))
            for each in calls
        ]
    extra = mapping(inner.get("additional_kwargs"))
    if extra.get("tool_calls") and "tool_calls" not in more:
        more["tool_calls"] = extra["tool_calls"]
    for key in ("reasoning_content", "refusal", "function_call"):
        if extra.get(key):
            more[key] = extra[key]
    return {"role": role, "content": inner.get("content"), **more}


def _generation(generations: Any) -> Any:
    first = generations
    while isinstance(first, list) and first:
        first = first[0]
    found = mapping(first)
    message = mapping(found.get("message"))
    return _message(message) if _is_serialised(message) else message or text(found.get("text"))
