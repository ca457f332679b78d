"""What follows a failed attempt at a call, and when."""

from __future__ import annotations

from regraft.infra.backoff import Backoff
from regraft.infra.llm.upstream import Headers
from regraft.presentation.gateway.routing import Upstream

BACKOFF = Backoff(0.25, 8.0)
LONGEST_RETRY_AFTER = 20.0  # a server that asks for more is passed over


def plan_after(
    attempts: tuple[Upstream, ...], done: int, retry_after: float | None
) -> tuple[tuple[Upstream, ...], float] | None:
    """The remaining attempts after ``done`` ones, and the seconds to wait; None after the last one. ``retry_after`` are
    the seconds that the last server asks for.
    """
    if done >= len(attempts):
        return None
    last = attempts[done - 1]
    if attempts[done] is not last:
        return attempts, 0.0
    if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
        others = [number for number in range(done, len(attempts)) if attempts[number] is not last]
        return (attempts[:done] + attempts[others[0] :], 0.0) if others else None
    tries = attempts[:done].count(last)
    return attempts, max(BACKOFF.spread(tries), retry_after or 0.0)


def retry_after(headers: Headers) -> float | None:
    """Seconds that the server asks to wait; dates are not read, they depend on two clocks."""
    for name, value in headers:
        lower = name.lower()
        if lower in (b"retry-after", b"retry-after-ms"):
            try:
                seconds = float(value)
            except ValueError:
                continue
            return max(0.0, seconds / 1000 if lower.endswith(b"-ms") else seconds)
    return None
