"""How many calls of a key may be under way at once in all processes of one gateway, and who waits for a turn."""

from __future__ import annotations

import asyncio

from regraft.presentation.gateway.limits import ConcurrencyLimit, Waiter
from regraft.presentation.gateway.shared_slots import SharedSlots

LOOK_SECONDS = 0.02  # between two searches for a slot that another process gave back


class SharedConcurrencyLimit(ConcurrencyLimit):
    """Lets ``limit`` calls through at once, those of the other processes included. ``queue`` more wait in each.

    A call of another process that has waited noticeably longer goes first.
    """

    def __init__(self, limit: int, queue: int, seconds: float, slots: SharedSlots, place: int) -> None:
        super().__init__(limit, queue, seconds)
        self._slots = slots
        self._place = place
        self._looking: asyncio.TimerHandle | None = None

    def enter(self, waiter: Waiter) -> bool:
        loop = asyncio.get_running_loop()
        if not self._waiting and self._slots.take(self._place, self.limit, loop.time()):
            return True
        self._wait(waiter)
        if self._looking is None:
            self._looking = loop.call_later(LOOK_SECONDS, self._look)
        return False

    def leave(self) -> None:
        if not self._waiting:
            self._slots.give(self._place)
        elif self._slots.pass_on(self._place, self.limit, self._since()):
            waiter, _ = self._waiting.popleft()
            waiter.admitted()

    def _since(self) -> float:
        return self._waiting[0][1] - self._seconds

    def _look(self) -> None:
        self._looking = None
        while self._waiting and self._slots.take(self._place, self.limit, self._since()):
            waiter, _ = self._waiting.popleft()
            waiter.admitted()
        if not self._waiting:
            self._slots.withdraw(self._place)
        elif self._looking is None:  # who was admitted may have brought others here
            self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
