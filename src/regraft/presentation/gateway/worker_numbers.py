"""The metrics of all processes of one gateway, so that each of them can answer ``/metrics`` for all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import msgspec

from regraft.infra.telemetry.numbers import Numbers, combined
from regraft.presentation.gateway.metrics import DEFINITIONS, Metrics
from regraft.presentation.gateway.settings import GatewaySettings

WRITE_SECONDS = 1.0

_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(Numbers).decode

log = logging.getLogger(__name__)


class WorkerNumbers:
    """Each process of a gateway writes its metrics to a small file every second and reads those of the others.

    A process that ends leaves what it counted to its successor: counters of the gateway do not go back.
    """

    def __init__(self, settings: GatewaySettings, number: int, metrics: Metrics) -> None:
        self._folder = folder_of(settings)
        self._own = self._folder / f"{number}.json"
        self._metrics = metrics
        self._earlier: list[Numbers] = []
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            self._earlier = [_DECODE(self._own.read_bytes()).counted(DEFINITIONS)]
        self._write()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._keep(self._whole().counted(DEFINITIONS))

    def others(self) -> list[Numbers]:
        """What the other processes counted, up to a second ago, and what the predecessors of this one did."""
        found = list(self._earlier)
        for path in self._folder.glob("*.json"):
            if path != self._own:
                with contextlib.suppress(OSError, msgspec.MsgspecError):
                    found.append(_DECODE(path.read_bytes()))
        return found

    def _write(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._write)
        self._keep(self._whole())

    def _whole(self) -> Numbers:
        return combined((self._metrics.numbers(), *self._earlier), DEFINITIONS)

    def _keep(self, numbers: Numbers) -> None:
        try:
            fresh = self._own.with_suffix(".new")
            fresh.write_bytes(_ENCODE(numbers))
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
