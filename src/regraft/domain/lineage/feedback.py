"""Feedback on a turn or a session: a reward, a rating or another figure, given at any time.

Sent as JSON: ``{"turn_id": ..., "reward": 0.5}``, or ``session`` for a whole conversation, ``rating`` or ``value`` with
a ``name`` for the figure, and a ``comment``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from regraft.domain.capture.exchange import Exchange
from regraft.domain.capture.request import read_document
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import Number, SessionId
from regraft.domain.lineage.history import session_by_name
from regraft.domain.lineage.turn import INTERNAL_SESSION

_FIGURES = ("reward", "rating", "value")
_FIELDS = ("turn_id", "session", "session_id", *_FIGURES, "name", "comment", "source")
_SHOWN = 40  # characters of a name that a client sent
WORST_RATING, BEST_RATING = 1, 5
_ON_ITS_WAY = timedelta(minutes=10)  # far longer than a call takes from the spool to its store
_CLOCKS = timedelta(minutes=1)  # by which the clock of another gateway may be ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """``turn_id`` may be a node's. ``session_id`` is what the name gives, ``session_claim`` an id of our own.

    ``imported``: it came with a file, and ``annotator``, ``given_by``, ``comparison`` and ``scale`` say what the file
    says of it (see ``Judgement``)."""

    feedback_id: UUID
    scope: str
    turn_id: UUID | None
    session_id: SessionId | None
    session_claim: UUID | None
    name: str
    value: float
    comment: str | None
    source: str
    imported: bool = False
    annotator: str = ""
    given_by: str = ""
    comparison: str = ""
    scale: tuple[float, float] | None = None


def read_feedback(exchange: Exchange) -> Feedback:
    """Raises CorruptEventError when it has no target, or no finite number."""
    document = read_document(exchange.request_body)
    turn = _uuid(document.get("turn_id"))
    session = document.get("session", document.get("session_id")) or (None if turn else exchange.identity.session)
    if turn is None and not (isinstance(session, str) and session):
        if document.get("turn_id") is not None:
            raise CorruptEventError("the feedback's turn_id is not the id of a turn: give all of the id")
        raise CorruptEventError("the feedback names neither a turn_id nor a session")
    key = next((key for key in _FIGURES if document.get(key) is not None), None)
    value = _figure(document.get(key)) if key else None
    if key is None or value is None:
        raise CorruptEventError("the feedback holds no finite reward, rating or value")
    name, comment, source = document.get("name"), document.get("comment"), document.get("source")
    named = session if isinstance(session, str) and session else None
    return Feedback(
        feedback_id=exchange.event_id,
        scope=exchange.scope,
        turn_id=turn,
        session_id=session_by_name(exchange.scope, named) if named else None,
        session_claim=_uuid(named.removeprefix(INTERNAL_SESSION)) if named else None,
        name=name if isinstance(name, str) and name else "rating" if key == "rating" else "reward",
        value=value,
        comment=comment if isinstance(comment, str) else None,
        source=source if isinstance(source, str) and source else "client",
    )


def check_form(exchange: Exchange) -> None:
    """Refuse obvious mistakes at once, beside what ``read_feedback`` refuses.

    Raises CorruptEventError for a field that is not known, and for a rating beyond its scale of 1 to 5. A rating with a
    name of its own is on a separate scale.
    """
    document = read_document(exchange.request_body)
    for name in document:
        if name not in _FIELDS:
            near = get_close_matches(name, _FIELDS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known fields: {', '.join(_FIELDS)}."
            raise CorruptEventError(f"the feedback has an unknown field {name[:_SHOWN]!r}. {hint}")
    for name in ("name", "comment", "source"):
        if not isinstance(document.get(name, ""), str | None):
            raise CorruptEventError(f"the feedback's {name} is not text")
    rating = None if document.get("name") else _figure(document.get("rating"))
    if rating is not None and not WORST_RATING <= rating <= BEST_RATING:
        raise CorruptEventError(
            f"the feedback's rating is {rating:g}; a rating is from {WORST_RATING} (worst) to {BEST_RATING} (best). "
            "For a figure on another scale use value with a name"
        )


def may_be_on_its_way(turn_id: UUID, now: datetime) -> bool:
    """Whether a turn of this id may have been captured so lately that it is not stored yet.

    The gateway's ids are UUIDs of version 7, which begin with their time in milliseconds.
    """
    if turn_id.version != 7:
        return False
    age = now - datetime.fromtimestamp((turn_id.int >> 80) / 1000, UTC)
    return -_CLOCKS <= age <= _ON_ITS_WAY


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _figure(value: Any) -> float | None:
    """A number or a truth value; one that is too large for a double is none."""
    if not isinstance(value, int | Number):
        return None
    try:
        figure = float(value)
    except (OverflowError, ValueError):
        return None
    return figure if math.isfinite(figure) else None
