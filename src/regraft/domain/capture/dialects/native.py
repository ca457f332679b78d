"""Fields of a dialect that the chat form cannot express: kept under ``native``, and restored when the call is repeated.

There is no list of fields. A request is converted to the chat form and back; wherever the result differs, the original
is kept, in the message that represents it or in the request's ``other`` part. The kept original is used only while it
is equivalent to the chat form, so that it never overrides a message that a replay edited."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from regraft.domain.capture.request import Request

NATIVE = "native"
Unit = list[Any]  # one or more chat messages: a message of Anthropic's, or some items of OpenAI's
Read = Callable[[Unit], list[Any]]
Write = Callable[[list[Any]], list[Any]]
ReadDocument = Callable[[dict[str, Any]], Request]
WriteRequest = Callable[[Request], dict[str, Any]]


def read_units(units: Iterable[Unit], read: Read, write: Write) -> list[Any]:
    """The chat messages of all units; a unit that cannot be restored from them is kept in its first message."""
    messages: list[Any] = []
    before: tuple[Unit, list[Any]] = ([], [])
    for unit in units:
        said = read(unit)
        if write(before[1] + said) == before[0] + unit:
            before = (unit, said)
        else:
            said = [{**said[0], NATIVE: unit}, *said[1:]] if isinstance(said[0], dict) else said
            before = ([], [])
        messages += said
    return messages


def write_units(messages: list[Any], read: Read, write: Write) -> list[Any]:
    """The inverse of ``read_units``, for its messages or edited ones."""
    written: list[Any] = []
    run: list[Any] = []
    at = 0
    while at < len(messages):
        message = messages[at]
        kept = message.get(NATIVE) if isinstance(message, Mapping) else None
        if isinstance(kept, list):
            message = {key: value for key, value in message.items() if key != NATIVE}
            said = read(kept)
            if [message, *messages[at + 1 : at + len(said)]] == said:
                written += write(run) + kept
                run = []
                at += len(said)
                continue
        run.append(message)
        at += 1
    return written + write(run)


def keep(request: Request, document: dict[str, Any], write: WriteRequest) -> Request:
    """``request`` with the parts of ``document`` that cannot be restored from it."""
    again = write(request)
    sent = {key: value for key, value in document.items() if key not in again or again[key] != value}
    left_out = sorted(again.keys() - document.keys())
    kept: dict[str, Any] = {**({"sent": sent} if sent else {}), **({"left_out": left_out} if left_out else {})}
    return replace(request, other={**request.other, NATIVE: kept}) if kept else request


def restore(request: Request, read: ReadDocument, write: WriteRequest) -> dict[str, Any]:
    """The document of a request, with its kept parts where they are still equivalent."""
    kept = request.other.get(NATIVE)
    if not isinstance(kept, Mapping):
        return write(request)
    plain = replace(request, other={key: value for key, value in request.other.items() if key != NATIVE})
    document = write(plain)
    left_out, sent = kept.get("left_out") or [], kept.get("sent") or {}
    whole = {**{key: value for key, value in document.items() if key not in left_out}, **sent}
    if same(plain, whole, read):
        return whole
    for key in left_out:
        without = {name: value for name, value in document.items() if name != key}
        document = without if same(plain, without, read) else document
    for key, value in sent.items():
        document = candidate if same(plain, candidate := {**document, key: value}, read) else document
    return document


def same(request: Request, document: dict[str, Any], read: ReadDocument) -> bool:
    """Whether a document is equivalent to the request."""
    return read(document) == request
