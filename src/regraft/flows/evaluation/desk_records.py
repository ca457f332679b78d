"""What a reviewer's desk hands out and gives back: items as they are shown, and what came of each act."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPolicy:
    """How long a lease lasts, and how often a claim gets an item of the random sample or one of known answer."""

    lease: timedelta = timedelta(minutes=30)
    random_share: float = 0.2
    gold_share: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownItem:
    """An item as its reviewer sees it, without models. ``answers`` are the last answer of a path, or both answers of a
    pair in the order shown; ``history`` is what came before. The ``_json`` fields are the messages with all that
    is said in them, and nothing that tells whose model said it."""

    lease_id: UUID
    item_id: UUID
    kind: str
    theme: str
    cluster_id: str | None
    category: str | None
    expires_at: datetime
    flagged: bool
    draft: dict[str, Any] | None
    history: str
    answers: tuple[str, ...]
    history_json: str
    answers_json: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a reviewer holds of the items that they want: all leases, and the items that their page does not have."""

    leases: tuple[UUID, ...] = ()
    items: tuple[ShownItem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed:
    """Whose answer it was, shown once the item is answered."""

    node_id: UUID
    turn_id: UUID
    model: str
    purpose: str
    branch_kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A label that was made. ``changed``: it corrects an earlier one. ``revealed`` is in the order shown."""

    label_id: UUID
    item_id: UUID
    changed: bool
    revealed: tuple[Revealed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was taken back. ``item`` is held again with the former answer as its draft; None when a correction was taken
    back, so that the answer before it counts again."""

    act: str
    item_id: UUID
    item: ShownItem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Items of a kind and a theme that wait for a reviewer."""

    kind: str
    theme: str
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MyProgress:
    """What a reviewer did, today (UTC) and ever, and what waits for them."""

    reviewer: str
    submitted: int
    submitted_today: int
    skipped: int
    flagged: int
    held: int
    waiting: int
    themes: tuple[Waiting, ...]
