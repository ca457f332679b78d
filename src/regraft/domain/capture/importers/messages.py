"""Messages in the form of the Chat Completions API, made from the pieces that other formats keep."""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.importers.conversation import Conversation, UnreadableConversationError
from regraft.domain.ids import canonical_json

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def content_of(parts: list[Any]) -> str | list[Any]:
    """Parts as content: a text alone is a string; anything else stays a list, verbatim."""
    if not parts:
        return ""
    only = parts[0] if len(parts) == 1 and isinstance(parts[0], dict) else {}
    plain = only.keys() == {"type", "text"} and only["type"] == "text" and isinstance(only["text"], str)
    return str(only["text"]) if plain else parts


def text_part(text: str) -> dict[str, Any]:
    """A text as a content part."""
    return {"type": "text", "text": text}


def tool_call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A call of a function. Arguments that came as a value are written as JSON text."""
    written = arguments if isinstance(arguments, str) else "{}" if arguments is None else canonical_json(arguments)
    call: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": written}}
    return {"id": call_id, **call} if call_id else call


def tool_list(definitions: Any) -> dict[str, Any]:
    """Tool definitions as a request component. A bare function is wrapped, as the API wants it."""
    if not isinstance(definitions, list) or not definitions:
        return {}
    wrapped = [
        {"type": "function", "function": each}
        if isinstance(each, dict) and "type" not in each and "name" in each
        else each
        for each in definitions
    ]
    return {"tools": wrapped}


def role_of(message: Any) -> str:
    """The role of a chat message. Raises UnreadableConversationError when it is not one."""
    if not isinstance(message, dict):
        raise UnreadableConversationError("a message that is not an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise UnreadableConversationError(f"a message with the role {role!r}"[:80])
    return role


def checked(conversation: Conversation) -> Conversation:
    """The conversation, if it says anything. Raises UnreadableConversationError when it does not."""
    if not conversation.said:
        raise UnreadableConversationError("no messages")
    return conversation
