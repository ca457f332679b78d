"""Ollama's own API: ``/api/chat`` and ``/api/generate``, whose answers are lines of JSON or one object.

Arguments of tool calls are objects there and texts in the chat form, ``thinking`` is ``reasoning_content``; images
are next to a message's text. A generate call is a conversation of one question, with the system prompt that it names.
Source: Ollama's API documentation, "Generate a chat completion" and "Generate a completion".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regraft.domain.capture.answer import Answer, Choice, read_object, unreadable
from regraft.domain.capture.dialects import native
from regraft.domain.capture.request import Request, model_of, read_document, sort_keys
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json, parse_json

_TOOL_KEYS = frozenset({"tools"})
_OTHER_KEYS = frozenset({"stream", "keep_alive", "context"})
_CHAT_KEYS = frozenset({"model", "messages"})
_GENERATE_KEYS = frozenset({"model", "prompt", "system", "images"})
_COUNTS = {"prompt_eval_count": "prompt_tokens", "eval_count": "completion_tokens"}
_READ = frozenset({"model", "message", "response", "thinking", "done", "done_reason", "error", *_COUNTS})


def read_chat_request(body: bytes) -> Request:
    """Raises CorruptEventError when the body is not a chat request (not JSON, no list of messages)."""
    document = read_document(body)
    if not isinstance(document.get("messages"), list):
        raise CorruptEventError("the request has no list of messages")
    return native.keep(_read_chat(document), document, _write_chat)


def chat_body(request: Request) -> bytes:
    """The request again: equal in JSON meaning to what was captured."""
    return canonical_json(native.restore(request, _read_chat, _write_chat)).encode()


def read_generate_request(body: bytes) -> Request:
    """Raises CorruptEventError when the body is not a JSON object. Without a prompt it only loads a model."""
    document = read_document(body)
    return native.keep(_read_generate(document), document, _write_generate)


def generate_body(request: Request) -> bytes:
    """The request again: equal in JSON meaning to what was captured."""
    return canonical_json(native.restore(request, _read_generate, _write_generate)).encode()


def read_answer(body: bytes, content_type: str) -> Answer:
    """Assemble an answer from one object or from lines of them. A line that is not an object is unread; words of
    another role or after the line that says ``done`` are of another answer, and make this one ambiguous."""
    text = body.decode("utf-8", "replace")
    lines = [line for line in text.split("\n") if line.strip()]
    read = [(line, read_object(line)) for line in lines]
    pieces = [piece for _, piece in read if piece is not None]
    unread = [line for line, piece in read if piece is None]
    if unread and (whole := read_object(text)) is not None:
        pieces, unread = [whole], []
    if not pieces:
        return unreadable(text)
    error = next((piece["error"] for piece in pieces if piece.get("error") is not None), None)
    own, foreign = _split(pieces)
    last = own[-1] if own else pieces[-1]
    done = any(piece.get("done") is True for piece in pieces)
    message = _joined(own)
    reason = next((piece["done_reason"] for piece in pieces if isinstance(piece.get("done_reason"), str)), None)
    return Answer(
        choices=[
            Choice(
                index=0,
                message=message,
                finish_reason=reason or ("stop" if done else None),
                unattributed=[piece.get("message", piece) for piece in foreign],
            )
        ]
        if message is not None or foreign
        else [],
        model=next((piece["model"] for piece in pieces if isinstance(piece.get("model"), str)), None),
        usage=_usage(last),
        error=error,
        rest={key: value for key, value in last.items() if key not in _READ},
        done=done if "ndjson" in content_type.lower() or len(pieces) > 1 or not done else None,
        unread=unread,
    )


def _split(pieces: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The pieces of the answer, and those with words that are not its own."""
    own: list[dict[str, Any]] = []
    foreign: list[dict[str, Any]] = []
    done = False
    for piece in pieces:
        message = piece.get("message")
        said = message if isinstance(message, dict) else {"content": piece.get("response")}
        other = done or said.get("role") not in (None, "", "assistant")
        words = any(said.get(key) for key in ("content", "thinking", "tool_calls"))
        (foreign if other and words else own).append(piece)
        done = done or piece.get("done") is True
    return own, foreign


