"""Serving until SIGINT or SIGTERM: streams of events end at once, other requests have a few seconds to be answered."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from regraft.presentation.web.stopping import Stopping

DRAIN_SECONDS = 5  # with what stops after it, less than `regraft up` waits before it kills


class WebServer(uvicorn.Server):
    """Uvicorn, which tells the application's streams of events to end before it waits for requests."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self._stopping: Stopping = app.state.stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end streams of events, and wait for what is being answered."""
        self._stopping.set()
        await super().shutdown(sockets)
