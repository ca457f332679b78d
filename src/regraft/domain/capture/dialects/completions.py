"""The legacy Completions API: a prompt is one user message, each choice's text an assistant message.

Several prompts in one request are several conversations whose choices come in one list; such a call is captured and
counted without messages, because its answers are no alternatives to one another.
Source: OpenAI API reference, Completions.
"""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.answer import Answer
from regraft.domain.capture.answer import read_answer as read_chat_answer
from regraft.domain.capture.dialects import native
from regraft.domain.capture.message import text_of
from regraft.domain.capture.request import OTHER_KEYS, Request, model_of, read_document, sort_keys
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json

_OWN_KEYS = frozenset({"model", "prompt"})


def read_request(body: bytes) -> Request:
    """Raises CorruptEventError when the body is not a completion request (not JSON, no prompt)."""
    document = read_document(body)
    if "prompt" not in document:
        raise CorruptEventError("the request has no prompt")
    return native.keep(_read(document), document, _write)


def body(request: Request) -> bytes:
    """The request again: equal in JSON meaning to what was captured."""
    return canonical_json(native.restore(request, _read, _write)).encode()


def read_answer(body: bytes, content_type: str) -> Answer:
    """Assemble an answer from a decoded body, whole or streamed."""
    return read_chat_answer(body, content_type, _choice)


def _read(document: dict[str, Any]) -> Request:
    prompt = document.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    messages: list[Any] = []
    if isinstance(prompt, str):
        messages = [{"role": "user", "content": prompt}]
    elif isinstance(prompt, list) and prompt and all(isinstance(token, int) for token in prompt):
        messages = [{"role": "user", "content": [{"type": "tokens", "tokens": prompt}]}]
    parts = sort_keys(document, _OWN_KEYS, frozenset(), OTHER_KEYS)
    return Request(model=model_of(document), messages=messages, **parts)


def _write(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = {"model": request.model, **request.tools, **request.sampling, **request.other}
    contents = [message.get("content") for message in request.messages if isinstance(message, dict)]
    if len(contents) == 1 and isinstance(contents[0], list) and _tokens(contents[0]) is not None:
        document["prompt"] = _tokens(contents[0])
    elif contents:
        document["prompt"] = "\n\n".join(text_of(message) for message in request.messages)
    return document


def _tokens(content: list[Any]) -> Any:
    return content[0].get("tokens") if len(content) == 1 and isinstance(content[0], dict) else None


def _choice(choice: dict[str, Any], place: str) -> dict[str, Any]:
    said = {key: value for key, value in choice.items() if key != "text"}
    text = choice.get("text")
    if place == "message" and isinstance(text, str):
        said["message"] = {"role": "assistant", "content": text}
    elif place == "delta":
        said["delta"] = {"content": text} if isinstance(text, str) else {}
    return said
