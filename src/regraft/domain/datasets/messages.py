"""Messages in canonical form: what a dataset row keeps of a wire message, and why some messages have no such form.

A canonical message has exactly the keys of ``Message``. Arguments of calls are the text that crossed the wire.
Reasoning and the weight of an answer are kept beside its content. Several text parts stay apart, because targets join
them in different ways. Fields that carry nothing for a trainer are dropped, and their names are reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from regraft.domain.ids import Number, canonical_json

Message = dict[str, Any]  # keys as in ``MESSAGE_KEYS``

# The form of the first snapshots, and what was added to it: absent where it is None, so that old digests still hold.
FIRST_KEYS = ("role", "content", "tool_calls", "tool_call_id", "name")
ADDED_KEYS = ("parts", "reasoning", "weight")
MESSAGE_KEYS = (*FIRST_KEYS, *ADDED_KEYS)

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_REASONING = ("reasoning_content", "reasoning", "thinking")
# Names under which data sets say how much a trainer should learn from a message: 1 or true is as from any other.
_WEIGHTS = ("weight", "train", "training", "trainable", "loss", "loss_weight", "loss_mask")
_READ = frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "function_call", "reasoning_details"})


@dataclass(frozen=True, slots=True)
class RowRefusal:
    """Why a row is not made: ``reason`` is a code that is counted, ``detail`` is for people."""

    reason: str
    detail: str = ""


def message_of(role: str, content: str | None, **more: Any) -> Message:
    """A canonical message; what is not given is absent (``tool_calls`` is an empty list)."""
    message: Message = dict.fromkeys(MESSAGE_KEYS)
    message |= {"role": role, "content": content, "tool_calls": [], **more}
    return message


def dropped_fields(body: Any) -> set[str]:
    """The fields of a wire message that a row leaves out although they hold something."""
    if not isinstance(body, Mapping):
        return set()
    extra = {key for key, value in body.items() if key not in _READ and value not in (None, "", [], {})}
    if not extra:
        return extra
    if body.get("role") == "assistant":
        extra -= set(_WEIGHTS)
    if _reasoning(body) is not None:
        extra -= {key for key in _REASONING if isinstance(body.get(key), str)}
    return extra


def canonical_message(body: Any) -> Message | RowRefusal:
    """A wire message in canonical form, or why it has none. One text part counts as its text."""
    if not isinstance(body, Mapping):
        return RowRefusal("not_a_message", type(body).__name__)
    role = "tool" if body.get("role") == "function" else body.get("role")
    if not isinstance(role, str) or role not in ROLES:
        return RowRefusal("role_unsupported", f"role {role!r}")
    if body.get("audio"):
        return RowRefusal("content_not_text", "audio")
    parts = _texts(body.get("content"))
    if isinstance(parts, RowRefusal):
        return parts
    calls = _calls(body.get("tool_calls") or _legacy_calls(body.get("function_call")))
    if isinstance(calls, RowRefusal):
        return calls
    if not parts and not (role == "assistant" and calls):
        return RowRefusal("no_answer" if role == "assistant" else "no_content", f"a message of {role} has no content")
    call_id, name = body.get("tool_call_id"), body.get("name")
    if not isinstance(call_id, str | None) or not isinstance(name, str | None):
        return RowRefusal("not_a_message", "a name or call id that is not text")
    reasoning = weight = None
    if role == "assistant":
        reasoning, weight = _reasoning(body), _weight(body)
        if isinstance(weight, RowRefusal):
            return weight
    texts = [*parts, call_id or "", name or "", reasoning or ""]
    for call in calls:
        texts += (call["id"] or "", call["function"]["name"], call["function"]["arguments"])
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return RowRefusal("not_unicode", "a lone surrogate")
    return {
        "role": role,
        "content": parts[0] if len(parts) == 1 else None,
        "tool_calls": calls,
        "tool_call_id": call_id,
        "name": name,
        "parts": parts if len(parts) > 1 else None,
        "reasoning": reasoning,
        "weight": weight,
    }


def canonical_messages(bodies: Iterable[Any]) -> tuple[Message, ...] | RowRefusal:
    """A history in canonical form, or the first reason why it has none."""
    found = []
    for body in bodies:
        message = canonical_message(body)
        if isinstance(message, RowRefusal):
            return message
        found.append(message)
    return tuple(found)


def text_of(message: Message) -> str:
    """The text of a canonical message, its parts one per line."""
    return message["content"] or "\n".join(message["parts"] or ())


def says_nothing(messages: Iterable[Message]) -> bool:
    """Whether canonical messages contain neither text nor a call. Reasoning alone is not an answer."""
    return not any(text_of(message).strip() or message["tool_calls"] for message in messages)


def compact(message: Message) -> Message:
    """A canonical message without the added keys that hold nothing: the form that digests are made of."""
    return {key: value for key, value in message.items() if value is not None or key not in ADDED_KEYS}


def _texts(content: Any) -> list[str] | RowRefusal:
    """The text parts of a content: none for null, one for text."""
    if content is None:
        return []
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return RowRefusal("content_not_text", type(content).__name__)
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            return RowRefusal("content_not_text", str(part.get("type")) if isinstance(part, Mapping) else "")
        texts.append(part["text"])
    return texts


def _reasoning(body: Mapping[str, Any]) -> str | None:
    """What the model thought, as text: the first field that holds any. Summaries and encrypted blocks are not text."""
    for key in _REASONING:
        value = body.get(key)
        if isinstance(value, str) and value.strip():
            return value
    details = body.get("reasoning_details")
    if not isinstance(details, list):
        return None
    texts = [one.get("text") for one in details if isinstance(one, Mapping) and one.get("type") == "reasoning.text"]
    joined = "".join(text for text in texts if isinstance(text, str))
    return joined if joined.strip() else None


def _weight(body: Mapping[str, Any]) -> float | RowRefusal | None:
    """How much a trainer should learn from an answer; None is as much as from any other. The least of several
    counts."""
    found = []
    for key in _WEIGHTS:
        value = body.get(key)
        if value is None:
            continue
        if not isinstance(value, bool | int | Number):
            return RowRefusal("message_weight", f"{key} is {str(value)[:40]!r}, which is not a number")
        try:
            number = float(value)
        except (OverflowError, ValueError):
            number = math.inf
        if not 0.0 <= number < math.inf:
            return RowRefusal("message_weight", f"{key} is {str(value)[:40]}, which is not a weight")
        found.append(number)
    least = min(found, default=1.0)
    return None if least == 1.0 else least


def _legacy_calls(call: Any) -> list[dict[str, Any]]:
    """The one call of the API's older form, which has no id."""
    return [{"type": "function", "function": call}] if call else []


def _calls(calls: Any) -> list[dict[str, Any]] | RowRefusal:
    if not calls:
        return []
    if not isinstance(calls, list):
        return RowRefusal("call_not_function", type(calls).__name__)
    found = []
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or call.get("type", "function") != "function":
            return RowRefusal("call_not_function", str(call.get("type")) if isinstance(call, Mapping) else "")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = canonical_json({} if arguments is None else arguments)
        name = function.get("name")
        if not isinstance(call.get("id"), str | None):
            return RowRefusal("call_not_function", "an id that is not text")
        if not isinstance(name, str) or not name:
            return RowRefusal("call_without_name")
        found.append({"id": call.get("id"), "type": "function", "function": {"name": name, "arguments": arguments}})
    return found
