"""Human review: rate a path, prefer one of two answers, be shown the next two without knowing whose they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import UUID

from regraft.domain.capture.message import messages_of
from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.pairs import UNDECIDED
from regraft.domain.evaluation.trajectory import printable, render
from regraft.domain.ids import digest, parse_json, time_ordered_uuid
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.evaluation import review
from regraft.infra.postgres.pool import transaction

PREFERENCES = ("a", "b", "equal", "both_bad")
_OTHER = {"a": "b", "b": "a"}


@dataclass(frozen=True, slots=True)
class BlindPair:
    """Two answers without their models. ``first`` and ``second`` are texts in the order shown; ``shown_first`` says
    which side of the pair is first; ``waiting`` counts the pairs that this reviewer has not judged."""

    pair_id: UUID
    history: str
    first: str
    second: str
    shown_first: str
    waiting: int

    def side(self, place: str) -> str:
        """What a choice made by place (``first``, ``second``, ``equal``, ``both_bad``) says of the pair's sides."""
        if place in {"first", "second"}:
            return self.shown_first if place == "first" else _OTHER[self.shown_first]
        return place


def _label_id() -> UUID:
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
) -> UUID:
    """Rate a path from 1 to 5 and return the label's id. A copy of what was shown is kept with it; an earlier rating
    by the same reviewer is superseded. Raises NotFoundError for an unknown unit, UsageError for a bad rating."""
    if not 1 <= rating <= 5:
        raise UsageError(f"A rating is from 1 (worst) to 5 (best), not {rating}.")
    _needs_name(reviewer)
    label_id = _label_id()
    with transaction(dsn) as connection:
        unit = review.unit(connection, unit_id)
        if unit is None:
            raise NotFoundError(f"There is no unit {unit_id}. `regraft evaluate units` makes and shows them.")
        shown = _shown(unit["history"], unit["answer"])
        review.add_rating(
            connection,
            {
                "label_id": label_id,
                "unit_id": unit_id,
                "session_id": unit["session_id"],
                "reviewer": reviewer,
                "rating": rating,
                "categories": list(categories),
                "note": printable(note),
                "seconds": seconds,
                "shown_hash": digest(shown.encode()),
                "shown": shown,
                "created_at": datetime.now(UTC),
            },
        )
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
) -> UUID:
    """Record who prefers which side (``a`` is the side of the smaller node id, wherever it stood) and return the
    label's id; an earlier word of the same one on the same pair is superseded. Raises NotFoundError, UsageError."""
    if preference not in PREFERENCES:
        raise UsageError(f"A preference is one of {', '.join(PREFERENCES)}, not {preference!r}.")
    _needs_name(decided_by)
    pair = Workbench(workbench).pair(pair_id)
    label_id = _label_id()
    with transaction(dsn) as connection:
        texts = _sides(connection, pair)
        order = (shown_first, _OTHER[shown_first])
        review.add_preference(
            connection,
            {
                "label_id": label_id,
                "pair_id": pair_id,
                "anchor_turn_id": pair["anchor_turn_id"],
                "node_a": pair["node_a"],
                "node_b": pair["node_b"],
                "source": source,
                "decided_by": decided_by,
                "preference": preference,
                "shown_first": shown_first,
                "note": printable(note),
                "shown_hash": digest(texts["history"].encode(), *(texts[side].encode() for side in order)),
                "created_at": datetime.now(UTC),
            },
        )
    return label_id


def next_pair(dsn: str, workbench: Path, reviewer: str, *, seed: int, skip: Sequence[UUID] = ()) -> BlindPair | None:
    """The pair that this reviewer should judge next, None when there is none.

    Pairs that fewer people judged come first, then those that signals alone tell apart least; the seed orders the
    rest and, with the pair and the reviewer, says which side is shown first.
    """
    _needs_name(reviewer)
    pairs = [
        pair
        for pair in Workbench(workbench).pairs()
        if (pair["verdict"] == "legal" or pair["reason"] in UNDECIDED) and pair["pair_id"] not in set(skip)
    ]
    with transaction(dsn) as connection:
        judged = review.judged_pairs(connection, reviewer)
        waiting = [pair for pair in pairs if not judged.get(pair["pair_id"], (0, False))[1]]
        if not waiting:
            return None

        def order(pair: dict[str, Any]) -> tuple[int, float, bytes]:
            people = judged.get(pair["pair_id"], (0, False))[0]
            return people, abs(pair["signals_a"] - pair["signals_b"]), _draw(seed, pair["pair_id"])

        pair = min(waiting, key=order)
        texts = _sides(connection, pair)
    shown_first = "ab"[_draw(seed, pair["pair_id"], reviewer)[0] & 1]
    return BlindPair(
        pair_id=pair["pair_id"],
        history=texts["history"],
        first=texts[shown_first],
        second=texts[_OTHER[shown_first]],
        shown_first=shown_first,
        waiting=len(waiting),
    )


def _draw(seed: int, pair_id: UUID, *more: str) -> bytes:
    return digest(str(seed).encode(), pair_id.bytes, *(one.encode() for one in more))


def _needs_name(reviewer: str) -> None:
    if not reviewer.strip():
        raise UsageError("Give the reviewer's name: --reviewer NAME.")


def _shown(history: str, answer: str | None) -> str:
    messages = parse_json(history)
    return render(messages_of([*messages, parse_json(answer)] if answer else messages))


def _sides(connection: Any, pair: dict[str, Any]) -> dict[str, str]:
    found = review.answers(connection, [pair["turn_a"], pair["turn_b"]])
    if len(found) != 2:
        raise NotFoundError(f"The answers of pair {pair['pair_id']} are gone. Run `regraft evaluate pairs` again.")
    a, b = found[pair["turn_a"]], found[pair["turn_b"]]
    return {
        "history": render(messages_of(parse_json(a["history"]))),
        "a": render(messages_of([parse_json(a["answer"])])) if a["answer"] else "",
        "b": render(messages_of([parse_json(b["answer"])])) if b["answer"] else "",
    }
