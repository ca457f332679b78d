"""The live view: the latest calls, and each new one once it is stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from regraft.domain.capture.live_call import LiveCall
from regraft.infra.postgres.capture.live import (
    TrafficFigures,
    calls_between,
    newest_number,
    numbers_between,
    traffic_figures,
)
from regraft.infra.postgres.pool import Connection, Source, reading_from

__all__ = ["LiveFeed", "TrafficFigures", "last_hour", "recent_calls"]

MOST_AT_ONCE = 500  # calls that a feed catches up with; earlier ones are skipped

_SEARCHED = 20_000  # calls at the end of the log among which a tenant's latest are searched for
_LATE = 256  # numbers that a batch may hold while later ones are committed

Reading = Callable[[], AbstractContextManager[Connection]]


def recent_calls(connection: Connection, scope: str | None, limit: int) -> list[LiveCall]:
    """The latest calls of a tenant, None: of all, in the order in which they were stored; of the last 20,000 calls."""
    newest = newest_number(connection)
    return calls_between(connection, max(0, newest - _SEARCHED), newest, scope, limit)


def last_hour(source: Source) -> TrafficFigures:
    """The number of calls in the last hour, with failures and times."""
    with reading_from(source) as connection:
        return traffic_figures(connection, 3600.0)


class LiveFeed:
    """Calls of a tenant, each once, as they are stored. ``after``: the number of the last call that is known already;
    None: all there are.

    Numbers are given before a batch is committed, and batches of several processes end in any order: so numbers a
    little below the highest one are searched for again.
    """

    def __init__(self, reading: Reading, scope: str | None, after: int | None = None) -> None:
        self._reading = reading
        self._scope = scope
        self._after = after
        self._seen: set[int] | None = None

    def next(self) -> list[LiveCall]:
        """What was stored since the last time, in the order of numbers. Raises what the reading raises."""
        with self._reading() as connection:
            newest = newest_number(connection)
            if self._after is None or self._after > newest:  # another log, or one that was begun again
                self._after = newest
                self._seen = numbers_between(connection, newest - _LATE, newest, self._scope)
                return []
            floor = max(0, newest - _SEARCHED, self._after - _LATE)
            present = numbers_between(connection, floor, newest, self._scope)
            if self._seen is None:
                self._seen = {number for number in present if number <= self._after}
            fresh = present - self._seen
            if not fresh:
                return []
            calls = calls_between(connection, min(fresh) - 1, newest, self._scope, MOST_AT_ONCE)
        self._after = newest
        self._seen = {number for number in present if number > newest - _LATE}
        return [call for call in calls if call.seq in fresh]
