"""Where captured calls go: into the spool, and into the numbers. A failure here is loud and never reaches a client."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from regraft import __version__
from regraft.infra.nats.codec import encode_fields
from regraft.infra.spool import Spool
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.redaction import Redactor

COMPLAIN_SECONDS = 1.0

log = logging.getLogger(__name__)


class EventIds:
    """Version 7 UUIDs as bytes; randomness is fetched for many at a time."""

    def __init__(self) -> None:
        self._random = b""
        self._used = 0

    def new(self, unix_ns: int) -> bytes:
        start = self._used
        if start >= len(self._random):
            self._random = os.urandom(4000)
            start = 0
        self._used = start + 10
        value = ((unix_ns // 1_000_000) << 80) | int.from_bytes(self._random[start : start + 10], "big")
        return (value & _CLEARED | _VERSION_7).to_bytes(16, "big")


_CLEARED = ~((0xF << 76) | (0x3 << 62))
_VERSION_7 = (0x7 << 76) | (0x2 << 62)


def uuid_text(raw: bytes) -> str:
    """The usual spelling of a UUID."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Recorder:
    """Writes calls to the spool; ``wake`` is called after each, so that they are moved on."""

    def __init__(
        self, spool: Spool, metrics: Metrics, scope: str, wake: Callable[[], None], redactor: Redactor | None = None
    ) -> None:
        self._redactor = redactor
        self.scope = scope
        self.ids = EventIds()
        self.failing = False
        self._metrics = metrics
        self._append = spool.append_records
        self._wake = wake
        self._complained = 0.0
        self._unsaid = 0

    def record(
        self,
        event_id: bytes,
        scope: str,
        endpoint: str,
        upstream: str,
        upstream_pin: str,
        started_ns: int,
        first_byte_ns: int | None,
        duration_ns: int,
        request: bytes,
        status: int,
        response_type: str,
        response_encoding: str,
        response: bytes,
        cut: str,
        error: str,
        identity: tuple[str | None, ...],
        operation_id: bytes = b"",
        attempt: int = 1,
        final: bool = True,
        traceparent: str = "",
        asked_model: str = "",
        request_compressed: bytes | None = None,
    ) -> bool:
        """The fields of an Exchange. When this returns they are in the spool, or were counted and logged as lost."""
        try:
            if (redactor := self._redactor) is not None:
                request, _ = redactor.body(request)
                response, response_encoding = redactor.body(response, response_type, response_encoding)
                identity, error = redactor.identity(identity), redactor.text(error)
                asked_model, traceparent = redactor.text(asked_model), redactor.text(traceparent)
                request_compressed = None
            self._append(
                [
                    encode_fields(
                        event_id,
                        scope or self.scope,
                        endpoint,
                        upstream,
                        upstream_pin,
                        started_ns,
                        first_byte_ns,
                        duration_ns,
                        request,
                        status,
                        response_type,
                        response_encoding,
                        response,
                        cut,
                        error,
                        identity,
                        __version__,
                        operation_id,
                        attempt,
                        final,
                        traceparent,
                        asked_model,
                        request_compressed,
                    )
                ]
            )
        except Exception as failure:  # noqa: BLE001 capture never breaks a client
            self._lost(failure)
            return False
        self.failing = False
        self._metrics.captured += 1
        self._wake()
        return True

    def _lost(self, error: Exception) -> None:
        self.failing = True
        self._metrics.capture_failures += 1
        self._unsaid += 1
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_SECONDS:
            log.error("%d answered call(s) could NOT be captured: %s", self._unsaid, error)
            self._complained, self._unsaid = now, 0
