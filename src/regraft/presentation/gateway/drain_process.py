"""Keeps a drainer process running: starts it, sends it the position to drain up to, and restarts it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys

from regraft.infra.backoff import Backoff
from regraft.infra.environment import plain_environment
from regraft.infra.spool.writer import Spool
from regraft.presentation.gateway.drain import POSITION, REPORT, SHUTDOWN, DrainOrder
from regraft.presentation.gateway.metrics import Metrics

LINGER_SECONDS = 0.05  # lets a pack fill: one fsync of the server then covers many calls
BACKOFF = Backoff(0.1, 5.0)
SHUTDOWN_SECONDS = 5.0

log = logging.getLogger(__name__)


class DrainProcess:
    """Controls the gateway's drainer process. Runs on the loop; ``connected`` is the drainer's last report."""

    def __init__(self, spool: Spool, nats_url: str, metrics: Metrics, replicas: int | None = None) -> None:
        self._spool = spool
        level = logging.getLevelName(logging.getLogger("regraft").level)
        level = level if level != "NOTSET" else "WARNING"
        self._order = DrainOrder(str(spool.home.absolute()), nats_url, level, replicas)
        self._metrics = metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._start_again: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._moved = 0
        self._heard = b""
        self.connected = False

    def start(self) -> None:
        """Raises OSError when no process can be started."""
        self._start_again = None
        command = [sys.executable, "-m", "regraft.presentation.gateway.drain"]
        pipe = subprocess.PIPE
        # A session of its own: a Ctrl-C at the terminal is for the gateway, which sends the shutdown message.
        process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            bufsize=0,
            env=plain_environment(),
            pass_fds=(self._spool.lock,),
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._heard = process, b""
        self._metrics.drainer = process.pid
        process.stdin.write(self._order.line())
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        asyncio.get_running_loop().add_reader(process.stdout.fileno(), self._listen)
        self._tell()

    def wake(self) -> None:
        """There is something in the spool."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._tell)

    async def stop(self) -> None:
        """Drain for a few seconds; the remaining calls wait on disk for the next start."""
        self._stopping = True
        for timer in (self._timer, self._start_again):
            if timer is not None:
                timer.cancel()
        if self._process is None:
            return
        self._tell()
        self._send(SHUTDOWN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await self._ended.wait()
        self._close_process()

    def _tell(self) -> None:
        self._timer = None
        self._send(POSITION.pack(*self._spool.written))

    def _send(self, message: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return  # the next process learns it at its start
        try:
            os.write(process.stdin.fileno(), message)  # a pipe takes so few bytes whole or not at all
        except BlockingIOError:
            self.wake()
        except OSError:
            pass  # its end is heard on the other pipe

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        heard = self._process.stdout.read(1 << 16)
        if heard is None:
            return
        if not heard:
            self._lost()
            return
        heard = self._heard + heard
        whole = len(heard) - len(heard) % REPORT.size
        self._heard = heard[whole:]
        if whole:
            moved, segment, offset, self.connected = REPORT.unpack_from(heard, whole - REPORT.size)
            self._metrics.published += moved - self._moved
            self._moved = moved
            self._metrics.stream_up = int(self.connected)
            self._spool.delivered(segment, offset)
            if self.connected:
                self._failures = 0

    def _lost(self) -> None:
        code = self._close_process()
        self._ended.set()
        if self._stopping:
            return
        self._failures += 1
        self._metrics.drainer_restarts += 1
        log.error("the drainer ended (%s); starting it again", code)
        self._start_again = asyncio.get_running_loop().call_later(BACKOFF.after(self._failures), self._restart)

    def _restart(self) -> None:
        try:
            self.start()
        except OSError as error:
            log.error("the drainer cannot be started: %s", error)
            self._start_again = asyncio.get_running_loop().call_later(BACKOFF.longest, self._restart)

    def _close_process(self) -> int | None:
        """End what is left of the process. Its exit code, if it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        asyncio.get_running_loop().remove_reader(process.stdout.fileno())
        code = process.poll()
        process.kill()
        process.wait()
        self._metrics.drainer = 0
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        self.connected = False
        self._metrics.stream_up = 0
        self._moved = 0
        return code
