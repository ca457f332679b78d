"""Labels of people: rate a path, prefer one of two answers. Each keeps what was shown, and counts in the queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from uuid import UUID

from regraft.domain.capture.message import messages_of
from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.blind import Blinder
from regraft.domain.evaluation.human_label import OTHER_SIDE, PREFERENCES, Rating
from regraft.domain.evaluation.review_queue import PairSides
from regraft.domain.evaluation.trajectory import printable, render
from regraft.domain.ids import canonical_json, digest, parse_json, time_ordered_uuid
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.evaluation import leases, review
from regraft.infra.postgres.pool import Connection, transaction
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import LabelGiven


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownUnit:
    """What a reviewer of a path is shown: the conversation before its last answer, and that answer, as text and as JSON
    that says nothing of models."""

    session_id: UUID
    history_json: str
    answer_json: str | None
    history: str
    answer: str
    text: str

    @property
    def digest(self) -> bytes:
        """Identifies what was shown."""
        return digest(self.text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """What a reviewer of a pair is shown: the history that both answers share, and the answers ``a`` and ``b``. Each
    answer is blinded by itself: what the other one calls its tools by would tell the order."""

    history_json: str
    history: str
    answers_json: dict[str, str | None]
    answers: dict[str, str]

    def digest(self, shown_first: str) -> bytes:
        """Identifies what was shown, in its order."""
        order = (shown_first, OTHER_SIDE[shown_first])
        return digest(self.history.encode(), *(self.answers[side].encode() for side in order))


def new_id() -> UUID:
    """An id for what happens now."""
    return time_ordered_uuid(time.time_ns() // 1_000_000, token_bytes(10))


def rate_unit(
    dsn: str,
    unit_id: UUID,
    rating: int,
    reviewer: str,
    *,
    categories: Sequence[str] = (),
    note: str = "",
    seconds: float | None = None,
    adjudicates: bool = False,
) -> UUID:
    """Rate a path from 1 to 5 and return the label's id. A copy of what was shown is kept with it; an earlier rating
    by the same reviewer is superseded. Raises NotFoundError for an unknown unit, UsageError for a bad rating."""
    label = Rating(rating=rating, categories=tuple(categories), note=note, seconds=seconds)
    require_name(reviewer)
    now = datetime.now(UTC)
    with transaction(dsn) as connection:
        items = leases.lock_subject(connection, "unit", unit_id)
        label_id = write_rating(
            connection, unit_id, label, reviewer, shown_unit(connection, unit_id), now=now, adjudicates=adjudicates
        )
        leases.settle(connection, items, reviewer, label_id, now, counts=not adjudicates)
    emit(LabelGiven(source="person", kind="rating"))
    return label_id


def record_preference(
    dsn: str,
    workbench: Path,
    pair_id: UUID,
    preference: str,
    decided_by: str,
    *,
    source: str = "human",
    shown_first: str = "a",
    note: str = "",
    adjudicates: bool = False,
) -> UUID:
    """Record who prefers which side (``a`` is the side of the smaller node id, wherever it stood) and return the
    label's id; an earlier word of the same one on the same pair is superseded. Raises NotFoundError, UsageError."""
    if preference not in PREFERENCES:
        raise UsageError(f"A preference is one of {', '.join(PREFERENCES)}, not {preference!r}.")
    require_name(decided_by)
    pair = Workbench(workbench).pair(pair_id)
    sides = PairSides(**{name: pair[name] for name in ("anchor_turn_id", "node_a", "node_b", "turn_a", "turn_b")})
    now = datetime.now(UTC)
    with transaction(dsn) as connection:
        items = leases.lock_subject(connection, "pair", pair_id)
        label_id = write_preference(
            connection,
            pair_id,
            sides,
            preference,
            decided_by,
            shown_pair(connection, pair_id, sides),
            source=source,
            shown_first=shown_first,
            note=note,
            now=now,
            adjudicates=adjudicates,
        )
        leases.settle(connection, items, decided_by, label_id, now, counts=source == "human" and not adjudicates)
    emit(LabelGiven(source="person" if source == "human" else source, kind="preference"))
    return label_id


