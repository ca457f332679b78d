"""Several gateway processes on one port: the kernel spreads connections over them, a parent keeps them alive.

Each has a spool of its own. Each writes its numbers to a small file every second, so that whichever is asked for
``/metrics`` answers for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess
from types import FrameType

import orjson

from regraft.infra.telemetry.logs import configure_logging
from regraft.presentation.gateway.metrics import Metrics, Numbers
from regraft.presentation.gateway.settings import GatewaySettings

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
WRITE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Siblings:
    """The numbers of the other processes of this gateway."""

    def __init__(self, settings: GatewaySettings, number: int, metrics: Metrics) -> None:
        self._folder = settings.spool / f".workers-{settings.port}"
        self._own = self._folder / f"{number}.json"
        self._metrics = metrics
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._own.unlink(missing_ok=True)

    def numbers(self) -> list[Numbers]:
        """What the others have counted, as of a second ago."""
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
            log.warning("the numbers of this process cannot be written: %s", error)


class Supervisor:
    """Starts ``settings.workers`` processes, starts again what dies, and ends them all when told."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("spawn")
        self._stopping = threading.Event()
        self._level = logging.getLevelName(logging.getLogger("regraft").level)

    def run(self) -> None:
        """Until SIGINT or SIGTERM."""
        for path in (self._settings.spool / f".workers-{self._settings.port}").glob("*.json"):
            path.unlink(missing_ok=True)  # numbers of processes of the past
        before = {number: signal.signal(number, self._told) for number in (signal.SIGINT, signal.SIGTERM)}
        workers = {number: self._start(number) for number in range(self._settings.workers)}
        pauses = dict.fromkeys(workers, FIRST_PAUSE)
        born = dict.fromkeys(workers, time.monotonic())
        try:
            while not self._stopping.is_set():
                multiprocessing.connection.wait([each.sentinel for each in workers.values()], timeout=0.2)
                for number, worker in workers.items():
                    if worker.is_alive() or self._stopping.is_set():
                        continue
                    log.error("gateway process %d ended (%s); starting it again", number, worker.exitcode)
                    lived = time.monotonic() - born[number]
                    pauses[number] = FIRST_PAUSE if lived > 10 else min(pauses[number] * 2, LONGEST_PAUSE)
                    self._stopping.wait(pauses[number])
                    workers[number], born[number] = self._start(number), time.monotonic()
        finally:
            for worker in workers.values():
                if worker.is_alive():
                    worker.terminate()
            for worker in workers.values():
                worker.join()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, number: int) -> BaseProcess:
        worker = self._context.Process(
            target=work, args=(self._settings, number, self._level), name=f"regraft-gateway-{number}"
        )
        worker.start()
        return worker

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()


def work(settings: GatewaySettings, number: int, level: str) -> None:
    """One process of several. Ends when its parent does, however that ended."""
    from regraft.presentation.gateway.app import Server, listen, settle

    configure_logging(level)
    server = Server(settings, number)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_until_orphaned, args=(parent,), daemon=True).start()
    settle()
    server.run(listen(settings.host, settings.port, shared=True))


def _until_orphaned(parent: BaseProcess) -> None:
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
