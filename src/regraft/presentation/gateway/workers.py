"""Several gateway processes on one port: the kernel spreads connections over them, a parent keeps them alive.

Each has its own spool.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType

from regraft.infra.backoff import Backoff
from regraft.presentation.gateway.settings import GatewaySettings
from regraft.presentation.gateway.worker_numbers import folder_of, rates_file, slots_file

BACKOFF = Backoff(0.2, 5.0)

log = logging.getLogger(__name__)


class Supervisor:
    """Runs ``work(settings, number, log_level)`` in ``settings.workers`` processes.

    A process that ends is started again; a signal goes to them all, and so does a second one.
    """

    def __init__(self, settings: GatewaySettings, work: Callable[[GatewaySettings, int, str], None]) -> None:
        self._settings = settings
        self._work = work
        self._context = multiprocessing.get_context("spawn")
        self._stopping = threading.Event()
        self._signals, self._signal = 0, int(signal.SIGTERM)  # how many came; the last one
        self._level = logging.getLevelName(logging.getLogger("regraft").level)

    def run(self) -> None:
        """Until SIGINT or SIGTERM."""
        folder, settings = folder_of(self._settings), self._settings
        for path in (*folder.glob("*.json"), *folder.glob("*.alive"), rates_file(settings), slots_file(settings)):
            path.unlink(missing_ok=True)  # of an earlier start
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        workers = {number: self._start(number) for number in range(self._settings.workers)}
        failures = dict.fromkeys(workers, 0)
        born = dict.fromkeys(workers, time.monotonic())
        try:
            while not self._stopping.is_set():
                multiprocessing.connection.wait([each.sentinel for each in workers.values()], timeout=0.2)
                for number, worker in workers.items():
                    if worker.is_alive() or self._stopping.is_set():
                        continue
                    log.error("gateway process %d ended (%s); starting it again", number, worker.exitcode)
                    lived = time.monotonic() - born[number]
                    failures[number] = 1 if lived > 10 else failures[number] + 1
                    self._stopping.wait(BACKOFF.after(failures[number]))
                    workers[number], born[number] = self._start(number), time.monotonic()
        finally:
            self._end(list(workers.values()))
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, number: int) -> BaseProcess:
        worker = self._context.Process(
            target=self._work, args=(self._settings, number, self._level), name=f"regraft-gateway-{number}"
        )
        worker.start()
        return worker

    def _end(self, workers: list[BaseProcess]) -> None:
        """Pass on the signal, and each further one, until all have ended."""
        passed_on = 0
        while alive := [worker for worker in workers if worker.is_alive()]:
            if passed_on < max(1, self._signals):
                passed_on += 1
                for worker in alive:
                    if worker.pid is not None:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(worker.pid, self._signal)
            multiprocessing.connection.wait([worker.sentinel for worker in alive], timeout=0.2)
        for worker in workers:
            worker.join()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._signal = number
        self._stopping.set()
