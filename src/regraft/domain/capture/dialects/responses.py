"""The OpenAI Responses API as chat messages, and back.

``instructions`` are a system message. Items that the model makes one after another (reasoning, words, calls) are one
assistant message: its words are the content, function calls are tool calls, reasoning items are ``reasoning_items``
and ``reasoning_content``; the work of a hosted tool stays unchanged in the content. Each output of a call is a ``tool``
message. Ids and states of items are kept under ``item``. How an answer is streamed is in ``responses_stream``.
Source: OpenAI API reference, Responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from regraft.domain.capture.dialects import native
from regraft.domain.capture.request import OTHER_KEYS, Request, model_of, read_document, sort_keys
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json

_OWN_KEYS = frozenset({"model", "input", "instructions", "tools", "tool_choice", "max_output_tokens"})
_TOOL_KEYS = frozenset({"parallel_tool_calls", "max_tool_calls"})
_OTHER_KEYS = OTHER_KEYS | {
    *("previous_response_id", "conversation", "include", "background"),
    *("prompt_cache_retention", "prompt_cache_options"),
}
_SERVER_STATE = frozenset({"previous_response_id", "conversation"})
_HISTORY = "history"
_AS_TEXT = {"text": True}  # the item of a question that was the whole input, as text
_CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
_OUTPUT = "function_call_output"
_INSTRUCTING = ("system", "developer")  # looked up by what may not be hashable


def read_request(body: bytes) -> Request:
    """Raises CorruptEventError when the body asks for no response (not JSON, nothing asked)."""
    document = read_document(body)
    request = _read(document)
    if not request.messages and not request.previous_response and not request.conversation:
        raise CorruptEventError("the request has neither input nor instructions")
    return native.keep(request, document, _write)


def body(request: Request) -> bytes:
    """The request again: equal in JSON meaning to what was captured. A history that was not sent is not in it."""
    at, length = _history(request)
    messages = [*request.messages[:at], *request.messages[at + length :]]
    kept = {key: value for key, value in (request.other.get(native.NATIVE) or {}).items() if key != _HISTORY}
    other = {key: value for key, value in request.other.items() if key != native.NATIVE}
    own = replace(request, messages=messages, other={**other, native.NATIVE: kept} if kept else other)
    return canonical_json(native.restore(own, _read, _write)).encode()


def standalone_body(request: Request) -> bytes:
    """The same call with its whole history and without anything that a server would have to remember."""
    dropped = {*_SERVER_STATE, native.NATIVE}
    other = {key: value for key, value in request.other.items() if key not in dropped}
    return canonical_json(_write(replace(request, other=other))).encode()


def with_history(request: Request, history: list[Any]) -> Request:
    """The request with the history that the client left to the server, inserted after its instructions.

    Instructions of an earlier call do not carry over (API reference, ``previous_response_id``).
    """
    before = history[1:] if history and _is_instructions(history[0]) else history
    at = 1 if request.messages and _is_instructions(request.messages[0]) else 0
    kept = {**(request.other.get(native.NATIVE) or {}), _HISTORY: [at, len(before)]}
    return replace(
        request,
        messages=[*request.messages[:at], *before, *request.messages[at:]],
        other={**request.other, native.NATIVE: kept},
    )


def _history(request: Request) -> tuple[int, int]:
    kept = request.other.get(native.NATIVE)
    place = kept.get(_HISTORY) if isinstance(kept, Mapping) else None
    return (place[0], place[1]) if isinstance(place, list) else (0, 0)


def _is_instructions(message: Any) -> bool:
    """Whether a message is the ``instructions`` of its request, and not an item of its input."""
    return isinstance(message, dict) and message.get("role") == "system" and "item" not in message


def _read(document: dict[str, Any]) -> Request:
    messages: list[Any] = []
    if "instructions" in document:
        messages.append({"role": "system", "content": document["instructions"]})
    sent = document.get("input")
    if isinstance(sent, str):
        messages.append({"role": "user", "content": sent, "item": _AS_TEXT})
    elif isinstance(sent, list):
        messages += native.read_units(_units(sent), _said, _items)
    parts = sort_keys(document, _OWN_KEYS, _TOOL_KEYS, _OTHER_KEYS)
    if isinstance(document.get("tools"), list):
        parts["tools"]["tools"] = [_tool(tool) for tool in document["tools"]]
    if "tool_choice" in document:
        parts["tools"]["tool_choice"] = _tool(document["tool_choice"])
    if "max_output_tokens" in document:
        parts["sampling"]["max_tokens"] = document["max_output_tokens"]
    return Request(model=model_of(document), messages=messages, **parts)


def _write(request: Request) -> dict[str, Any]:
    messages = list(request.messages)
    tools, sampling = dict(request.tools), dict(request.sampling)
    document: dict[str, Any] = {"model": request.model}
    if messages and _is_instructions(messages[0]):
        document["instructions"] = messages.pop(0).get("content")
    if len(messages) == 1 and isinstance(messages[0], dict) and messages[0].get("item") == _AS_TEXT:
        document["input"] = messages[0].get("content")
    else:
        document["input"] = native.write_units(messages, _said, _items)
    if isinstance(tools.get("tools"), list):
        document["tools"] = [_native_tool(tool) for tool in tools.pop("tools")]
    if "tool_choice" in tools:
        document["tool_choice"] = _native_tool(tools.pop("tool_choice"))
    if "max_tokens" in sampling:
        document["max_output_tokens"] = sampling.pop("max_tokens")
    return {**document, **tools, **sampling, **request.other}


def _tool(tool: Any) -> Any:
    """A function, as a tool or as the choice of one, in the chat form; a hosted tool as it is."""
    if _kind(tool) != "function" or "function" in tool:
        return tool
    own = ("name", "description", "parameters", "strict")
    function = {key: value for key, value in tool.items() if key in own}
    return {**{key: value for key, value in tool.items() if key not in own}, "function": function}


def _native_tool(tool: Any) -> Any:
    function = tool.get("function") if _kind(tool) == "function" else None
    if not isinstance(function, Mapping):
        return tool
    return {**{key: value for key, value in tool.items() if key != "function"}, **function}


# Items


def _kind(item: Any) -> Any:
    return item.get("type") if isinstance(item, Mapping) else None


def _is_message(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type", "message") == "message" and "role" in item


def _made_by_model(item: Any) -> bool:
    """Whether an item belongs to an answer: words of the assistant, reasoning, calls, and what the server found."""
    if not isinstance(item, Mapping):
        return False
    if _is_message(item):
        return item.get("role") == "assistant"
    kind = item.get("type")
    if not isinstance(kind, str) or kind in ("additional_tools", "mcp_approval_response"):
        return False
    return not kind.endswith("_output") or item.get("execution") == "server"


def _units(items: Iterable[Any]) -> list[native.Unit]:
    units: list[native.Unit] = []
    answering = False
    for item in items:
        made = _made_by_model(item)
        if made and answering and not _starts_again(units[-1], item):
            units[-1].append(item)
        else:
            units.append([item])
        answering = made
    return units


def _starts_again(unit: native.Unit, item: Any) -> bool:
    """Whether an item without an id begins another answer: plain text after plain text."""
    return _is_message(item) and "id" not in item and any(_is_message(known) for known in unit)


def _said(unit: native.Unit) -> list[Any]:
    """Convert a unit to a chat message."""
    if _made_by_model(unit[0]):
        return [answer_of(unit)]
    (item,) = unit
    if not isinstance(item, Mapping):
        return [item]
    if _is_message(item):
        content = item.get("content")
        message = {"role": item["role"], "content": _parts(content) if isinstance(content, list) else content}
        more = {key: value for key, value in item.items() if key not in ("role", "content")}
        return [{**message, "item": more} if more or item["role"] in _INSTRUCTING else message]
    kind = item.get("type")
    if isinstance(kind, str) and kind.endswith("_output"):
        output = item.get("output")
        content = [item] if kind == "tool_search_output" else _parts(output) if isinstance(output, list) else output
        message = {"role": "tool", "tool_call_id": item.get("call_id"), "content": content}
        if kind == "tool_search_output":
            return [message]
        own = ("call_id", "output", *(("type",) if kind == _OUTPUT else ()))
        more = {key: value for key, value in item.items() if key not in own}
        return [{**message, "item": more} if more else message]
    role = item.get("role")
    return [{"role": role if isinstance(role, str) else "user", "content": [item], "item": {}}]


def answer_of(items: list[Any]) -> dict[str, Any]:
    """Convert a model's items to one assistant message."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    parts: list[Any] = []
    reasoning: list[Any] = []
    calls: list[Any] = []
    refusals: list[str] = []
    words = [item for item in items if _is_message(item)]
    for item in items:
        if item.get("type") == "reasoning":
            reasoning.append(item)
        elif item.get("type") in tuple(_CALLS):
            calls.append(_call(item))
        elif not _is_message(item):
            parts.append(item)
        elif isinstance(item.get("content"), list):
            found = _parts(item["content"])
            refusals += [
                part["refusal"] for part in found if _kind(part) == "refusal" and isinstance(part.get("refusal"), str)
            ]
            parts += [part for part in found if _kind(part) != "refusal"]
        elif isinstance(item.get("content"), str):
            parts.append({"type": "text", "text": item["content"]})
    more: dict[str, Any] = {}
    if len(words) == 1:
        more = {key: value for key, value in words[0].items() if key not in ("role", "content")}
    only = parts[0] if len(parts) == 1 else None
    if isinstance(only, Mapping) and only.get("type") == "text" and isinstance(only.get("text"), str):
        message["content"] = only["text"]
        if words and isinstance(words[0].get("content"), list):
            more["part"] = {key: value for key, value in only.items() if key not in ("type", "text")}
    elif parts:
        message["content"] = parts
    if refusals:
        message["refusal"] = "".join(refusals)
    if more:
        message["item"] = more
    if reasoning:
        message["reasoning_items"] = reasoning
        if thoughts := [text for item in reasoning for text in _thoughts(item)]:
            message["reasoning_content"] = "\n\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def keep_items(items: list[Any]) -> dict[str, Any]:
    """The assistant message of an answer's items, with the items themselves where they cannot be restored from it."""
    (message,) = native.read_units([items], lambda unit: [answer_of(unit)], _items)
    return dict(message)


