"""The recording of one call by a tracing tool: messages in any of several forms, and an answer in any of them.

Read are chat messages (also LangChain's, the AI SDK's and Google's), the ``parts`` of the OpenTelemetry GenAI
conventions, items of the Responses API, whole requests and responses, and plain texts. A message whose role is the name
of a tool that was called is that tool's result. Where a framework wrote Python text or ran messages together
into one text, the roles cannot be recovered: the call is refused by name.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.dialects import responses
from regraft.domain.capture.importers.conversation import UnreadableConversationError
from regraft.domain.capture.importers.messages import content_of, text_part, tool_call
from regraft.domain.capture.importers.values import mapping, mappings, text
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json, parse_json

ASIDE = frozenset({"http_options", "extra_headers"})  # of requests: how they were sent, nothing that was said
_ROLES = {
    **{role: role for role in ("system", "developer", "user", "assistant", "tool", "function")},
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "AIMessageChunk": "assistant",
}
_RUN_TOGETHER = re.compile(r"\A(system|developer|user|assistant|tool): ", re.MULTILINE)
_PYTHON = re.compile(r"\A(role='|\w+\(|\[?\{')")
_KEPT = ("name", "tool_call_id", "refusal", "function_call", "audio", "reasoning_content", "reasoning", "annotations")
_CALLS = frozenset({"tool_call", "tool-call", "tool_use", "function_call"})
_RESULTS = frozenset({"tool_call_response", "tool-result", "tool_result", "function_response"})
_ITEMS = frozenset(
    {"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"}
)
_TEXTS = frozenset({"text", "input_text", "output_text"})
_DECODINGS = 3


def decoded(value: Any) -> Any:
    """JSON that was written as text, perhaps several times; any other text as it is."""
    for _ in range(_DECODINGS):
        if not isinstance(value, str) or not value.lstrip().startswith(("{", "[", '"')):
            break
        try:
            value = parse_json(value)
        except ValueError:
            break
    return value


def history(value: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """The messages that a call was made with, and tool definitions found beside them."""
    value = decoded(value)
    messages: list[dict[str, Any]] = []
    tools: list[Any] = []
    if isinstance(value, dict):
        config = mapping(value.get("config"))
        system = config.get("system_instruction") or value.get("system_instruction") or value.get("system")
        system = system or value.get("instructions")
        if system:
            messages += _instructions(system)
        given = value.get("tools") or config.get("tools")
        tools += _tools(given)
        for key in ("messages", "contents", "input", "prompt"):
            if value.get(key):
                value = value[key]
                break
        else:
            if "role" not in value:
                raise UnreadableConversationError("an input without messages")
            value = [value]
    if isinstance(value, str):
        if _RUN_TOGETHER.match(value):
            raise UnreadableConversationError("messages that were run together into one text")
        if _PYTHON.match(value):
            raise UnreadableConversationError("messages that were written as Python text")
        return [*messages, {"role": "user", "content": value}], tools
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list) and _are_items(value):
        return [*messages, *_from_items(value)], tools
    called: dict[str, deque[Any]] = {}
    for each in value if isinstance(value, list) else []:
        definition = mapping(each).get("content")
        if mapping(each).get("role") == "tool" and mapping(definition).get("type") == "function":
            tools.append(definition)  # LangChain's handler lists the tools as messages
            continue
        made = list(messages_of(_of_tool(each, called)))
        for call in (call for message in made for call in mappings(message.get("tool_calls"))):
            called.setdefault(text(mapping(call.get("function")).get("name")), deque()).append(call.get("id"))
        messages += made
    return messages, tools


def _are_items(value: list[Any]) -> bool:
    """Whether a list is in the form of the Responses API: what was called and thought are items beside the messages."""
    return any(text(mapping(each).get("type")) in _ITEMS and "role" not in mapping(each) for each in value)


def _from_items(items: list[Any]) -> list[dict[str, Any]]:
    try:
        return [*map(dict, responses.read_request(canonical_json({"input": items}).encode()).messages)]
    except (CorruptEventError, TypeError, ValueError) as error:
        raise UnreadableConversationError("items that are no input of the Responses API") from error


def _of_tool(message: Any, called: dict[str, deque[Any]]) -> Any:
    """A message whose role is the name of a tool, as a message of that tool: the result of its first open call."""
    role = text(mapping(message).get("role"))
    if role in _ROLES or not called.get(role):
        return message
    given = mapping(message)
    return {"tool_call_id": called[role].popleft(), "name": role, **given, "role": "tool"}


def answer(value: Any) -> dict[str, Any]:
    """The message that a call gave."""
    value = decoded(value)
    if isinstance(value, dict):
        if mappings(value.get("choices")):
            value = value["choices"][0]
        elif mappings(value.get("candidates")):
            value = value["candidates"][0]
        elif "role" not in value and mappings(value.get("output")):
            value = value["output"]
        elif "role" not in value and ("toolCalls" in value or "text" in value):
            calls = mappings(decoded(value.get("toolCalls")))
            value = [{"role": "assistant", "content": value.get("text") or None, "tool_calls": calls}]
    if isinstance(value, str):
        if value == "None" or _PYTHON.match(value):
            raise UnreadableConversationError("an answer that was written as Python text")
        return {"role": "assistant", "content": value}
    items = value if isinstance(value, list) else [value]
    if items and all(text(mapping(each).get("type")) in {*_ITEMS, "message"} for each in items):
        return responses.answer_of(items)
    if items and all("toolCallId" in mapping(each) or "toolName" in mapping(each) for each in items):
        return {"role": "assistant", "content": None, "tool_calls": [_call(each) for each in items]}
    made = [message for each in items for message in messages_of(each, default="assistant")]
    if not made or any(message["role"] != "assistant" for message in made):
        raise UnreadableConversationError("an answer that is not a message of a model")
    whole = made[0]
    for more in made[1:]:  # one answer, recorded in several messages
        parts = [part for part in (whole.get("content"), more.get("content")) if part]
        whole = {
            **whole,
            "content": "\n\n".join(parts) if all(isinstance(part, str) for part in parts) and parts else None,
        }
        if more.get("tool_calls"):
            whole["tool_calls"] = [*whole.get("tool_calls", []), *more["tool_calls"]]
    return whole


def messages_of(value: Any, default: str = "") -> Iterator[dict[str, Any]]:
    """The chat messages that one recorded message is: results of several tools are several messages."""
    if isinstance(value, str):
        raise UnreadableConversationError(
            "messages that were written as Python text" if _PYTHON.match(value) else "a message that is a bare text"
        )
    if not isinstance(value, dict):
        raise UnreadableConversationError("a message that is not an object")
    for inner in ("message", "kwargs"):
        if isinstance(value.get(inner), dict) and "role" not in value:
            value = value[inner]
    content = value.get("content")
    if isinstance(content, dict) and "parts" in content:
        value = {"role": content.get("role", value.get("role")), "parts": content["parts"]}
    given = value.get("role") or value.get("type") or default
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise UnreadableConversationError(f"a message with the role {given!r}"[:80])
    yield from _made(role, value)


def _made(role: str, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = value.get("parts", value.get("content"))
    kept: list[Any] = []
    results: list[dict[str, Any]] = []
    listed = decoded(value.get("tool_calls")) or mapping(value.get("additional_kwargs")).get("tool_calls")
    calls = [_call(each) for each in mappings(listed)]
    written = _written_calls(role, content, value)
    if written:
        calls, content, role = written, None, "assistant"
    for part in content if isinstance(content, list) else []:
        kind = _kind(part)
        if kind in _CALLS and role == "assistant":
            calls.append(_call(part))
        elif kind in _RESULTS:
            results.append(_result(part))
        elif kind in _TEXTS and isinstance(part.get("text", part.get("content")), str):
            kept.append(text_part(text(part.get("text")) or text(part.get("content"))))
        else:
            kept.append(part)
    made: dict[str, Any] = {"role": role}
    if isinstance(content, list):
        made["content"] = content_of(kept) if kept else None
    else:
        made["content"] = content if content is None or isinstance(content, str) else canonical_json(content)
    made.update((key, value[key]) for key in _KEPT if value.get(key) not in (None, [], ""))
    if calls:
        made["tool_calls"] = calls
    if made["content"] is not None or calls or not results:
        yield made
    yield from results


def _kind(part: Any) -> str:
    kind = mapping(part).get("type")
    if isinstance(kind, str):
        return kind
    found = mapping(part)
    for name in ("function_call", "function_response"):
        if isinstance(found.get(name), dict):
            return name
    return "text" if isinstance(found.get("text"), str) else "unknown"


def _call(part: dict[str, Any]) -> dict[str, Any]:
    """A tool call in any of the shapes that exports use."""
    found = mapping(part.get("function")) or mapping(part.get("function_call")) or part
    name = text(found.get("name")) or text(part.get("toolName"))
    if not name:
        raise UnreadableConversationError("a tool call without a name")
    arguments = next((found[key] for key in ("arguments", "args", "input") if found.get(key) is not None), None)
    call_id = text(part.get("id")) or text(part.get("toolCallId")) or text(part.get("call_id"))
    return tool_call(call_id, name, arguments)


def _result(part: dict[str, Any]) -> dict[str, Any]:
    found = mapping(part.get("function_response")) or part
    value = next((found[key] for key in ("response", "result", "output", "content") if found.get(key) is not None), "")
    call_id = next((part[key] for key in ("id", "toolCallId", "tool_use_id", "call_id") if text(part.get(key))), "")
    made = {
        "role": "tool",
        "tool_call_id": call_id,
        "content": value if isinstance(value, str) else canonical_json(value),
    }
    name = text(found.get("name")) or text(part.get("toolName"))
    return {**made, "name": name} if name else made


def _written_calls(role: str, content: Any, value: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls that a framework wrote as JSON into the text of the message (Koog)."""
    if role not in ("assistant", "tool") or not isinstance(content, str) or not content.startswith('[{"function":'):
        return []
    found = mappings(decoded(content))
    return [_call(each) for each in found] if all(mapping(each.get("function")) for each in found) else []


def _instructions(system: Any) -> list[dict[str, Any]]:
    found = decoded(system)
    if isinstance(found, str):
        return [{"role": "system", "content": found}]
    return list(messages_of({"role": "system", "parts": _parts(found)}))


def _parts(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return found["parts"] if isinstance(found.get("parts"), list) else [found]
    return found if isinstance(found, list) else []


def _tools(given: Any) -> list[Any]:
    found: list[Any] = []
    for each in mappings(decoded(given)):
        declared = mappings(each.get("function_declarations"))
        if not declared and each.get("type") == "function" and "function" not in each and "name" in each:
            declared = [{key: each[key] for key in each if key != "type"}]  # as the Responses API has it
        found += declared or [each]
    return found
