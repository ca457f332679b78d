"""The Anthropic Messages API as chat messages, and back.

``system`` is a system message; text, images and documents are content parts; ``tool_use`` blocks are tool calls with
their input as JSON text; each ``tool_result`` block is a ``tool`` message; thinking is ``thinking_blocks`` (with their
signatures) and ``reasoning_content``. Blocks of tools that ran on the server stay in the content as they are.
Source: Anthropic API reference, Messages and Streaming Messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regraft.domain.capture.answer import Answer, Choice, finish_reason, is_stream, read_object, unreadable
from regraft.domain.capture.dialects import native
from regraft.domain.capture.dialects.anthropic_stream import TruncatedJson, read_blocks
from regraft.domain.capture.request import Request, model_of, read_document, sort_keys
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json, parse_json

_OWN_KEYS = frozenset({"model", "messages", "system", "tools", "tool_choice", "stop_sequences"})
_TOOL_KEYS = frozenset({"mcp_servers"})
_OTHER_KEYS = frozenset({"stream", "metadata", "service_tier", "container", "inference_geo"})
_THINKING = ("thinking", "redacted_thinking")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def read_request(body: bytes) -> Request:
    """Raises CorruptEventError when the body is not a request for a message (not JSON, no list of messages)."""
    document = read_document(body)
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise CorruptEventError("the request has no list of messages")
    return native.keep(_read(document), document, _write)


def body(request: Request) -> bytes:
    """The request again: equal in JSON meaning to what was captured."""
    return canonical_json(native.restore(request, _read, _write)).encode()


# Requests


def _read(document: dict[str, Any]) -> Request:
    messages: list[Any] = []
    if "system" in document:
        messages.append({"role": "system", "content": document["system"]})
    sent = document.get("messages")
    messages += native.read_units([[message] for message in sent] if isinstance(sent, list) else [], _said, _again)
    parts = sort_keys(document, _OWN_KEYS, _TOOL_KEYS, _OTHER_KEYS)
    if isinstance(document.get("tools"), list):
        parts["tools"]["tools"] = [_tool(tool) for tool in document["tools"]]
    if isinstance(choice := document.get("tool_choice"), dict):
        parts["tools"].update(_tool_choice(choice))
    if "stop_sequences" in document:
        parts["sampling"]["stop"] = document["stop_sequences"]
    return Request(model=model_of(document), messages=messages, **parts)


def _write(request: Request) -> dict[str, Any]:
    messages = list(request.messages)
    tools, sampling = dict(request.tools), dict(request.sampling)
    document: dict[str, Any] = {"model": request.model}
    if messages and _is_system(messages[0]):
        document["system"] = messages.pop(0).get("content")
    document["messages"] = native.write_units(messages, _said, _again)
    if isinstance(tools.get("tools"), list):
        document["tools"] = [_native_tool(tool) for tool in tools.pop("tools")]
    parallel = tools.pop("parallel_tool_calls", None)
    choice = _native_tool_choice(tools.pop("tool_choice", None))
    if parallel is not None:
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": not parallel}
    if choice is not None:
        document["tool_choice"] = choice
    if "stop" in sampling:
        stop = sampling.pop("stop")
        document["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    return {**document, **tools, **sampling, **request.other}


def _is_system(message: Any) -> bool:
    """Whether a message is the ``system`` of its request, and not a later one (those have ``item``)."""
    return isinstance(message, dict) and message.get("role") == "system" and "item" not in message


def _said(unit: native.Unit) -> list[Any]:
    """Convert one Anthropic message to chat messages: tool results first, then the rest."""
    (message,) = unit
    if not isinstance(message, Mapping):
        return [message]
    role, content = message.get("role"), message.get("content")
    if role == "assistant":
        return [_assistant(content)]
    if role != "user":
        return [{"role": role, "content": content, "item": {}}]
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    results = [block for block in content if _kind(block) == "tool_result"]
    others = [_part(block) for block in content if _kind(block) != "tool_result"]
    said: list[Any] = [_result(block) for block in results]
    return said if said and not others else [*said, {"role": "user", "content": others}]


def _again(messages: list[Any]) -> list[Any]:
    """Convert chat messages back: tool results and the user text right after them are one message."""
    written: list[Any] = []
    results: list[Any] = []

    def close() -> None:
        if results:
            written.append({"role": "user", "content": list(results)})
            results.clear()

    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        content = message.get("content") if isinstance(message, Mapping) else None
        if role == "tool":
            results.append(_native_result(message))
        elif role == "user" and results:
            words = [{"type": "text", "text": content}] if isinstance(content, str) else _blocks(content)
            written.append({"role": "user", "content": results + words})
            results.clear()
        else:
            close()
            written.append(_native_message(message))
    close()
    return written


def _native_message(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message
    role, content = message.get("role"), message.get("content")
    if role == "assistant":
        return {"role": role, "content": _native_assistant(message)}
    if role == "user":
        return {"role": role, "content": _blocks(content) if isinstance(content, list) else content}
    return {"role": role, "content": content}


def _kind(block: Any) -> Any:
    return block.get("type") if isinstance(block, Mapping) else None


def _assistant(content: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if not isinstance(content, list):
        return message
    thinking = [block for block in content if _kind(block) in _THINKING]
    calls = [_call(block) for block in content if _kind(block) == "tool_use"]
    parts = [block for block in content if _kind(block) not in (*_THINKING, "tool_use")]
    only = parts[0] if len(parts) == 1 else None
    if isinstance(only, Mapping) and only.keys() == {"type", "text"} and isinstance(only["text"], str):
        message["content"] = only["text"]
        if not thinking and not calls:
            message["item"] = {"list": True}
    else:
        message["content"] = [_part(block) for block in parts] or None
    thoughts = [block["thinking"] for block in thinking if isinstance(block.get("thinking"), str)]
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    if thinking:
        message["thinking_blocks"] = thinking
    if calls:
        message["tool_calls"] = calls
    return message


def _native_assistant(message: Mapping[str, Any]) -> Any:
    content, calls = message.get("content"), message.get("tool_calls")
    thinking = message.get("thinking_blocks") or []
    if not isinstance(content, list) and not calls and not thinking and not message.get("item"):
        return [] if content is None else content
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return [*thinking, *_blocks(content or []), *map(_native_call, calls or [])]


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    given = block.get("input")
    arguments = str(given) if isinstance(given, TruncatedJson) else canonical_json(given)
    call = {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }
    more = {key: value for key, value in block.items() if key not in ("type", "id", "name", "input")}
    return {**call, "item": more} if more else call


def _native_call(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return call
    try:
        given = parse_json(function.get("arguments") or "{}")
    except (ValueError, TypeError, AttributeError):
        given = function.get("arguments")
    named = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": given}
    return {**named, **(call.get("item") or {})}


def _result(block: Mapping[str, Any]) -> dict[str, Any]:
    content = block.get("content")
    message = {
        "role": "tool",
        "tool_call_id": block.get("tool_use_id"),
        "content": [_part(part) for part in content] if isinstance(content, list) else content,
    }
    return {**message, **{key: value for key, value in block.items() if key not in ("type", "tool_use_id", "content")}}


def _native_result(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id")}
    if content is not None:
        block["content"] = _blocks(content) if isinstance(content, list) else content
    own = ("role", "tool_call_id", "content", native.NATIVE, "name", "item")
    return {**block, **{key: value for key, value in message.items() if key not in own}}


def _part(block: Any) -> Any:
    """The content part that is equivalent to the block, or the block itself."""
    if _kind(block) != "image" or not isinstance(source := block.get("source"), Mapping):
        return block
    url = source.get("url") if source.get("type") == "url" else None
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    part = {**block, "type": "image_url", "image_url": {"url": url}}
    del part["source"]
    return part if _block(part) == block else block


def _block(part: Any) -> Any:
    if _kind(part) != "image_url" or not isinstance(image := part.get("image_url"), Mapping):
        return part
    url = image.get("url")
    if not isinstance(url, str):
        return part
    head, comma, data = url.partition(";base64,")
    source = {"type": "url", "url": url}
    if comma and head.startswith("data:"):
        source = {"type": "base64", "media_type": head.removeprefix("data:"), "data": data}
    block = {**part, "type": "image", "source": source}
    del block["image_url"]
    return block


def _blocks(content: Any) -> list[Any]:
    return [_block(part) for part in content] if isinstance(content, list) else []


def _tool(tool: Any) -> Any:
    """A tool of the client's as a chat tool; a tool of the server's as it is."""
    if not isinstance(tool, Mapping) or "input_schema" not in tool or tool.get("type", "custom") != "custom":
        return tool
    function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if "description" in tool:
        function["description"] = tool["description"]
    more = {key: value for key, value in tool.items() if key not in ("type", "name", "description", "input_schema")}
    return {**more, "type": "function", "function": function}


def _native_tool(tool: Any) -> Any:
    function = tool.get("function") if _kind(tool) == "function" else None
    if not isinstance(function, Mapping):
        return tool
    written = {"name": function.get("name"), "input_schema": function.get("parameters", {"type": "object"})}
    if "description" in function:
        written["description"] = function["description"]
    return {**written, **{key: value for key, value in tool.items() if key not in ("type", "function")}}


def _tool_choice(choice: dict[str, Any]) -> dict[str, Any]:
    kind = choice.get("type")
    read: dict[str, Any] = {"tool_choice": _CHOICES.get(kind, choice) if isinstance(kind, str) else choice}
    if kind == "tool":
        read["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    if isinstance(choice.get("disable_parallel_tool_use"), bool):
        read["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    return read


def _native_tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return {"type": next((kind for kind, chat in _CHOICES.items() if chat == choice), choice)}
    if _kind(choice) == "function" and isinstance(choice.get("function"), Mapping):
        return {"type": "tool", "name": choice["function"].get("name")}
    return choice


# Answers


def read_answer(body: bytes, content_type: str) -> Answer:
    """Assemble an answer from a decoded body, whole or streamed. Usage keeps Anthropic's field names."""
    text = body.decode("utf-8", "replace")
    if is_stream(text, content_type):
        return _read_stream(text)
    document = read_object(text)
    if document is None:
        return unreadable(text)
    if "content" not in document:
        rest = {key: value for key, value in document.items() if key != "error"}
        return Answer(choices=[], model=None, usage=None, error=document.get("error"), rest=rest)
    return _answer(document)