def _thoughts(item: Mapping[str, Any]) -> list[str]:
    """The text of a reasoning item if the server sends it, else its summary."""
    for field in ("content", "summary"):
        parts = item.get(field)
        texts = [part.get("text") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
        if found := [text for text in texts if isinstance(text, str) and text]:
            return found
    return []


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    kind, field = _CALLS[item["type"]]
    call = {"id": item.get("call_id"), "type": kind, kind: {"name": item.get("name"), field: item.get(field)}}
    more = {key: value for key, value in item.items() if key not in ("type", "call_id", "name", field)}
    return {**call, "item": more} if more else call


def _items(messages: list[Any]) -> list[Any]:
    """Convert chat messages to items."""
    return [item for message in messages for item in _items_of(message)]


def _items_of(message: Any) -> list[Any]:
    if not isinstance(message, Mapping):
        return [message]
    role, content = message.get("role"), message.get("content")
    more = message.get("item")
    more = more if isinstance(more, Mapping) and more != _AS_TEXT else {}
    raw = content[0] if isinstance(content, list) and len(content) == 1 else None
    if role == "tool":
        if _kind(raw) == "tool_search_output":
            return [raw]
        output = _native_parts(content, role) if isinstance(content, list) else content
        return [{"type": _OUTPUT, "call_id": message.get("tool_call_id"), "output": output, **more}]
    if role != "assistant":
        if "item" in message and not more and _kind(raw) in ("additional_tools", "mcp_approval_response"):
            return [raw]
        return [
            {"role": role, "content": _native_parts(content, role) if isinstance(content, list) else content, **more}
        ]
    items = list(message.get("reasoning_items") or [])
    items += _words(message, content, dict(more))
    return items + [_native_call(call) for call in message.get("tool_calls") or []]


def _words(message: Mapping[str, Any], content: Any, more: dict[str, Any]) -> list[Any]:
    refusal = message.get("refusal")
    part = more.pop("part", None)
    if isinstance(content, str):
        text = {"type": "output_text", "text": content, **part} if isinstance(part, Mapping) else None
        said: Any = content if text is None and not isinstance(refusal, str) else [text or _output_text(content)]
    elif isinstance(content, list):
        if not more and not any(_kind(each) in ("text", "output_text") for each in content):
            return list(content)
        said = _native_parts(content, "assistant")
    elif isinstance(refusal, str) or more:
        said = []
    else:
        return []
    if isinstance(refusal, str):
        said = [*said, {"type": "refusal", "refusal": refusal}]
    return [{"role": "assistant", "content": said, **more}]


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text}


