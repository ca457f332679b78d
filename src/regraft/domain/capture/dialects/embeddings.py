"""The Embeddings API: captured and counted with its usage, never a turn of a conversation.

The vectors are not kept, only how many there were and how long: they can be computed again.
Source: OpenAI API reference, Embeddings.
"""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.answer import Answer, read_object, unreadable
from regraft.domain.capture.dialects import native
from regraft.domain.capture.request import OTHER_KEYS, Request, model_of, read_document, sort_keys
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json

_OWN_KEYS = frozenset({"model"})
_OTHER_KEYS = OTHER_KEYS | {"input"}


def read_request(body: bytes) -> Request:
    """Raises CorruptEventError when the body is not an embedding request (not JSON, no input)."""
    document = read_document(body)
    if "input" not in document:
        raise CorruptEventError("the request has no input")
    return native.keep(_read(document), document, _write)


def body(request: Request) -> bytes:
    """The request again: equal in JSON meaning to what was captured."""
    return canonical_json(native.restore(request, _read, _write)).encode()


def _read(document: dict[str, Any]) -> Request:
    parts = sort_keys(document, _OWN_KEYS, frozenset(), _OTHER_KEYS)
    return Request(model=model_of(document), messages=[], **parts)


def _write(request: Request) -> dict[str, Any]:
    return {"model": request.model, **request.tools, **request.sampling, **request.other}


def read_answer(body: bytes, content_type: str) -> Answer:
    """The circumstances of an answer: its model, its usage, its vectors by number and length."""
    text = body.decode("utf-8", "replace")
    document = read_object(text)
    if document is None:
        return unreadable(text)
    model, usage, vectors = document.get("model"), document.get("usage"), document.get("data")
    rest = {key: value for key, value in document.items() if key not in ("model", "usage", "data", "error")}
    if isinstance(vectors, list):
        rest["vectors"] = len(vectors)
        first = vectors[0].get("embedding") if vectors and isinstance(vectors[0], dict) else None
        if isinstance(first, list):
            rest["dimensions"] = len(first)
    return Answer(
        choices=[],
        model=model if isinstance(model, str) else None,
        usage=usage if isinstance(usage, dict) else None,
        error=document.get("error"),
        rest=rest,
    )
