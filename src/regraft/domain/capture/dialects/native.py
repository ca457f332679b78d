"""What a dialect says that the chat form cannot: kept beside it under ``native``, and put back when it is asked again.

Nothing is listed by hand. A request is read into the chat form and written back; wherever the two differ, the original
is kept, in the message that represents it or in the request's ``other`` part. What was kept counts only while it still
means what the chat form says: a replay that edits a message is not overruled by it.
"""

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
    """The chat messages of all units; a unit that they alone would not give again goes into its first message."""
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
    """What ``read_units`` was given, from its messages or from edited ones."""
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
    """``request`` with what of ``document`` it would not give again."""
    again = write(request)
    sent = {key: value for key, value in document.items() if key not in again or again[key] != value}
    left_out = sorted(again.keys() - document.keys())
    kept: dict[str, Any] = {**({"sent": sent} if sent else {}), **({"left_out": left_out} if left_out else {})}
    return replace(request, other={**request.other, NATIVE: kept}) if kept else request


def restore(request: Request, read: ReadDocument, write: WriteRequest) -> dict[str, Any]:
    """The document of a request, with what was kept of it as far as that still means the same."""
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
    """Whether a document says just what the request says."""
    return read(document) == request