def _joined(pieces: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The message assembled from the pieces; None when all are empty."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    texts: dict[str, list[str]] = {}
    lists: dict[str, list[Any]] = {}
    said = False
    for piece in pieces:
        part = piece.get("message")
        if not isinstance(part, dict):
            if "response" not in piece:
                continue
            part = {"content": piece["response"], "thinking": piece.get("thinking")}
        said = True
        for key, value in part.items():
            if key in ("content", "thinking") and isinstance(value, str):
                texts.setdefault(key, []).append(value)
            elif isinstance(value, list):
                lists.setdefault(key, []).extend(value)
            elif value is not None:
                message[key] = value
    for key, parts in texts.items():
        if key == "content" or any(parts):
            message[key] = "".join(parts)
    message |= lists
    return _said([message])[0] if said else None


def _usage(last: Mapping[str, Any]) -> dict[str, Any] | None:
    counts = {name: last[key] for key, name in _COUNTS.items() if isinstance(last.get(key), int)}
    return {**counts, "total_tokens": sum(counts.values())} if counts else None


def _read_chat(document: dict[str, Any]) -> Request:
    sent = document.get("messages")
    messages = native.read_units([[message] for message in sent] if isinstance(sent, list) else [], _said, _again)
    return Request(
        model=model_of(document), messages=messages, **sort_keys(document, _CHAT_KEYS, _TOOL_KEYS, _OTHER_KEYS)
    )


def _write_chat(request: Request) -> dict[str, Any]:
    messages = native.write_units(list(request.messages), _said, _again)
    return {"model": request.model, "messages": messages, **request.tools, **request.sampling, **request.other}


def _read_generate(document: dict[str, Any]) -> Request:
    messages: list[Any] = []
    system, prompt = document.get("system"), document.get("prompt")
    if isinstance(prompt, str) and prompt:
        if isinstance(system, str) and system:
            messages.append({"role": "system", "content": system})
        images = {"images": document["images"]} if document.get("images") else {}
        messages.append({"role": "user", "content": prompt, **images})
    return Request(
        model=model_of(document), messages=messages, **sort_keys(document, _GENERATE_KEYS, _TOOL_KEYS, _OTHER_KEYS)
    )


def _write_generate(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = {"model": request.model, **request.tools, **request.sampling, **request.other}
    for message in request.messages:
        if isinstance(message, dict) and message.get("role") == "system":
            document["system"] = message.get("content")
        elif isinstance(message, dict):
            document["prompt"] = message.get("content")
            document |= {"images": message["images"]} if "images" in message else {}
    return document


def _said(unit: native.Unit) -> list[Any]:
    """Convert one of Ollama's messages to a chat message."""
    return [_renamed(unit[0], "thinking", "reasoning_content", _as_text)]


def _again(messages: list[Any]) -> list[Any]:
    return [_renamed(message, "reasoning_content", "thinking", _as_object) for message in messages]


def _renamed(message: Any, thought: str, new: str, change: Callable[[Any], Any]) -> Any:
    if not isinstance(message, dict):
        return message
    made = {new if key == thought else key: value for key, value in message.items()}
    if isinstance(calls := made.get("tool_calls"), list):
        made["tool_calls"] = [_with_arguments(call, change) for call in calls]
    return made


def _with_arguments(call: Any, change: Callable[[Any], Any]) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or "arguments" not in function:
        return call
    return {**call, "function": {**function, "arguments": change(function["arguments"])}}


def _as_text(arguments: Any) -> Any:
    return canonical_json(arguments) if isinstance(arguments, dict) else arguments


def _as_object(arguments: Any) -> Any:
    try:
        value = parse_json(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments
    return value if isinstance(value, dict) else arguments
