"""Concurrency limits, and the queue of waiting calls."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class TooBusyError(Exception):
    """The queue is full."""


class Waiter(Protocol):
    def admitted(self) -> None:
        """It is this waiter's turn."""

    def turned_away(self) -> None:
        """The turn did not come in time."""


class ConcurrencyLimit:
    """Lets ``limit`` calls through at once; ``queue`` more wait, first come first served, for ``seconds`` at most."""

    def __init__(self, limit: int, queue: int, seconds: float) -> None:
        self.limit = limit
        self._queue = queue
        self._seconds = seconds
        self._inside = 0
        self._waiting: deque[tuple[Waiter, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def enter(self, waiter: Waiter) -> bool:
        """True: continue. False: ``admitted`` or ``turned_away`` will be called. Raises TooBusyError."""
        if self._inside < self.limit:
            self._inside += 1
            return True
        self._wait(waiter)
        return False

    def leave(self) -> None:
        """A call that was let through is over: the next one goes."""
        if self._waiting:
            waiter, _ = self._waiting.popleft()
            waiter.admitted()
        else:
            self._inside -= 1

    def forget(self, waiter: Waiter) -> None:
        """The waiter went away."""
        self._waiting = deque(each for each in self._waiting if each[0] is not waiter)

    def _wait(self, waiter: Waiter) -> None:
        if len(self._waiting) >= self._queue:
            raise TooBusyError
        loop = asyncio.get_running_loop()
        self._waiting.append((waiter, loop.time() + self._seconds))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._waiting and self._waiting[0][1] <= loop.time() + 0.001:
            self._waiting.popleft()[0].turned_away()
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][1], self._expire)
