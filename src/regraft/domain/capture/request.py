"""A parsed request: its messages, and its other components, grouped by what a replay may change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import Digest, NonFinite, canonical_json, digest, parse_json

TOOL_KEYS = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"})
OTHER_KEYS = frozenset(
    {"stream", "stream_options", "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "service_tier"}
)
_OWN_KEYS = frozenset({"messages", "model"})
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")


class LazyMessages(Sequence[Any]):
    """Messages by their JSON texts, each parsed when it is first accessed; ``texts`` may have been read before."""

    __slots__ = ("texts",)

    def __init__(self, texts: list[bytes]) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [parse_json(text) for text in self.texts[place]]
        return parse_json(self.texts[place])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # equal to lists, which have none


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``tools``, ``sampling`` and ``other`` are JSON objects holding exactly the keys that were sent.

    No messages: the call asks for no answer in words (embeddings), so that it is not a turn of a conversation. Fields
    of another dialect that a chat request cannot express are in ``other`` under ``native``."""

    model: str
    messages: Sequence[Any]
    tools: dict[str, Any]
    sampling: dict[str, Any]
    other: dict[str, Any]

    @property
    def streamed(self) -> bool:
        """Whether the client asked for server-sent events."""
        return self.other.get("stream") is True

    @property
    def previous_response(self) -> str | None:
        """The id of the answer that this call continues from, where the client left the history to the server."""
        found = self.other.get("previous_response_id")
        return found if isinstance(found, str) and found else None

    @property
    def conversation(self) -> str | None:
        """The id of the server's own record of the conversation, if the client named one."""
        found = self.other.get("conversation")
        found = found.get("id") if isinstance(found, Mapping) else found
        return found if isinstance(found, str) and found else None

    def body(self) -> bytes:
        """The request again: equal in JSON meaning to what was captured."""
        model = {"model": self.model} if self.model else {}
        return canonical_json(
            {**model, "messages": list(self.messages), **self.tools, **self.sampling, **self.other}
        ).encode()


def read_document(body: bytes) -> dict[str, Any]:
    """Raises CorruptEventError when the body is not a JSON object.

    ``NaN`` and infinities, which Python clients write and Python servers read, become texts of that name.
    """
    try:
        document = parse_json(body, non_finite=True)
    except ValueError as error:
        raise CorruptEventError(f"the request is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CorruptEventError("the request is not a JSON object")
    return document


def sort_keys(
    document: Mapping[str, Any], own: frozenset[str], tools: frozenset[str], other: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """The keys of a request by component; an unknown key is a setting."""
    parts: dict[str, dict[str, Any]] = {"tools": {}, "sampling": {}, "other": {}}
    for key, value in document.items():
        if key not in own:
            parts["tools" if key in tools else "other" if key in other else "sampling"][key] = value
    return parts


def model_of(document: Mapping[str, Any]) -> str:
    """The model that was asked for; empty when none was named by a text that can be printed."""
    model = document.get("model")
    return model if isinstance(model, str) and not _UNPRINTABLE.search(model) else ""


def read_request(body: bytes) -> Request:
    """Raises CorruptEventError when the body is not a chat request (not JSON, no list of messages)."""
    document = read_document(body)
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise CorruptEventError("the request has no list of messages")
    if any(isinstance(message, NonFinite) for message in messages):
        raise CorruptEventError("the request is not JSON: a message is not an object")
    return _request(document, messages)


def read_fields(fields: Mapping[str, bytes]) -> Request:
    """A chat request without its messages, from the JSON text of each other field. Raises CorruptEventError."""
    try:
        return _request({name: parse_json(text) for name, text in fields.items()}, [])
    except ValueError as error:
        raise CorruptEventError(f"the request is not JSON: {error}") from error


def _request(document: Mapping[str, Any], messages: list[Any]) -> Request:
    model = model_of(document)
    parts = sort_keys(document, _OWN_KEYS, TOOL_KEYS, OTHER_KEYS)
    if document.get("model", model) != model or ("model" in document and not model):
        parts["other"]["model"] = document["model"]
    return Request(model=model, messages=messages, **parts)


def part_digest(kind: str, part: Mapping[str, Any]) -> Digest:
    """The identity of a request component: ``tools``, ``sampling`` or ``other``."""
    return digest(kind.encode(), canonical_json(dict(part)).encode())
