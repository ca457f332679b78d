"""A reviewer's desk: claim items of the queue, answer, skip, flag, take back, and see how far it is.

What is shown says nothing of models until the item was answered. A claim is a lease: it runs out unless it is renewed,
and then others get the item.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from regraft.domain.errors import ConflictError, NotFoundError, UsageError
from regraft.domain.evaluation.human_label import OTHER_SIDE, Preference, Rating, place_of
from regraft.domain.evaluation.review_queue import SKIP_REASONS, PairSides, QueueFilter, shares_in_order
from regraft.domain.evaluation.trajectory import printable
from regraft.domain.ids import canonical_json
from regraft.flows.evaluation.desk_records import (
    Claimed,
    MyProgress,
    Revealed,
    ReviewPolicy,
    ShownItem,
    Submitted,
    Undone,
    Waiting,
)
from regraft.flows.evaluation.review import (
    ShownPair,
    ShownUnit,
    new_id,
    require_name,
    shown_pair,
    shown_unit,
    write_preference,
    write_rating,
)
from regraft.infra.config.review import ReviewSection
from regraft.infra.postgres.evaluation import leases, review
from regraft.infra.postgres.pool import Connection, transaction
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import LabelGiven, ReviewAnswered

MAX_CLAIM = 10
MAX_HELD = 20
_ATTEMPTS = 20  # to get one of the last items, which others are being given
_PAUSE = 0.01  # seconds; longer after each attempt
Transaction = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class ReviewDesk:
    """One reviewer, with a way to open a transaction. ``scope`` is the tenant whose items they get; None: all."""

    transaction: Transaction
    reviewer: str
    scope: str | None = None
    policy: ReviewPolicy = field(default_factory=ReviewPolicy)

    def __post_init__(self) -> None:
        require_name(self.reviewer)

    def claim(
        self, wanted: QueueFilter | None = None, *, limit: int = 1, now: datetime | None = None
    ) -> list[ShownItem]:
        """What the reviewer holds of the wanted items, topped up to ``limit`` by the next of the queue; shorter when
        there are no more. Raises UsageError for too many."""
        return list(self.top_up(wanted, limit=limit, now=now).items)

    def top_up(
        self,
        wanted: QueueFilter | None = None,
        *,
        limit: int = 1,
        known: Collection[UUID] = (),
        now: datetime | None = None,
    ) -> Claimed:
        """Hold ``limit`` wanted items, those held already included, for a page that fetches ahead: items of the leases
        ``known``, which it has, are not read again. Raises UsageError for too many."""
        if not 1 <= limit <= MAX_CLAIM:
            raise UsageError(f"limit is from 1 to {MAX_CLAIM}, not {limit}.")
        wanted, now = wanted or QueueFilter(), now or datetime.now(UTC)
        for attempt in range(_ATTEMPTS):
            with self.transaction() as connection:
                if not leases.begin_claim(connection, self.reviewer, now):
                    found = self._claimed(connection, wanted, limit, known, now)
                    if found.leases or not self._waiting(connection, wanted):
                        return found
                else:  # in a separate transaction: it locks several items
                    leases.expire(connection, now)
                    continue
            time.sleep(_PAUSE * (attempt + 1))  # the last items are locked by others, who may give them back
        return Claimed()

    def _claimed(
        self, connection: Connection, wanted: QueueFilter, limit: int, known: Collection[UUID], now: datetime
    ) -> Claimed:
        held = leases.held(connection, self.reviewer, self.scope)
        rows = [row for row in held if _fits(row, wanted)]
        there = [row["lease_id"] for row in rows if row["lease_id"] in known]
        rows = [row for row in rows if row["lease_id"] not in known][: max(0, limit - len(there))]
        if len(held) + limit - len(there) - len(rows) > MAX_HELD:
            raise UsageError(f"You hold {len(held)} items already, and {MAX_HELD} at most: answer or release some.")
        found = [each for row in rows if (each := self._shown(connection, row))]
        while len(there) + len(found) < limit and (row := self._next(connection, wanted, now)):
            item = self._shown(connection, row)
            if item is None:
                self._drop(connection, row, now)
            else:
                found.append(item)
        return Claimed(leases=(*there, *(each.lease_id for each in found)), items=tuple(found))

    def submit(self, lease_id: UUID, label: Rating | Preference, *, now: datetime | None = None) -> Submitted:
        """Record an answer. The same answer again changes nothing, another one corrects the first.

        Raises NotFoundError for another reviewer's lease, UsageError for the wrong kind of answer, ConflictError when
        what was shown was erased meanwhile, or the item was given to the reviewer again after the lease ran out.
        """
        now = now or datetime.now(UTC)
        with self.transaction() as connection:
            lease = self._lease(connection, lease_id)
            if isinstance(label, Rating) != (lease["kind"] == "unit"):
                raise UsageError("A path is rated, and of a pair one answer is preferred.")
            if lease["ended"] == "submitted" and self._says_same(connection, lease, label):
                return self._submitted(connection, lease, lease["label_id"], changed=False)
            if lease["ended"] in ("expired", "released") and leases.is_true(
                connection, "holds_another", lease_id=lease_id
            ):
                raise ConflictError("This lease ran out and you were given the item again: answer it there.")
            changed = lease["ended"] == "submitted"
            label_id = self._write(connection, lease, label, now)
            leases.run(connection, "end_lease", lease_id=lease_id, ended="submitted", label_id=label_id, now=now)
            leases.recount(connection, [lease["item_id"]], now)
            self._record_act(connection, "changed" if changed else "submitted", lease, now, label_id=label_id)
            submitted = self._submitted(connection, lease, label_id, changed=changed)
        kind = "rating" if isinstance(label, Rating) else "preference"
        emit(LabelGiven(source="person", kind=kind))
        emit(ReviewAnswered(kind=kind, seconds=max(0.0, (now - lease["claimed_at"]).total_seconds())))
        return submitted

    def skip(self, lease_id: UUID, reason: str, note: str = "", *, now: datetime | None = None) -> None:
        """Give an item back permanently, with the reason. Raises NotFoundError, UsageError, ConflictError."""
        if reason not in SKIP_REASONS:
            raise UsageError(f"A reason is one of {', '.join(SKIP_REASONS)}, not {reason!r}.")
        now = now or datetime.now(UTC)
        with self.transaction() as connection:
            lease = self._lease(connection, lease_id)
            if lease["ended"] == "skipped":
                return
            if lease["ended"] is not None:
                raise ConflictError(f"This item is not held any more: it was {lease['ended']}.")
            leases.run(connection, "end_lease", lease_id=lease_id, ended="skipped", label_id=None, now=now)
            leases.recount(connection, [lease["item_id"]], now)
            self._record_act(connection, "skipped", lease, now, reason=reason, note=note)

    def release(self, lease_id: UUID, *, now: datetime | None = None) -> None:
        """Give an item back that may be claimed again, by the same reviewer too. Raises NotFoundError."""
        now = now or datetime.now(UTC)
        with self.transaction() as connection:
            lease = self._lease(connection, lease_id)
            if lease["ended"] is None:
                leases.run(connection, "end_lease", lease_id=lease_id, ended="released", label_id=None, now=now)
                leases.recount(connection, [lease["item_id"]], now)
                self._record_act(connection, "released", lease, now)

    def renew(self, lease_id: UUID, draft: dict[str, Any] | None = None, *, now: datetime | None = None) -> datetime:
        """Hold an item for longer, and keep an unfinished answer with it; until when. Raises NotFoundError,
        ConflictError when it is not held any more."""
        expires_at = (now or datetime.now(UTC)) + self.policy.lease
        with self.transaction() as connection:
            lease = self._lease(connection, lease_id)
            if lease["ended"] is not None:
                raise ConflictError(f"This item is not held any more: it was {lease['ended']}. Claim it again.")
            if draft is None:
                leases.run(connection, "renew", lease_id=lease_id, expires_at=expires_at)
            else:
                text = printable(canonical_json(draft))
                leases.run(connection, "save_draft", lease_id=lease_id, draft=text, expires_at=expires_at)
        return expires_at

    def flag(self, lease_id: UUID, note: str = "", *, on: bool = True, now: datetime | None = None) -> bool:
        """Mark an item for others to look at, or take the mark away; whether it is marked. Raises NotFoundError."""
        now = now or datetime.now(UTC)
        with self.transaction() as connection:
            lease = self._lease(connection, lease_id)
            if lease["flagged"] != on:
                act = self._record_act(connection, "flagged" if on else "unflagged", lease, now, note=note)
                if not on:
                    leases.run(connection, "withdraw_flags", item_id=lease["item_id"], reviewer=self.reviewer, by=act)
        return on

    def undo(self, lease_id: UUID | None = None, *, now: datetime | None = None) -> Undone:
        """Take back the reviewer's latest answer or skip, or that of one lease. Nothing is deleted: the label stays and
        does not count. Raises NotFoundError when there is nothing to take back."""
        now = now or datetime.now(UTC)
        with self.transaction() as connection:
            found = leases.rows(connection, "last_act", reviewer=self.reviewer, lease_id=lease_id, scope=self.scope)
            if not found:
                raise NotFoundError("There is nothing to undo.")
            act = found[0]
            lease = self._lease(connection, act["lease_id"])
            draft = self._former(connection, lease, act) if act["label_id"] else None
            by = self._record_act(connection, "undone", lease, now, label_id=act["label_id"])
            if not leases.run(connection, "mark_undone", act_id=act["act_id"], by=by):
                raise ConflictError("This was undone already.")
            if act["label_id"]:
                review.retract(connection, act["label_id"], self.reviewer, now)
            if act["act"] == "changed":
                before = review.current_label(connection, lease["kind"], lease["subject_id"], self.reviewer)
                leases.run(
                    connection, "end_lease", lease_id=lease["lease_id"], ended="submitted", label_id=before, now=now
                )
            else:
                leases.run(
                    connection,
                    "reopen_lease",
                    lease_id=lease["lease_id"],
                    expires_at=now + self.policy.lease,
                    draft=canonical_json(draft) if draft else None,
                )
            leases.recount(connection, [lease["item_id"]], now)
            item = None
            if act["act"] != "changed":
                item = self._shown(connection, leases.rows(connection, "lease", lease_id=lease["lease_id"])[0])
        return Undone(act=act["act"], item_id=act["item_id"], item=item)

    def _waiting(self, connection: Connection, wanted: QueueFilter) -> list[Waiting]:
        rows = leases.waiting(connection, wanted, scope=self.scope, reviewer=self.reviewer)
        return [Waiting(**row) for row in rows]

    def progress(self, wanted: QueueFilter | None = None, *, now: datetime | None = None) -> MyProgress:
        """How much the reviewer did, and what waits for them."""
        now = now or datetime.now(UTC)
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        who = {"reviewer": self.reviewer, "scope": self.scope}
        with self.transaction() as connection:
            mine = leases.rows(connection, "my_progress", **who, since=today)[0]
            themes = tuple(self._waiting(connection, wanted or QueueFilter()))
        total = sum(each.waiting for each in themes)
        return MyProgress(reviewer=self.reviewer, **mine, waiting=total, themes=themes)

    def _next(self, connection: Connection, wanted: QueueFilter, now: datetime) -> dict[str, Any] | None:
        lease_id = new_id()
        chance = random.Random(lease_id.bytes)  # noqa: S311  # which share is next is not a secret
        for share in shares_in_order(chance.random(), self.policy.gold_share, self.policy.random_share):
            row = leases.claim(
                connection,
                wanted,
                scope=self.scope,
                share=share,
                reviewer=self.reviewer,
                lease_id=lease_id,
                shown_first="ab"[chance.getrandbits(1)],
                now=now,
                expires_at=now + self.policy.lease,
            )
            if row is not None:
                return row
        return None

    def _lease(self, connection: Connection, lease_id: UUID) -> dict[str, Any]:
        lease = leases.locked_lease(connection, lease_id, self.scope)
        if lease is None or lease["reviewer"] != self.reviewer:
            raise NotFoundError(f"You have no lease {lease_id}.")
        return lease

    def _shown(self, connection: Connection, row: dict[str, Any]) -> ShownItem | None:
        """What the reviewer sees of a leased item; None when its subject is gone."""
        try:
            shown = _content(connection, row)
        except NotFoundError:
            return None
        if isinstance(shown, ShownUnit):
            answers: tuple[str, ...] = (shown.answer,)
            captured: tuple[str | None, ...] = (shown.answer_json,)
            hashed = shown.digest
        else:
            order = (row["shown_first"], OTHER_SIDE[row["shown_first"]])
            answers = tuple(shown.answers[side] for side in order)
            captured = tuple(shown.answers_json[side] for side in order)
            hashed = shown.digest(row["shown_first"])
        leases.run(connection, "show", lease_id=row["lease_id"], shown_hash=hashed)
        return ShownItem(
            **{name: row[name] for name in ("lease_id", "item_id", "kind", "theme", "cluster_id", "category")},
            expires_at=row["expires_at"],
            flagged=row["flagged"],
            draft=json.loads(row["draft"]) if row["draft"] else None,
            history=shown.history,
            answers=answers,
            history_json=shown.history_json,
            answers_json=captured,
        )

    def _drop(self, connection: Connection, row: dict[str, Any], now: datetime) -> None:
        """An item whose subject is gone is closed, and not given out again."""
        leases.run(connection, "end_lease", lease_id=row["lease_id"], ended="released", label_id=None, now=now)
        leases.run(connection, "close_item", item_id=row["item_id"], because="gone", now=now)
        leases.recount(connection, [row["item_id"]], now)

    def _write(self, connection: Connection, lease: dict[str, Any], label: Rating | Preference, now: datetime) -> UUID:
        shown = _content(connection, lease)
        first = lease["shown_first"]
        hashed = shown.digest if isinstance(shown, ShownUnit) else shown.digest(first)
        if lease["shown_hash"] is not None and bytes(lease["shown_hash"]) != hashed:
            raise ConflictError("What you were shown has changed since, so your answer was not recorded. Claim again.")
        given: dict[str, Any] = {"now": now, "item_id": lease["item_id"]}
        if isinstance(label, Rating) and isinstance(shown, ShownUnit):
            return write_rating(connection, lease["subject_id"], label, self.reviewer, shown, **given)
        assert isinstance(label, Preference)
        assert isinstance(shown, ShownPair)
        side = label.side(first)
        more = {"shown_first": first, "note": label.note, "seconds": label.seconds, **given}
        return write_preference(connection, lease["subject_id"], sides_of(lease), side, self.reviewer, shown, **more)

    def _says_same(self, connection: Connection, lease: dict[str, Any], label: Rating | Preference) -> bool:
        said = review.label(connection, lease["kind"], lease["label_id"])
        if said is None:
            return False
        if isinstance(label, Rating):
            same = (said["rating"], tuple(said["categories"])) == (label.rating, label.categories)
        else:
            same = said["preference"] == label.side(lease["shown_first"])
        return same and said["note"] == printable(label.note)

    def _former(self, connection: Connection, lease: dict[str, Any], act: dict[str, Any]) -> dict[str, Any] | None:
        """What a label said, as a draft."""
        said = review.label(connection, lease["kind"], act["label_id"])
        if said is None:
            return None
        if lease["kind"] == "unit":
            what = {"rating": said["rating"], "categories": said["categories"]}
        else:
            what = {"preference": place_of(said["preference"], lease["shown_first"])}
        return {**what, "note": said["note"]}

    def _submitted(self, connection: Connection, lease: dict[str, Any], label_id: UUID, *, changed: bool) -> Submitted:
        if lease["kind"] == "unit":
            nodes = [lease["subject_id"]]
        else:
            nodes = [lease[f"node_{side}"] for side in (lease["shown_first"], OTHER_SIDE[lease["shown_first"]])]
        found = review.revealed(connection, nodes)
        revealed = tuple(Revealed(**found[node]) for node in nodes if node in found)
        return Submitted(label_id=label_id, item_id=lease["item_id"], changed=changed, revealed=revealed)

    def _record_act(self, connection: Connection, act: str, lease: dict[str, Any], now: datetime, **more: Any) -> UUID:
        act_id = new_id()
        note = printable(more.pop("note", ""))
        leases.add_act(
            connection,
            act_id,
            act,
            item_id=lease["item_id"],
            lease_id=lease["lease_id"],
            reviewer=self.reviewer,
            at=now,
            note=note,
            **more,
        )
        return act_id


def review_policy(review: ReviewSection) -> ReviewPolicy:
    """The policy that the settings describe."""
    return ReviewPolicy(
        lease=timedelta(minutes=review.lease_minutes), random_share=review.random_share, gold_share=review.gold_share
    )


def desk_at(dsn: str, reviewer: str, scope: str | None = None, policy: ReviewPolicy | None = None) -> ReviewDesk:
    """A desk that connects for each thing that is done at it."""
    return ReviewDesk(lambda: transaction(dsn, name="regraft-review"), reviewer, scope, policy or ReviewPolicy())


def sides_of(row: dict[str, Any]) -> PairSides:
    """The sides of a pair's item."""
    return PairSides(**{name: row[name] for name in ("anchor_turn_id", "node_a", "node_b", "turn_a", "turn_b")})


def _content(connection: Connection, row: dict[str, Any]) -> ShownUnit | ShownPair:
    if row["kind"] == "unit":
        return shown_unit(connection, row["subject_id"])
    return shown_pair(connection, row["subject_id"], sides_of(row))


def _fits(row: dict[str, Any], wanted: QueueFilter) -> bool:
    names = ("kind", "theme", "session_id", "category")
    in_cluster = wanted.cluster_id is None or (row["cluster_id"] or "").startswith(wanted.cluster_id)
    return in_cluster and all(getattr(wanted, name) in (None, row[name]) for name in names)
