"""A repeated message head: connections send the same head again and again, except for its content-length.

A head that a strict parser has accepted need not be parsed again. Heads are compared by their bytes, so a head that the
parser would refuse or read differently never matches."""

from __future__ import annotations

_MOST_DIGITS = 12


class RepeatedHead:
    """A head in two pieces, with the content-length between them."""

    __slots__ = ("_before", "_length_at", "_rest")

    def __init__(self, before: bytes, rest: bytes) -> None:
        self._before = before
        self._rest = rest
        self._length_at = len(before)

    @classmethod
    def of(cls, data: bytes) -> RepeatedHead | None:
        """The head at the start of ``data``, which a parser has accepted; None when it does not tell one length."""
        head = data[: data.find(b"\r\n\r\n") + 4]
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:") + 17
        if at < 17 or lower.count(b"\ncontent-length") != 1 or b"\ntransfer-encoding" in lower:
            return None
        while head[at : at + 1] == b" ":
            at += 1
        end = head.find(b"\r", at)
        return cls(head[:at], head[end:]) if head[at:end].isdigit() else None

    def whole_body(self, data: bytes) -> bytes | None:
        """The body, when ``data`` is this head with any length, followed by just so many bytes."""
        at = self._length_at
        if not data.startswith(self._before):
            return None
        end = data.find(b"\r", at, at + _MOST_DIGITS)
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._rest, end):
            return None
        start = end + len(self._rest)
        return data[start:] if len(data) - start == int(digits) else None
