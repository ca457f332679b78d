"""A file that is one conversation: an array of messages, or a message each line.

Cline's and Roo Code's ``api_conversation_history.json`` are such files, in the form of Anthropic's Messages API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from regraft.domain.capture.importers.chat_turns import is_turns, read_turns
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping
from regraft.domain.ids import TOO_DEEP, digest_json, nested_too_deeply

FORM = "messages"
_NO_TURN = "a record that is not a message"


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a message by itself."""
    value = mapping(record.value)
    lists = any(isinstance(value.get(key), list) for key in ("messages", "conversation", "conversations"))
    return isinstance(value.get("role"), str) and is_turns([value]) and not lists


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a file with one message."""
    yield from gather([record])


def gather(found: Iterable[JsonRecord]) -> Iterator[Found]:
    """The conversation of all records of a file."""
    said: list[ImportedMessage] = []
    key = ""
    for record in found:
        named = f"record {record.position + 1}"
        if nested_too_deeply(record.value):
            yield RefusedConversation(named, TOO_DEEP)
            continue
        if not recognises(record):
            yield RefusedConversation(named, _NO_TURN)
            continue
        key = key or digest_json(record.value).hex()[:32]
        try:
            messages = read_turns([record.value], FORM)
        except UnreadableConversationError as error:
            yield RefusedConversation("the file", str(error), named)
            return
        moment = nanoseconds(mapping(record.value).get("ts"))
        for each in messages:
            made = replace(each, parent=len(said) - 1 if said else None, started_ns=each.started_ns or moment)
            said.append(replace(made, key=made.key or str(len(said))))
    if said:
        yield Conversation(key=key, said=said, started_ns=said[0].started_ns)
