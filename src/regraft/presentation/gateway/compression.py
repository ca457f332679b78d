"""The compression of a large request for the record, on another thread while the call continues."""

from __future__ import annotations

import asyncio
from typing import cast

from regraft.infra.http.body_memory import BodyMemory, MappedBody, compressed

COMPRESS_ASIDE = 1 << 20  # bytes of a request from which on it is compressed on another thread


class BodyCompression:
    """One request body that is being compressed."""

    __slots__ = ("_body", "_result")

    def __init__(self, body: bytes, memory: BodyMemory) -> None:
        self._body = body
        loop = asyncio.get_running_loop()
        self._result: asyncio.Future[bytes | MappedBody] = loop.run_in_executor(None, compressed, body, memory)

    def result(self) -> bytes:
        """The compressed body; the body itself where compressing is not done, or failed because there was no room."""
        result = self._result
        if not result.done() or result.cancelled() or result.exception() is not None:
            return self._body
        return cast(bytes, result.result())
