"""Single messages of the stream of captured calls: written under a name, read by their place, deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime

from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError as StreamNotFoundError

STREAM = "REGRAFT_CALLS"
SUBJECT = "regraft.calls"
PART_SUBJECT = "regraft.parts"
NAME_HEADER = "Nats-Msg-Id"  # a message that repeats one of the last minutes is not stored again


async def publish(
    context: JetStreamContext, subject: str, payload: bytes, name: str, headers: Mapping[str, str] | None = None
) -> int:
    """Store a message, once under its name; returns its sequence number when the server has acknowledged it."""
    lines = {**(headers or {}), NAME_HEADER: name}
    return (await context.publish(subject, payload, stream=STREAM, headers=lines)).seq


async def message_after(context: JetStreamContext, subject: str, sequence: int) -> RawStreamMsg | None:
    """The first message of a subject behind a sequence number."""
    try:
        return await context.get_msg(STREAM, seq=sequence + 1, subject=subject, next=True, direct=True)
    except StreamNotFoundError:
        return None


async def delete(context: JetStreamContext, sequence: int) -> bool:
    """Delete a message. False: it was not there."""
    with contextlib.suppress(StreamNotFoundError):
        await context.delete_msg(STREAM, sequence)
        return True
    return False


def stored_at(message: RawStreamMsg) -> datetime:
    """When the server stored a message."""
    assert message.time is not None  # the server always says it
    return message.time
