"""A dataset row in canonical form, as it is frozen; every format is written from it.

A canonical message has exactly the keys role, content, tool_calls (a list), tool_call_id and name; arguments are the
text that crossed the wire. A message that this form cannot express is refused with a reason. Fields that carry nothing
for a trainer are dropped, and their names are reported.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from regraft.domain.ids import Number, canonical_json

Message = dict[str, Any]

ROLES = frozenset({"system", "user", "assistant", "tool"})
KEPT = frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "function_call"})
# Names under which data sets say how much a trainer shall learn from a message: 1 or true is as from any other.
_TRAINING = ("weight", "train", "training", "trainable", "loss", "loss_weight", "loss_mask")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RowRefusal:
    """Why a row is not made: ``reason`` is a code that is counted, ``detail`` is for people."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RowSource:
    """Where a part of a row comes from: ``part`` is answer, chosen or rejected; ids are those of node and turn."""

    part: str
    node_id: str
    turn_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row with its certificate. Which of the four lists of messages are filled depends on ``kind``.

    ``tools`` is the tool list as JSON text, None when there was none; ``margin`` and ``score`` are 0 to 1.
    """

    row_id: str
    kind: str
    session_id: str
    sources: tuple[RowSource, ...]
    messages: tuple[Message, ...] = ()
    prompt: tuple[Message, ...] = ()
    chosen: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    tools: str | None = None
    tools_digest: str | None = None
    anchor: str | None = None
    label_source: str = ""
    margin: float = 0.0
    score: float = 0.0


def dropped_fields(body: Any) -> set[str]:
    """The fields of a wire message that a row leaves out although they hold something."""
    if not isinstance(body, Mapping):
        return set()
    return {key for key, value in body.items() if key not in KEPT and value not in (None, "", [], {})}


def canonical_message(body: Any) -> Message | RowRefusal:
    """A wire message in canonical form, or why it has none. One text part counts as its text."""
    if not isinstance(body, Mapping):
        return RowRefusal("not_a_message", type(body).__name__)
    role = "tool" if body.get("role") == "function" else body.get("role")
    if not isinstance(role, str) or role not in ROLES:
        return RowRefusal("role_unsupported", f"role {role!r}")
    if body.get("audio"):
        return RowRefusal("content_not_text", "audio")
    content = _content(body.get("content"))
    if isinstance(content, RowRefusal):
        return content
    calls = _calls(body.get("tool_calls") or _legacy_calls(body.get("function_call")))
    if isinstance(calls, RowRefusal):
        return calls
    if content is None and not (role == "assistant" and calls):
        return RowRefusal("no_answer" if role == "assistant" else "no_content", f"a message of {role} says nothing")
    if not all(isinstance(body.get(key), str | None) for key in ("tool_call_id", "name")):
        return RowRefusal("not_a_message", "a name or call id that is no text")
    message = {
        "role": role,
        "content": content,
        "tool_calls": calls,
        "tool_call_id": body.get("tool_call_id"),
        "name": body.get("name"),
    }
    if _LONE_SURROGATE.search(json.dumps(message, ensure_ascii=False)):
        return RowRefusal("not_unicode", "a lone surrogate")
    return message


def _content(content: Any) -> str | RowRefusal | None:
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        return RowRefusal("content_not_text", type(content).__name__)
    if not content:
        return None
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            return RowRefusal("content_not_text", str(part.get("type")) if isinstance(part, Mapping) else "")
        texts.append(part["text"])
    if len(texts) > 1:
        return RowRefusal("several_text_parts", "targets join text parts in different ways")
    return str(texts[0])


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
            return RowRefusal("call_not_function", "an id that is no text")
        if not isinstance(name, str) or not name:
            return RowRefusal("call_without_name")
        found.append({"id": call.get("id"), "type": "function", "function": {"name": name, "arguments": arguments}})
    return found


def canonical_messages(bodies: Iterable[Any]) -> tuple[Message, ...] | RowRefusal:
    """A history in canonical form, or the first reason why it has none."""
    found = []
    for body in bodies:
        message = canonical_message(body)
        if isinstance(message, RowRefusal):
            return message
        found.append(message)
    return tuple(found)


def result_without_call(messages: Iterable[Message]) -> RowRefusal | None:
    """Why a history cannot be shown to a model: a tool's result that no call before it asked for.

    A result belongs to the call whose id it bears; one without an id, or of a call without one, to the first call that
    waits. Chat templates fail on others, or show them as words of nobody.
    """
    waiting: OrderedDict[str, None] = OrderedDict()  # whose first entry is found at once, however many were taken
    without_id = 0
    for message in messages:
        for call in message["tool_calls"]:
            if call["id"]:
                waiting[call["id"]] = None
            else:
                without_id += 1
        if message["role"] != "tool":
            continue
        asked = message["tool_call_id"]
        if asked in waiting:
            del waiting[asked]
        elif without_id:
            without_id -= 1
        elif not asked and waiting:
            waiting.popitem(last=False)
        else:
            return RowRefusal("tool_result_without_call", f"a result for {asked!r}"[:80])
    return None


def is_weighted(body: Any) -> bool:
    """Whether a message says that a trainer shall learn nothing from it, or more or less than from others."""
    if not isinstance(body, Mapping) or body.get("role") != "assistant":
        return False
    return any(_is_other_than_one(body.get(key)) for key in _TRAINING)


def _is_other_than_one(value: Any) -> bool:
    if not isinstance(value, bool | int | Number):
        return False
    try:
        return float(value) != 1.0
    except (OverflowError, ValueError):
        return True


def tool_list(part: Mapping[str, Any]) -> str | RowRefusal | None:
    """The tool list of a request's tool settings as JSON text, None when it offers none; or why it cannot be said."""
    tools = part.get("tools")
    if functions := part.get("functions"):
        if tools or not isinstance(functions, list):
            return RowRefusal("tools_unsupported", "functions beside tools" if tools else type(functions).__name__)
        tools = [{"type": "function", "function": function} for function in functions]
    if not tools:
        return None
    if not isinstance(tools, list):
        return RowRefusal("tools_unsupported", type(tools).__name__)
    for tool in tools:
        if (
            not isinstance(tool, Mapping)
            or tool.get("type") != "function"
            or not isinstance(tool.get("function"), dict)
        ):
            return RowRefusal("tools_unsupported", str(tool.get("type")) if isinstance(tool, Mapping) else "")
    return canonical_json(tools)
