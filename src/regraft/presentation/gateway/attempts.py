"""The attempts at one call: the server of each, and the delay before the next."""

from __future__ import annotations

from regraft.infra.backoff import Backoff
from regraft.presentation.gateway.routing import Upstream

BACKOFF = Backoff(0.25, 8.0)
LONGEST_RETRY_AFTER = 20.0  # a server that asks for more is passed over


class Attempts:
    """The model servers that a call may go to, in turn. ``upstream`` is the one of the attempt ``number``."""

    __slots__ = ("_order", "number", "upstream")

    def __init__(self, order: tuple[Upstream, ...]) -> None:
        self._order = order
        self.number = 0
        self.upstream = order[0]

    @property
    def last(self) -> bool:
        """Whether no other attempt may follow."""
        return self.number >= len(self._order)

    def end(self) -> None:
        """Let no other attempt follow."""
        self._order = self._order[: self.number]

    def follow(self, retry_after: float | None) -> float | None:
        """Go on to the next server: returns the seconds to wait for it, or None when no attempt is left.

        ``retry_after`` are the seconds that the last server asks for.
        """
        if self.last:
            return None
        done, wait = self.number, 0.0
        if self._order[done] is self.upstream:
            if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
                others = [at for at in range(done, len(self._order)) if self._order[at] is not self.upstream]
                if not others:
                    return None
                self._order = self._order[:done] + self._order[others[0] :]
            else:
                tries = self._order[:done].count(self.upstream)
                wait = max(BACKOFF.spread(tries), retry_after or 0.0)
        self.upstream = self._order[done]
        return wait
