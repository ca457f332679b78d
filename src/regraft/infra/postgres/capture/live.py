"""Newly stored calls, read by their numbers in the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from regraft.domain.capture.live_call import LiveCall, caller_of, outcome_of
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

LONGEST_QUESTION = 120  # characters
_SCANNED = 200_000  # calls at the end of the log that figures of a while are taken from

_SQL = queries("postgres/capture/live")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFigures:
    """The calls to one model server in a period."""

    upstream: str
    calls: int
    errors: int
    cut: int
    limited: int
    retried: int
    median_ms: float | None
    p95_ms: float | None
    median_first_byte_ms: float | None
    last_at: datetime | None
    last_error_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFigures:
    """Captured calls of a period, without imports. ``failed`` of them were refused, failed or cut; ``p95_seconds`` is
    of whole answers; ``newest_seconds``: how long ago the latest call was stored, None when none ever was."""

    calls: int
    failed: int
    p95_seconds: float | None
    newest_seconds: float | None


def traffic_figures(connection: Connection, seconds: float) -> TrafficFigures:
    """Figures of the last ``seconds``, from the last 200,000 calls at most."""
    after = max(0, newest_number(connection) - _SCANNED)
    row = connection.execute(_SQL["traffic"], {"seconds": seconds, "after": after}).fetchone()
    assert row is not None  # an aggregate
    return TrafficFigures(**row)


def newest_number(connection: Connection) -> int:
    """The number of the latest stored call; 0 while there is none."""
    row = connection.execute(_SQL["newest"]).fetchone() or {}
    return int(row["seq"])


def numbers_between(connection: Connection, after: int, newest: int, scope: str | None) -> set[int]:
    """Which numbers above ``after``, up to ``newest``, are stored calls of ``scope``."""
    given = {"after": after, "newest": newest, "scope": scope}
    return {row["seq"] for row in connection.execute(_SQL["numbers"], given).fetchall()}


def calls_between(connection: Connection, after: int, newest: int, scope: str | None, most: int) -> list[LiveCall]:
    """The latest ``most`` calls of ``scope`` with numbers above ``after``, up to ``newest``, in their order."""
    given = {"after": after, "newest": newest, "scope": scope, "most": most, "longest": LONGEST_QUESTION}
    found = []
    for row in connection.execute(_SQL["calls"], given).fetchall():
        kind, caller = caller_of(row["purpose"], row["upstream"], row.pop("client"), row.pop("agent"))
        plan_id, _, step = (row.pop("plan") or "").partition(":")
        outcome = outcome_of(row["http_status"], row.pop("cut"), told_error=row.pop("told_error"))
        found.append(
            LiveCall(**row, caller=caller, caller_kind=kind, plan_id=plan_id or None, step=step, outcome=outcome)
        )
    return found


def upstream_figures(connection: Connection, seconds: float, scope: str | None) -> list[UpstreamFigures]:
    """Figures of the calls of the last ``seconds``, by model server; of the last 200,000 calls at most."""
    after = max(0, newest_number(connection) - _SCANNED)
    given = {"after": after, "seconds": seconds, "scope": scope}
    return [UpstreamFigures(**row) for row in connection.execute(_SQL["upstreams"], given).fetchall()]
