"""Exports spans by OTLP over HTTP from a separate thread: nothing that tells a span ever waits for the receiver.

The libraries are those of the extra ``regraft[otel]``; they are loaded by that thread.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regraft.domain.errors import ConfigError
from regraft.infra.telemetry.span import Span

if TYPE_CHECKING:
    from regraft.infra.telemetry.otlp import OtlpClient

_MOST_WAITING = 8192  # spans, after which new ones are dropped: about 16 MB
_BATCH = 512
_LINGER_SECONDS = 1.0  # lets a batch fill
_EXPORT_SECONDS = 10.0  # with the tries after the first
_CLOSE_SECONDS = 2.0
_LIBRARIES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Where spans go: a whole URL, and what is sent along with each request. ``ratio``: the share of traces that begin
    here which are exported."""

    url: str
    ratio: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def require_libraries() -> None:
    """Raises ConfigError where the extra is not installed."""
    for name in _LIBRARIES:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise ConfigError("otel.endpoint is set, which needs more packages: pip install 'regraft[otel]'.")


class SpanExporter:
    """``take`` spans from any thread; ``close`` exports what waits, for two seconds at most.

    ``exported`` and ``dropped`` count spans. A batch is tried for ten seconds; 8,192 more wait meanwhile, then new ones
    are dropped.
    """

    def __init__(self, settings: TraceSettings, service: str) -> None:
        self.settings = settings
        self.exported = 0
        self.dropped = 0
        self._service = service
        self._waiting: deque[Span] = deque()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._away = False

    def take(self, spans: Iterable[Span]) -> None:
        """Have spans exported soon."""
        for span in spans:
            if len(self._waiting) >= _MOST_WAITING:
                self.dropped += 1
            else:
                self._waiting.append(span)
        if self._thread is None and self._waiting:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Export what waits, and end."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def _run(self) -> None:
        from regraft.infra.telemetry.otlp import OtlpClient

        client = OtlpClient(self.settings.url, self.settings.headers, self._service, _EXPORT_SECONDS)
        closing = False
        while not closing:
            closing = self._closing.wait(_LINGER_SECONDS)
            while self._waiting:
                self._export(client)

    def _export(self, client: OtlpClient) -> None:
        batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        try:
            exported = client.send(batch)
        except Exception:  # a fault of the exporter's library ends no thread: the batch counts as dropped
            log.exception("spans cannot be exported")
            exported = False
        if exported:
            self.exported += len(batch)
        else:
            self.dropped += len(batch)
        if exported is self._away:
            self._away = not exported
            if self._away:
                log.warning("spans are lost: %s does not take them", self.settings.url)
            else:
                log.info("spans are exported again")
