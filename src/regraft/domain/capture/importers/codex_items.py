"""Items of the Responses API in a Codex rollout: which of them a model made, and what the others are as messages."""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.importers.messages import content_of, text_part
from regraft.domain.capture.importers.values import mapping, rest, text
from regraft.domain.ids import canonical_json

# What Codex itself puts before a turn, in the user's name.
_CONTEXT = (
    *("<environment_context>", "<user_instructions>", "# AGENTS.md instructions", "<turn_aborted>", "<skill>"),
    *("<user_shell_command>", "<subagent_notification>", "<permissions instructions>"),
)
_CALLS = frozenset({"function_call", "custom_tool_call"})
_UNSAID = frozenset({"ghost_snapshot", "additional_tools", "compaction_trigger", "other"})
_OF_OUTPUT = frozenset({"type", "call_id", "output", "id"})
_OF_MESSAGE = frozenset({"type", "role", "content", "id"})


def is_made_by_model(item: dict[str, Any]) -> bool:
    """Whether an item belongs to an answer."""
    kind = text(item.get("type")) or "message"
    if kind == "message":
        return item.get("role") == "assistant"
    if kind.endswith("_output"):
        return item.get("execution") == "server"
    return kind == "reasoning" or kind.endswith("_call")


def starts_again(items: list[Any], item: dict[str, Any]) -> bool:
    """Whether an item begins another answer: words without an id after words, with nothing between them."""
    words = text(item.get("type")) in ("", "message")
    return words and "id" not in item and any(text(known.get("type")) in ("", "message") for known in items)


def as_call(item: dict[str, Any]) -> dict[str, Any]:
    """A call that the client answers as the call of a function, whatever its own type is; any other item as it is."""
    kind = text(item.get("type"))
    if not kind.endswith("_call") or kind in _CALLS or not text(item.get("call_id")):
        return item
    named = {"type": "function_call", "call_id": item["call_id"], "name": kind.removesuffix("_call")}
    given = {key: value for key, value in item.items() if key not in ("type", "call_id", "id", "status")}
    return {**named, "arguments": canonical_json(given)}


def message_of(item: dict[str, Any]) -> dict[str, Any] | None:
    """Convert an item that no model made to a chat message; None for an item that is not a message."""
    kind = text(item.get("type")) or "message"
    if kind in _UNSAID:
        return None
    if kind.endswith("_output"):
        output = item.get("output")
        content = mapping(output).get("content") if isinstance(output, dict) else output
        if isinstance(content, list):
            written: Any = content_of([_part(part) for part in content])
        elif isinstance(content, str):
            written = content
        else:
            written = "" if output is None else canonical_json(output)
        more = rest(item, _OF_OUTPUT)
        made = {"role": "tool", "tool_call_id": text(item.get("call_id")), "content": written}
        return {**made, "item": {"type": kind, **more}} if more else made
    role = text(item.get("role"))
    if kind != "message" or role not in ("user", "system", "developer"):
        return None
    content = item.get("content")
    said = content_of([_part(part) for part in content]) if isinstance(content, list) else content
    more = rest(item, _OF_MESSAGE)
    return {"role": role, "content": said, **({"item": more} if more else {})}


def opens_turn(message: dict[str, Any]) -> bool:
    """Whether a message is from the user, and not one that Codex sent in the user's name."""
    content = message.get("content")
    first = content[0] if isinstance(content, list) and content else {}
    words = content if isinstance(content, str) else text(mapping(first).get("text"))
    return message["role"] == "user" and not words.lstrip().startswith(_CONTEXT)


def _part(part: Any) -> Any:
    kind = mapping(part).get("type")
    if kind in ("input_text", "output_text", "text") and isinstance(part.get("text"), str) and len(part) == 2:
        return text_part(part["text"])
    if kind == "input_image" and isinstance(part.get("image_url"), str) and len(part) == 2:
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    return part
