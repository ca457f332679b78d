"""The request that a conversation ends with, as one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regraft.domain.errors import UsageError


def prompt_of(messages: Sequence[Any]) -> str:
    """What a conversation asks for, as one text: its last user message, behind what was said before, if anything."""
    said = [(str(_get(each, "role") or ""), words(_get(each, "content"))) for each in messages]
    users = [place for place, (role, _) in enumerate(said) if role == "user"]
    if not users:
        raise UsageError("There is no user message that could be taskified.")
    last = users[-1]
    before = [f"{role}: {text}" for place, (role, text) in enumerate(said) if place != last and text]
    request = said[last][1]
    if not request.strip():
        raise UsageError("The last user message has no text that could be taskified.")
    return request if not before else "Said before:\n" + "\n".join(before) + f"\n\nThe request:\n{request}"


def words(content: Any) -> str:
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [_get(part, "text") for part in content]
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
