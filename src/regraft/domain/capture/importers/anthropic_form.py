"""Lines in the form of Anthropic's Messages API: ``system`` beside the messages, calls and results as blocks.

They are read as a captured request is, so that an import and a capture of one conversation are the same messages.
"""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.dialects import anthropic
from regraft.domain.capture.importers.conversation import UnreadableConversationError
from regraft.domain.capture.importers.values import mappings, text
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json

_BLOCKS = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking"})
_ROLES = frozenset({"user", "assistant", "system"})


def is_anthropic(line: dict[str, Any], messages: list[dict[str, Any]]) -> bool:
    """Whether messages hold blocks that only Anthropic's API has."""
    if isinstance(line.get("system"), list):
        return True
    return all(text(each.get("role")) in _ROLES for each in messages) and any(
        text(block.get("type")) in _BLOCKS for each in messages for block in mappings(each.get("content"))
    )


def chat_messages(messages: list[dict[str, Any]], tools: Any) -> tuple[list[Any], dict[str, Any]]:
    """The chat messages, and the tools as a request component."""
    request: dict[str, Any] = {"messages": messages}
    if isinstance(tools, list) and tools:
        request["tools"] = tools
    try:
        found = anthropic.read_request(canonical_json(request).encode())
    except CorruptEventError as error:
        raise UnreadableConversationError(str(error)) from error
    return list(found.messages), found.tools
