"""Moments as files write them: ISO 8601 text, or seconds, milliseconds or nanoseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from regraft.domain.ids import Number

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = 10**11  # as seconds this would be the year 5138
_NANOSECONDS = 10**17


def nanoseconds(value: Any) -> int | None:
    """Unix nanoseconds; None for anything that is not a moment. A time without a zone is taken for UTC."""
    if isinstance(value, str):
        if value.isdecimal():
            return nanoseconds(int(value))
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    if isinstance(value, bool) or not isinstance(value, int | Number):
        return None
    if isinstance(value, int):
        unit = 1 if value >= _NANOSECONDS else 10**6 if value >= _MILLISECONDS else 10**9
        return value * unit
    try:
        return int(float(value) * 1e6) * 1000
    except (OverflowError, ValueError):
        return None
