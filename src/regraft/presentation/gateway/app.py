"""The gateway's process: event loop, socket, signals and shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import threading
from multiprocessing.process import BaseProcess

import uvloop

from regraft.infra.http.body_memory import BodyMemory
from regraft.infra.http.requests import ClientLimits
from regraft.infra.http.server import HttpServer
from regraft.infra.telemetry.emitter import publishing_facts
from regraft.infra.telemetry.logs import configure_logging
from regraft.presentation.gateway.listener import BACKLOG, listen
from regraft.presentation.gateway.routes import Gateway
from regraft.presentation.gateway.settings import GatewaySettings
from regraft.presentation.gateway.workers import Supervisor

_SAME_SIGNAL_SECONDS = 1.0  # Ctrl-C reaches a process both from the terminal and from its parent

log = logging.getLogger(__name__)


class GatewayServer:
    """``run`` serves until SIGINT, SIGTERM or ``should_exit``; ``config`` are the limits for clients.

    SIGTERM drains: ``/readyz`` answers 503 at once, new calls are taken for ``drain_notice`` seconds more, and those in
    flight then have ``drain_seconds`` to end. SIGINT gives no notice. A further signal
    ends the notice, then the wait: what is still in flight is cut.
    """

    def __init__(self, settings: GatewaySettings, worker: int | None = None) -> None:
        self._settings = settings
        self._gateway = Gateway(settings, worker)
        self.config = ClientLimits(
            body_bytes=settings.max_body_bytes,
            kept_headers=frozenset(name.encode() for name in settings.kept_headers),
            memory=BodyMemory(settings.body_memory_bytes, settings.spool),
            drain_seconds=settings.drain_seconds,
        )
        self.started = False
        self._drain = asyncio.Event()  # a stop was asked for
        self._exit = asyncio.Event()  # no more calls are taken
        self._signalled: float | None = None
        self._http: HttpServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def should_exit(self) -> bool:
        return self._exit.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        """From any thread."""
        if value and self._loop is not None:
            self._loop.call_soon_threadsafe(self._exit.set)
        elif value:
            self._exit.set()

    def run(self, listener: socket.socket | None = None) -> None:
        """Raises PortInUseError and ConfigError before anything is started."""
        taken = listener or listen(self._settings.host, self._settings.port)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(taken))
        finally:
            self._loop = None
            taken.close()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._on_signal, number)
        gateway = self._gateway
        self._http = http = HttpServer(gateway.handle, self.config, gateway.metrics.count_refusal)
        http.begin()
        self.config.memory.sweep()
        await gateway.startup(http, self.config.memory)
        try:
            server = await loop.create_server(http.connection, sock=listener, backlog=BACKLOG)
            self.started = True
            await self._wait_for_stop(http)
            server.close()
            await http.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await server.wait_closed()
        finally:
            await gateway.shutdown()

    async def _wait_for_stop(self, http: HttpServer) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._drain, self._exit)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        self._gateway.draining = True
        if not self._exit.is_set() and (notice := self._settings.drain_notice):
            log.info("draining: new calls are taken for %g s more", notice)
            http.close_after_answers()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(notice):
                    await self._exit.wait()
        for wait in waits:
            wait.cancel()

    def _on_signal(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        if self._signalled is not None:
            if loop.time() - self._signalled > _SAME_SIGNAL_SECONDS and self._http is not None:
                self._exit.set()
                self._http.end_now()
                self._signalled = loop.time()
            return
        self._signalled = loop.time()
        if number == signal.SIGTERM:
            self._drain.set()
        else:
            self._exit.set()


def server_of(settings: GatewaySettings) -> GatewayServer:
    """The server, not yet running. Raises ConfigError."""
    return GatewayServer(settings)


def serve(settings: GatewaySettings) -> None:
    """Serve until SIGINT or SIGTERM: calls in flight are finished first. Raises PortInUseError and ConfigError."""
    server, listener = GatewayServer(settings), listen(settings.host, settings.port)
    if settings.workers > 1:
        listener.close()
        with listen(settings.host, settings.port, shared=True):  # keeps the port while a process restarts
            Supervisor(settings, work).run()
        return
    freeze_garbage_collector()
    server.run(listener)


def freeze_garbage_collector() -> None:
    """Exclude the loaded modules from garbage collection and run it less often: calls leave few cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def work(settings: GatewaySettings, number: int, level: str) -> None:
    """Run one process of several; it ends when its parent ends."""
    configure_logging(level)
    server = GatewayServer(settings, number)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_until_orphaned, args=(parent,), daemon=True).start()
    freeze_garbage_collector()
    with publishing_facts(lambda: settings.nats_url):
        server.run(listen(settings.host, settings.port, shared=True))


def _until_orphaned(parent: BaseProcess) -> None:
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
