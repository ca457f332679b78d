"""A limit to failed sign-ins, so that tokens cannot be tried one after another."""

from __future__ import annotations

from collections import OrderedDict, deque


class FailedAttempts:
    """At most ``limit`` failures of a client within ``seconds``; of the last ``kept`` clients. For one thread."""

    def __init__(self, *, limit: int = 10, seconds: float = 60.0, kept: int = 1024) -> None:
        self._limit, self._seconds, self._kept = limit, seconds, kept
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Seconds until this client may try again; 0: at once."""
        times = self._recent(client, now)
        return times[0] + self._seconds - now if len(times) >= self._limit else 0.0

    def add(self, client: str, now: float) -> None:
        """A client's attempt failed."""
        times = self._recent(client, now)
        times.append(now)
        self._failed[client] = times
        self._failed.move_to_end(client)
        while len(self._failed) > self._kept:
            self._failed.popitem(last=False)

    def _recent(self, client: str, now: float) -> deque[float]:
        times = self._failed.get(client, deque())
        while times and times[0] <= now - self._seconds:
            times.popleft()
        return times