def _answer(document: dict[str, Any], *, error: Any = None, done: bool | None = None) -> Answer:
    usage, model = document.get("usage"), document.get("model")
    stop = finish_reason({"finish_reason": document.get("stop_reason")})
    (message,) = native.read_units([[{"role": "assistant", "content": document.get("content")}]], _said, _again)
    choice = Choice(
        index=0,
        message=message,
        finish_reason=_FINISH_REASONS.get(stop, stop) if stop else None,
        rest={key: document[key] for key in ("stop_reason", "stop_sequence", "stop_details") if document.get(key)},
    )
    own = ("content", "role", "model", "usage", "stop_reason", "stop_sequence", "stop_details", "error")
    return Answer(
        choices=[choice],
        model=model if isinstance(model, str) else None,
        usage=usage if isinstance(usage, dict) else None,
        error=error,
        rest={key: value for key, value in document.items() if key not in own},
        done=done,
    )


def _read_stream(text: str) -> Answer:
    blocks, reader = read_blocks(text)
    done = blocks.stopped or reader.done
    if not blocks:
        return Answer(choices=[], model=None, usage=None, error=reader.error, rest=reader.rest(), done=done)
    whole, cumulative = blocks.whole()
    answer = _answer(whole, error=reader.error, done=done)
    (choice,) = answer.choices
    rest = {**choice.rest, **({"cumulative": cumulative} if cumulative else {})}
    return replace(
        answer,
        choices=[replace(choice, rest=rest, unattributed=blocks.unattributed)],
        rest={**answer.rest, **reader.rest()},
        unread=reader.broken,
    )
