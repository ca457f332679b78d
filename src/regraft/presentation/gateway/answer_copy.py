"""The copy of an answer for the record, made while the bytes go to the client."""

from __future__ import annotations

from typing import cast

from regraft.infra.http.body_memory import BodyMemory, GatheredBody, PackedBody

GATHER = 1 << 20  # bytes of an answer from which on it shares the memory of large bodies


class AnswerCopy:
    """The pieces of an answer unchanged; of a large one in the memory that all large bodies share.

    A large answer is compressed unchanged if it ``packs``. After ``finish`` the answer is in ``body``, or compressed
    in ``packed``.
    """

    __slots__ = ("_failed", "_gathered", "_memory", "_packs", "_pieces", "_size", "body", "packed")

    def __init__(self, memory: BodyMemory, packs: bool) -> None:
        self._memory = memory
        self._packs = packs
        self._pieces: list[bytes] = []
        self._size = 0
        self._gathered: GatheredBody | PackedBody | None = None
        self._failed: OSError | None = None
        self.body = b""
        self.packed: bytes | None = None

    def append(self, chunk: bytes) -> None:
        """Add the next piece. It never fails: where there is no room for it, ``finish`` says so."""
        self._size += len(chunk)
        if self._gathered is None and self._size <= GATHER:
            self._pieces.append(chunk)
        elif self._failed is None:
            self._gather(chunk)

    def finish(self) -> None:
        """Put the pieces together. Raises OSError when there was no room for them."""
        if self._failed is not None:
            raise self._failed
        gathered, pieces = self._gathered, self._pieces
        if gathered is None:
            self.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        elif isinstance(gathered, PackedBody):
            self.packed = cast(bytes, gathered.finish())
        else:
            self.body = cast(bytes, gathered.finish())

    def _gather(self, chunk: bytes) -> None:
        pieces, self._pieces = self._pieces, []
        try:
            if self._gathered is None:
                self._gathered = PackedBody(self._memory) if self._packs else GatheredBody(self._memory)
            for piece in (*pieces, chunk):
                self._gathered.append(piece)
        except OSError as error:
            self._gathered, self._failed = None, error
