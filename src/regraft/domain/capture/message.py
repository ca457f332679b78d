"""A chat message as it crossed the wire, and the text in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.domain.ids import canonical_json

Message = Mapping[str, Any]


def messages_of(value: Any) -> list[Message]:
    """Captured messages as mappings: what a client sent instead of an object reads as its JSON text, of no role."""
    return [
        one if isinstance(one, Mapping) else {"role": "unknown", "content": canonical_json(one)} for one in value or []
    ]


def text_of(message: Any) -> str:
    """The readable text of a message: its content string, or its text parts one per line."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""
