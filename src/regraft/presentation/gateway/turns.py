"""The concurrency limits that a call must pass."""

from __future__ import annotations

from collections.abc import Callable

from regraft.presentation.gateway.limits import ConcurrencyLimit, TooBusyError


class Turns:
    """A call's slots in one limit after another, which it holds until it ends.

    ``admitted`` is called when a turn that had to be waited for has come, ``refused`` when there is none for this call.
    """

    __slots__ = ("_admitted", "_ahead", "_inside", "_queued_at", "_refused")

    def __init__(self, admitted: Callable[[], None], refused: Callable[[], None]) -> None:
        self._admitted = admitted
        self._refused = refused
        self._inside: tuple[ConcurrencyLimit, ...] = ()
        self._queued_at: ConcurrencyLimit | None = None
        self._ahead: tuple[ConcurrencyLimit | None, ...] = ()

    def take(self, limits: tuple[ConcurrencyLimit | None, ...]) -> bool:
        """Whether the call may continue now. False: it waits for its turn, or was refused."""
        for number, limit in enumerate(limits):
            if limit is None:
                continue
            try:
                if not limit.enter(self):
                    self._queued_at, self._ahead = limit, limits[number + 1 :]
                    return False
            except TooBusyError:
                self._refused()
                return False
            self._inside += (limit,)
        return True

    def admitted(self) -> None:
        limit, self._queued_at = self._queued_at, None
        assert limit is not None
        self._inside += (limit,)
        if self.take(self._ahead):
            self._admitted()

    def turned_away(self) -> None:
        self._queued_at = None
        self._refused()

    def leave(self, limit: ConcurrencyLimit) -> None:
        """Give back the place in one limit."""
        self._inside = tuple(each for each in self._inside if each is not limit)
        limit.leave()

    def end(self) -> None:
        """Give back every place, and wait for no other."""
        if self._queued_at is not None:
            self._queued_at.forget(self)
            self._queued_at = None
        inside, self._inside = self._inside, ()
        for limit in inside:
            limit.leave()
