"""Gold items: paths and pairs of known answer, mixed in among the others to see how well reviewers do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from regraft.domain.errors import ConflictError, NotFoundError, UsageError
from regraft.domain.evaluation.human_label import PREFERENCES
from regraft.domain.evaluation.trajectory import printable
from regraft.flows.evaluation.review import new_id, require_name
from regraft.infra.postgres.evaluation import leases
from regraft.infra.postgres.evaluation import reviewers as store
from regraft.infra.postgres.pool import Source, reading_from, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswer:
    """The answer that a gold item has: the better side of a pair (a, b, equal, both_bad; a is the smaller node id), or
    ratings from ``rating_low`` to ``rating_high``. Raises UsageError unless it is one of the two."""

    preference: str | None = None
    rating_low: int | None = None
    rating_high: int | None = None

    def __post_init__(self) -> None:
        rated = (self.rating_low, self.rating_high)
        if (self.preference is None) == (rated == (None, None)):
            raise UsageError("A known answer is a preference or a rating, and not both.")
        if self.preference not in (None, *PREFERENCES):
            raise UsageError(f"A preference is one of {', '.join(PREFERENCES)}, not {self.preference!r}.")
        low, high = rated
        if self.preference is None and (low is None or high is None or not 1 <= low <= high <= 5):
            raise UsageError("A known rating is from 1 to 5, the lowest that is right before the highest.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldItem:
    """An item of known answer, and how many people answered it, rightly or not."""

    gold_id: UUID
    item_id: UUID
    kind: str
    subject_id: UUID
    theme: str
    scope: str
    preference: str | None
    rating_low: int | None
    rating_high: int | None
    note: str
    made_by: str
    created_at: datetime
    answered: int
    right: int


def add_gold(
    dsn: str,
    item: UUID,
    known: KnownAnswer,
    made_by: str,
    *,
    scope: str | None = None,
    note: str = "",
    now: datetime | None = None,
) -> UUID:
    """Make an item of the queue gold: every reviewer gets it at some time. Its id; a known answer that it had before
    is withdrawn.

    Raises NotFoundError, UsageError for the wrong kind of answer, ConflictError for an item of the random sample, which
    estimates need as it is.
    """
    require_name(made_by)
    now = now or datetime.now(UTC)
    gold_id = new_id()
    with transaction(dsn) as connection:
        found = store.rows(connection, "item", item_id=item)
        if not found or scope not in (None, found[0]["scope"]):
            raise NotFoundError(f"There is no item {item}. `regraft queue show` lists them.")
        if found[0]["share"] == "random":
            raise ConflictError("This item is in the random sample, which estimates need as it is: take another one.")
        if found[0]["closed_because"] in ("gone", "erased"):
            raise ConflictError(f"What this item is about is {found[0]['closed_because']}.")
        if (found[0]["kind"] == "pair") != (known.preference is not None):
            raise UsageError("Of a pair a preference is known, of a path a rating.")
        store.run(connection, "withdraw_gold", item_id=item, now=now)
        store.run(
            connection,
            "add_gold",
            gold_id=gold_id,
            item_id=item,
            preference=known.preference,
            rating_low=known.rating_low,
            rating_high=known.rating_high,
            note=printable(note),
            made_by=made_by,
            now=now,
        )
        store.run(connection, "make_gold", item_id=item)
    return gold_id


def withdraw_gold(dsn: str, item: UUID, by: str, *, scope: str | None = None, now: datetime | None = None) -> None:
    """Stop giving out a gold item; what people answered stays. Raises NotFoundError."""
    now = now or datetime.now(UTC)
    with transaction(dsn) as connection:
        found = store.rows(connection, "item", item_id=item)
        if (
            not found
            or scope not in (None, found[0]["scope"])
            or not store.run(connection, "withdraw_gold", item_id=item, now=now)
        ):
            raise NotFoundError(f"The item {item} is not gold. `regraft queue gold` lists those that are.")
        store.run(connection, "close_gold", item_id=item, now=now)
        leases.add_act(connection, new_id(), "withdrawn", item_id=item, reviewer=by, at=now)


def gold_items(source: Source, scope: str | None = None) -> list[GoldItem]:
    """Every item of known answer, the oldest first."""
    with reading_from(source) as connection:
        return [GoldItem(**row) for row in store.rows(connection, "gold", scope=scope)]
