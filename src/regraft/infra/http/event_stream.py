"""Detect the end of an event stream before the body ends."""

from __future__ import annotations

import re

# The last events of a stream, at the start of a line: such bytes cannot occur inside a JSON string.
_END = re.compile(
    rb"(?:^|[\r\n])(?:data: ?\[DONE\]|event: ?(?:message_stop|response\.(?:completed|incomplete|failed))[\r\n])"
)
_TAIL = 40  # bytes of a chunk that are looked at again with the next


class EndWatch:
    """Reads along with an event stream."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def announced(self, chunk: bytes) -> bool:
        """Whether the event that clients stop reading at has come, with this chunk."""
        data = self._tail + chunk
        self._tail = data[-_TAIL:]
        if b"[DONE]" in data or b"message_stop" in data or b"response." in data:
            return _END.search(data) is not None
        return False
