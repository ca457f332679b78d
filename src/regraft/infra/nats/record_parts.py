"""Records that are too large for one message: stored as parts on a second subject, which no consumer reads.

A manifest that names the parts travels in the pack's place, so that any ingest process can put the record together.
Parts are deleted with the acknowledgement of their manifest. A publisher that dies before its manifest, or an ingest
process that dies after its acknowledgement, leaves parts that nothing names: ``RecordParts.sweep`` deletes them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError as StreamNotFoundError

from regraft.infra.nats.messages import (
    NAME_HEADER,
    PART_SUBJECT,
    STREAM,
    SUBJECT,
    delete,
    message_after,
    publish,
    stored_at,
)

PARTS_HEADER = "Regraft-Parts"
# A manifest follows its parts within this time, or never: a publisher that repeats a part within the duplicate window
# gets the old one, and then needs seconds for the rest. It must be longer than that window by far.
PART_GRACE = timedelta(hours=1)
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A record in parts: its digest in hexadecimal, its length, and the sequence numbers of its parts in order."""

    record: str
    bytes: int
    parts: tuple[int, ...]


def _read_manifest(data: bytes) -> Manifest | None:
    """The manifest in a message, or None when anything about it is wrong."""
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    record, size, parts = read.get("record"), read.get("bytes"), read.get("parts")
    if not isinstance(record, str) or not _DIGEST.fullmatch(record):
        return None
    if type(size) is not int or not isinstance(parts, list):
        return None
    sequences = tuple(each for each in parts if type(each) is int and each > 0)
    if not sequences or len(set(sequences)) != len(parts):
        return None
    return Manifest(record=record, bytes=size, parts=sequences)


@dataclass(frozen=True, slots=True)
class AssembledRecord:
    """A record that was assembled, and the sequence numbers of its parts."""

    record: bytes
    parts: tuple[int, ...]


class RecordParts:
    """The parts of large records in the stream. Errors are those of NATS, as they come."""

    def __init__(self, context: JetStreamContext) -> None:
        self._context = context

    async def publish(self, record: bytes, room: int) -> None:
        """Store a record in parts of ``room`` bytes, and then its manifest."""
        name = _digest(record)
        parts = [
            await publish(self._context, PART_SUBJECT, record[start : start + room], f"{name}-{room}-{start}")
            for start in range(0, len(record), room)
        ]
        manifest = json.dumps({"record": name, "bytes": len(record), "parts": parts}).encode()
        await publish(self._context, SUBJECT, manifest, name, {PARTS_HEADER: str(len(parts))})

    async def record(self, data: bytes) -> AssembledRecord | None:
        """The record that a manifest names; None when anything about the manifest is wrong.

        Only parts that were published for this very record count, so that nothing else is deleted with them.
        """
        manifest = _read_manifest(data)
        if manifest is None:
            return None
        record = BytesIO()  # gives its bytes without another copy of them
        for sequence in manifest.parts:
            try:
                part = await self._context.get_msg(STREAM, sequence, direct=True)
            except StreamNotFoundError:
                return None
            published_as = (part.headers or {}).get(NAME_HEADER, "")
            if part.subject != PART_SUBJECT or not published_as.startswith(f"{manifest.record}-"):
                return None
            record.write(part.data or b"")
            if record.tell() > manifest.bytes:
                return None
        whole = record.getvalue()
        if len(whole) != manifest.bytes or _digest(whole) != manifest.record:
            return None
        return AssembledRecord(whole, manifest.parts)

    async def forget(self, parts: tuple[int, ...]) -> None:
        """Delete the parts with these sequence numbers."""
        for sequence in parts:
            await delete(self._context, sequence)

    async def sweep(self, grace: timedelta) -> int:
        """Delete parts that no manifest names any more, or ever will; returns how many. Safe beside everything else.

        A part is named by a manifest that came at most ``grace`` after it. So it is left over when it is older than
        that, and when the oldest message that waits for ingest came more than ``grace`` after it: its manifest was
        acknowledged or never written. Clocks of this machine and the server may differ by less than ``grace``.
        """
        waiting = await self._context.stream_info(STREAM, subjects_filter=PART_SUBJECT)
        if not (waiting.state.subjects or {}).get(PART_SUBJECT):
            return 0
        now = datetime.now(UTC)  # before the look at what waits: a manifest written after it has younger parts
        oldest = await message_after(self._context, SUBJECT, 0)
        limit = now - grace if oldest is None else min(now, stored_at(oldest)) - grace
        deleted, sequence = 0, 0
        while part := await message_after(self._context, PART_SUBJECT, sequence):
            if part.seq is None or stored_at(part) >= limit:
                break
            sequence = part.seq
            deleted += await delete(self._context, sequence)
        return deleted


def is_manifest(message: Msg) -> bool:
    """Whether a message of the stream names the parts of a large record."""
    return PARTS_HEADER in (message.headers or {})


def _digest(record: bytes) -> str:
    return hashlib.blake2b(record, digest_size=32).hexdigest()
