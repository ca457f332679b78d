"""Messages as reviewers see them: the content, without anything that identifies the model.

Ids of tool calls begin differently at each provider, and answers carry signatures, builds and separate annotations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regraft.domain.capture.message import Message

_SAID = ("role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "is_error")
_THOUGHT = ("reasoning_content", "reasoning", "thinking")
_IDS = frozenset({"id", "call_id", "tool_call_id", "tool_use_id"})
_TELLING = frozenset(
    {
        *("signature", "thought_signature", "thoughtSignature", "encrypted_content", "extra_content", "annotations"),
        *("model", "provider", "cache_control", "caller", "logprobs", "index", "status", "phase"),
    }
)
_HIDDEN_THOUGHTS = frozenset({"redacted_thinking"})
_ARGUMENTS = frozenset({"arguments", "input"})


class Blinder:
    """Takes the messages of one item, so that an id is the same in all of them: ``call 1`` and so on."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def copy(self) -> Blinder:
        """One that knows the same ids and learns others by itself."""
        other = Blinder()
        other._names = dict(self._names)
        return other

    def messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The same messages, with what is said in them only."""
        return [self.message(each) for each in messages]

    def message(self, message: Message) -> dict[str, Any]:
        """One message. What a model thought is its ``reasoning``, whatever its server calls it."""
        thought = next((text for name in _THOUGHT if isinstance(text := message.get(name), str) and text.strip()), None)
        if thought is None:
            thought = _detailed(message.get("reasoning_details"))
        said = {name: self._value(name, message[name]) for name in _SAID if message.get(name) is not None}
        said.setdefault("content", None)
        return said if thought is None else {**said, "reasoning": thought}

    def _value(self, name: str, value: Any) -> Any:
        if name in _IDS and isinstance(value, str):
            return self._names.setdefault(value, f"call {len(self._names) + 1}")
        if name in _ARGUMENTS:
            return value  # what a tool is called with may have fields of any name
        if isinstance(value, Mapping):
            return {key: self._value(key, each) for key, each in value.items() if key not in _TELLING}
        if isinstance(value, list):
            return [self._value("", each) for each in value if not _is_hidden(each)]
        return value


def _is_hidden(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _HIDDEN_THOUGHTS


def _detailed(details: Any) -> str | None:
    """What a list of details of a reasoning says in words."""
    parts = [each for each in details if isinstance(each, Mapping)] if isinstance(details, list) else []
    texts = [each.get("text") or each.get("summary") for each in parts]
    return "\n".join(text for text in texts if isinstance(text, str) and text.strip()) or None