def write_rating(
    connection: Connection,
    unit_id: UUID,
    label: Rating,
    reviewer: str,
    shown: ShownUnit,
    *,
    now: datetime,
    item_id: UUID | None = None,
    adjudicates: bool = False,
) -> UUID:
    """Add a rating in the caller's transaction; its id."""
    label_id = new_id()
    review.add_rating(
        connection,
        {
            "label_id": label_id,
            "unit_id": unit_id,
            "session_id": shown.session_id,
            "reviewer": reviewer,
            "rating": label.rating,
            "categories": list(label.categories),
            "note": printable(label.note),
            "seconds": label.seconds,
            "shown_hash": shown.digest,
            "shown": shown.text,
            "created_at": now,
            "item_id": item_id,
            "adjudicates": adjudicates,
        },
    )
    return label_id


def write_preference(
    connection: Connection,
    pair_id: UUID,
    sides: PairSides,
    preference: str,
    decided_by: str,
    shown: ShownPair,
    *,
    source: str = "human",
    shown_first: str,
    note: str,
    now: datetime,
    seconds: float | None = None,
    item_id: UUID | None = None,
    adjudicates: bool = False,
) -> UUID:
    """Add a preference in the caller's transaction; its id."""
    label_id = new_id()
    review.add_preference(
        connection,
        {
            "label_id": label_id,
            "pair_id": pair_id,
            "anchor_turn_id": sides.anchor_turn_id,
            "node_a": sides.node_a,
            "node_b": sides.node_b,
            "source": source,
            "decided_by": decided_by,
            "preference": preference,
            "shown_first": shown_first,
            "note": printable(note),
            "seconds": seconds,
            "shown_hash": shown.digest(shown_first),
            "created_at": now,
            "item_id": item_id,
            "adjudicates": adjudicates,
        },
    )
    return label_id


def shown_unit(connection: Connection, unit_id: UUID) -> ShownUnit:
    """What a reviewer of a path is shown. Raises NotFoundError."""
    unit = review.unit(connection, unit_id)
    if unit is None:
        raise NotFoundError(f"There is no unit {unit_id}. `regraft evaluate units` makes and shows them.")
    messages = messages_of(parse_json(unit["history"]))
    answer = messages_of([parse_json(unit["answer"])] if unit["answer"] else [])
    blinder = Blinder()
    return ShownUnit(
        session_id=unit["session_id"],
        history_json=canonical_json(blinder.messages(messages)),
        answer_json=canonical_json(blinder.message(answer[0])) if answer else None,
        history=render(messages),
        answer=render(answer),
        text=render([*messages, *answer]),
    )


def shown_pair(connection: Connection, pair_id: UUID, sides: PairSides) -> ShownPair:
    """What a reviewer of a pair is shown. Raises NotFoundError."""
    found = review.answers(connection, [sides.turn_a, sides.turn_b])
    if len(found) != 2:
        raise NotFoundError(f"The answers of pair {pair_id} are gone. Run `regraft evaluate pairs` again.")
    texts = {"a": found[sides.turn_a]["answer"], "b": found[sides.turn_b]["answer"]}
    answers = {side: messages_of([parse_json(text)] if text else []) for side, text in texts.items()}
    history = messages_of(parse_json(found[sides.turn_a]["history"]))
    blinder = Blinder()
    return ShownPair(
        history_json=canonical_json(blinder.messages(history)),
        history=render(history),
        answers_json={
            side: canonical_json(blinder.copy().message(each[0])) if each else None for side, each in answers.items()
        },
        answers={side: render(each) for side, each in answers.items()},
    )


def require_name(reviewer: str) -> None:
    """Raises UsageError for a reviewer without a name."""
    if not reviewer.strip():
        raise UsageError("Give the reviewer's name: --reviewer NAME.")
