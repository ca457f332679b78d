"""The ids of captured calls, made many at a time."""

from __future__ import annotations

import os


class EventIds:
    """Version 7 UUIDs; their random parts are generated many at a time."""

    def __init__(self) -> None:
        self._ends: list[tuple[bytes, str]] = []
        self._millisecond = -1
        self._begin, self._begin_text = b"", ""

    def new(self, unix_ns: int) -> bytes:
        return self.new_pair(unix_ns)[0]

    def new_pair(self, unix_ns: int) -> tuple[bytes, str]:
        """The id as bytes, and as it is usually written."""
        millisecond = unix_ns // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._begin = millisecond.to_bytes(6, "big")
            text = self._begin.hex()
            self._begin_text = f"{text[:8]}-{text[8:]}-"
        if not self._ends:
            self._ends = _random_ends()
        end, end_text = self._ends.pop()
        return self._begin + end, self._begin_text + end_text


def _random_ends(count: int = 256) -> list[tuple[bytes, str]]:
    """The last ten bytes of so many ids, with version and variant in their places."""
    random = bytearray(os.urandom(10 * count))
    random[::10] = random[::10].translate(_VERSION)
    random[2::10] = random[2::10].translate(_VARIANT)
    raw, text = bytes(random), random.hex()
    return [
        (raw[at // 2 : at // 2 + 10], f"{text[at : at + 4]}-{text[at + 4 : at + 8]}-{text[at + 8 : at + 20]}")
        for at in range(0, 20 * count, 20)
    ]


_VERSION = bytes(byte & 0x0F | 0x70 for byte in range(256))
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))


def uuid_text(raw: bytes) -> str:
    """The usual spelling of a UUID."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