def _native_call(call: Any) -> Any:
    if not isinstance(call, Mapping):
        return call
    for kind, (name, field) in _CALLS.items():
        if isinstance(called := call.get(name), Mapping):
            item = {"type": kind, "call_id": call.get("id"), "name": called.get("name"), field: called.get(field)}
            more = call.get("item")
            return {**item, **(more if isinstance(more, Mapping) else {})}
    return call


def _parts(content: list[Any]) -> list[Any]:
    return [_part(part) for part in content]


def _part(part: Any) -> Any:
    kind = _kind(part)
    if kind in ("input_text", "output_text") and isinstance(part.get("text"), str):
        return {**part, "type": "text"}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        image = {"url": part["image_url"], **({"detail": part["detail"]} if "detail" in part else {})}
        more = {key: value for key, value in part.items() if key != "detail"}
        return {**more, "type": "image_url", "image_url": image}
    return part


def _native_parts(content: list[Any], role: Any) -> list[Any]:
    return [_native_part(part, role) for part in content]


def _native_part(part: Any, role: Any) -> Any:
    if _kind(part) == "text":
        return {**part, "type": "output_text" if role == "assistant" else "input_text"}
    if _kind(part) == "image_url" and isinstance(image := part.get("image_url"), Mapping):
        more = {"detail": image["detail"]} if "detail" in image else {}
        return {**part, "type": "input_image", "image_url": image.get("url"), **more}
    return part
