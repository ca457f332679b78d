"""The message that stands in a pack's place on the stream for a record that is too large for one message."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A record in parts: its digest in hexadecimal, its length, and the sequence numbers of its parts in order."""

    record: str
    bytes: int
    parts: tuple[int, ...]


def read_manifest(data: bytes) -> Manifest | None:
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
