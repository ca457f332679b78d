"""A limit of processor time for reading one call, so that no odd one holds up the calls of others.

Works in the main thread, where a signal interrupts Python code and regular expressions alike; elsewhere it limits
nothing. What runs in C without looking at signals (the JSON parser, decompression) is linear and bounded by the size.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import ClassVar, Self

from regraft.domain.errors import CorruptEventError

SLOW = "slow:"
_AGAIN = 0.05  # seconds after which the interruption comes again, should something have swallowed it


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """What reading one call may take: seconds of processor time, and bytes of its unpacked bodies.

    ``final``: what exceeds them is not retried.
    """

    seconds: float
    bytes: int
    final: bool = False

    @property
    def prefix(self) -> str:
        """How the reason begins that a call is set aside under."""
        return "" if self.final else f"{SLOW} "


AT_ONCE = ReadingLimits(0.5, 16 << 20)  # beside the calls of everyone
APART = ReadingLimits(60.0, 1 << 30, final=True)  # in a separate process


class TimeBudgetExceeded(BaseException):
    """Not an Exception: code that is lenient about what it reads must not take it for bad data."""


class SlowCallError(CorruptEventError):
    """A call that takes longer to read than the limits allow."""


class TimeBudget:
    """Use as ``with``, one at a time: raises TimeBudgetExceeded in its block after this much processor time."""

    __slots__ = ("_seconds",)
    _handled: ClassVar[bool] = False  # never reset: a late signal ends a process that has no handler any more
    _running: ClassVar[TimeBudget | None] = None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            if not TimeBudget._handled:
                signal.signal(signal.SIGPROF, _over)
                TimeBudget._handled = True
            TimeBudget._running = self
            signal.setitimer(signal.ITIMER_PROF, self._seconds, _AGAIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if TimeBudget._running is self:
            TimeBudget._running = None
            signal.setitimer(signal.ITIMER_PROF, 0)


def _over(_number: int, _frame: FrameType | None) -> None:
    if TimeBudget._running is not None:
        raise TimeBudgetExceeded
