"""Where captured calls go: into the spool, and into the numbers. A failure here is loud and never reaches a client."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from regraft import __version__
from regraft.domain.exchange import Exchange
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.spool import Spool
from regraft.presentation.gateway.metrics import Metrics

COMPLAIN_SECONDS = 1.0
VERSION = __version__

log = logging.getLogger(__name__)


class Recorder:
    """Writes Exchanges to the spool; ``wake`` is called after each, so that they are moved on."""

    def __init__(self, spool: Spool, metrics: Metrics, scope: str, wake: Callable[[], None]) -> None:
        self.scope = scope
        self.metrics = metrics
        self.failing = False
        self._spool = spool
        self._wake = wake
        self._complained = 0.0
        self._unsaid = 0

    def record(self, exchange: Exchange) -> None:
        """When this returns the call is in the spool, or was counted and logged as lost."""
        try:
            self._spool.append(encode_exchange(exchange))
        except Exception as error:  # noqa: BLE001 capture never breaks a client
            self._lost(error)
            return
        self.failing = False
        self.metrics.captured += 1
        self._wake()

    def _lost(self, error: Exception) -> None:
        self.failing = True
        self.metrics.capture_failures += 1
        self._unsaid += 1
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_SECONDS:
            log.error("%d answered call(s) could NOT be captured: %s", self._unsaid, error)
            self._complained, self._unsaid = now, 0
