"""The form of Chat Completions messages in a target: which of their fields it has, and what it calls them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from regraft.domain.datasets.formats.json_text import json_object, line
from regraft.domain.datasets.messages import Message, RowRefusal, message_of

Record = dict[str, Any]

COMMON_ROLES = frozenset({"system", "user", "assistant", "tool"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageForm:
    """What the messages of a target can express. Anything else is refused, never dropped.

    ``arguments`` are an ``object``, ``json`` text that the target parses, or ``text`` that it keeps. ``reasoning`` and
    ``weight`` are the keys of what a model thought and of how much is learned from an answer, '' where there is none;
    ``weights`` are the values that the target knows beside the usual one. ``ids``: a call has to have an id.
    """

    roles: frozenset[str] = COMMON_ROLES
    arguments: Literal["object", "json", "text"] = "object"
    parts: bool = False
    names: bool = True
    calls: bool = True
    ids: bool = False
    reasoning: str = ""
    weight: str = ""
    weights: Mapping[float, Any] = field(default_factory=dict)

    def encode(self, message: Message) -> Record | RowRefusal:
        """A canonical message as the target takes it."""
        refusal = self._unsupported(message)
        if refusal:
            return refusal
        encoded: Record = {"role": message["role"]}
        if message["parts"]:
            encoded["content"] = [{"type": "text", "text": text} for text in message["parts"]]
        elif message["content"] is not None:
            encoded["content"] = message["content"]
        encoded |= {key: message[key] for key in ("tool_call_id", "name") if message[key] is not None}
        if message["reasoning"] is not None:
            encoded[self.reasoning] = message["reasoning"]
        if message["weight"] is not None:
            encoded[self.weight] = self.weights[message["weight"]]
        calls = []
        for call in message["tool_calls"]:
            arguments = json_object(call["function"]["arguments"])
            if isinstance(arguments, RowRefusal):
                return arguments
            said = arguments if self.arguments == "object" else call["function"]["arguments"]
            identity = {} if call["id"] is None else {"id": call["id"]}
            calls.append(
                {**identity, "type": "function", "function": {"name": call["function"]["name"], "arguments": said}}
            )
        if calls:
            encoded["tool_calls"] = calls
        return encoded

    def encode_all(self, messages: Iterable[Message]) -> list[Record] | RowRefusal:
        """Messages as the target takes them, or the first reason why it cannot."""
        encoded = []
        for message in messages:
            one = self.encode(message)
            if isinstance(one, RowRefusal):
                return one
            encoded.append(one)
        return encoded

    def decode(self, record: Mapping[str, Any]) -> Message:
        """A message of the target in canonical form; a key that a loader filled with null is an absent key."""
        content = record.get("content")
        more: dict[str, Any] = {key: record.get(key) for key in ("tool_call_id", "name")}
        if isinstance(content, list):
            more["parts"] = [part["text"] for part in content]
        more["tool_calls"] = [self._decode_call(call) for call in record.get("tool_calls") or ()]
        if self.reasoning:
            more["reasoning"] = record.get(self.reasoning)
        weight = record.get(self.weight) if self.weight else None
        if weight is not None and weight != 1:
            more["weight"] = float(weight)
        return message_of(record["role"], None if isinstance(content, list) else content, **more)

    def decode_all(self, records: Iterable[Mapping[str, Any]]) -> list[Message]:
        """Messages of the target in canonical form."""
        return [self.decode(record) for record in records]

    def _decode_call(self, call: Mapping[str, Any]) -> Record:
        arguments = call["function"]["arguments"]
        if self.arguments != "text":  # what a number loses in the target's parser it has to lose here
            arguments = line(json.loads(arguments) if isinstance(arguments, str) else arguments)
        return {
            "id": call.get("id"),
            "type": call["type"],
            "function": {"name": call["function"]["name"], "arguments": arguments},
        }

    def _unsupported(self, message: Message) -> RowRefusal | None:
        role = message["role"]
        if role not in self.roles:
            hint = '; `developer = "system"` in [content] helps' if role == "developer" else ""
            return RowRefusal("role_unsupported", f"there is no {role}{hint}")
        if message["parts"] and not self.parts:
            return RowRefusal("several_text_parts", "text parts are joined in different ways")
        if message["name"] is not None and not self.names:
            return RowRefusal("name_unsupported", "messages have no names")
        if message["reasoning"] is not None and not self.reasoning:
            return RowRefusal("reasoning_unsupported", "there is no field for what a model thought")
        if message["weight"] is not None and message["weight"] not in self.weights:
            return RowRefusal("message_weight", f"an answer has the weight {message['weight']:g}")
        if message["tool_calls"] and not self.calls:
            return RowRefusal("calls_unsupported", "messages have no tool calls")
        if not self.ids:
            return None
        if role == "tool" and not message["tool_call_id"]:
            return RowRefusal("call_without_id", "a result does not say which call it answers")
        if any(not call["id"] for call in message["tool_calls"]):
            return RowRefusal("call_without_id", "a call has no id")
        return None
