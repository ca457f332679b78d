"""A limit of processor time for reading one call, so that no odd one holds up the calls of others.

Works in the main thread, where a signal interrupts Python code and regular expressions alike; elsewhere it limits
nothing. What runs in C without looking at signals (the JSON parser, decompression) is linear and bounded by the size.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

from regraft.domain.errors import CorruptEventError

SLOW = "slow:"
_AGAIN = 0.05  # seconds after which the interruption comes again, should something have swallowed it


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """What reading one call may take: seconds of processor time, and bytes of its unpacked bodies.

    ``final``: what exceeds them is not tried again.
    """

    seconds: float
    bytes: int
    final: bool = False

    @property
    def prefix(self) -> str:
        """How the reason begins that a call is set aside under."""
        return "" if self.final else f"{SLOW} "


AT_ONCE = ReadingLimits(0.5, 16 << 20)  # beside the calls of everybody
APART = ReadingLimits(60.0, 1 << 30, final=True)  # in a process of its own


class TimeBudgetExceeded(BaseException):
    """Not an Exception: code that is lenient about what it reads must not take it for bad data."""


class SlowCallError(CorruptEventError):
    """A call that takes longer to read than the limits allow."""


class TimeBudget:
    """Use as ``with``: raises TimeBudgetExceeded in its block after so many seconds of processor time."""

    __slots__ = ("_active", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._active = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._active = True
            signal.signal(signal.SIGPROF, self._over)
            signal.setitimer(signal.ITIMER_PROF, self._seconds, _AGAIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            self._active = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            # Late signals that are still on their way end a process without a handler.
            signal.signal(signal.SIGPROF, _ignore)

    def _over(self, _number: int, _frame: FrameType | None) -> None:
        if self._active:
            raise TimeBudgetExceeded


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return None
