"""The metrics of all processes of one gateway, so that each of them can answer ``/metrics`` for all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import orjson

from regraft.presentation.gateway.metrics import Metrics, Numbers
from regraft.presentation.gateway.settings import GatewaySettings

WRITE_SECONDS = 1.0

log = logging.getLogger(__name__)


class WorkerNumbers:
    """Each process of a gateway writes its metrics to a small file every second and reads those of the others."""

    def __init__(self, settings: GatewaySettings, number: int, metrics: Metrics) -> None:
        self._folder = folder_of(settings)
        self._own = self._folder / f"{number}.json"
        self._metrics = metrics
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._own.unlink(missing_ok=True)

    def others(self) -> list[Numbers]:
        """The metrics of the other processes, up to a second old."""
        found = []
        for path in self._folder.glob("*.json"):
            if path != self._own:
                with contextlib.suppress(OSError, ValueError):
                    found.append(orjson.loads(path.read_bytes()))
        return found

    def _write(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._write)
        try:
            fresh = self._own.with_suffix(".new")
            fresh.write_bytes(orjson.dumps(self._metrics.numbers()))
            fresh.replace(self._own)
        except OSError as error:
            log.warning("the metrics of this process cannot be written: %s", error)


def rates_file(settings: GatewaySettings) -> Path:
    """Where the processes of one gateway keep the rates of keys."""
    return folder_of(settings) / "rates"


def slots_file(settings: GatewaySettings) -> Path:
    """Where the processes of one gateway keep how many calls of a key are under way."""
    return folder_of(settings) / "slots"


def folder_of(settings: GatewaySettings) -> Path:
    """Where the processes of one gateway keep what they share."""
    return settings.spool / f".workers-{settings.port}"
