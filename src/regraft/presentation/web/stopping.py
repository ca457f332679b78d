"""Whether the server is about to stop, for streams of events, which would continue without end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import Depends, Request


class Stopping:
    """A stream of events waits on it between two looks."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """From the loop only."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for this long, or until the server stops; whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        return self._event.is_set()


async def _stopping(request: Request) -> Stopping:
    stopping: Stopping = request.app.state.stopping
    return stopping


ServerStopping = Annotated[Stopping, Depends(_stopping)]
