"""Adjudication: disputed items are shown to an adjudicator, whose decision then counts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.human_label import OTHER_SIDE, Preference, Rating, place_of
from regraft.domain.evaluation.review_queue import PairSides
from regraft.domain.ids import digest
from regraft.flows.evaluation.desk import ReviewDesk, sides_of
from regraft.flows.evaluation.review import new_id, shown_pair, shown_unit, write_preference, write_rating
from regraft.infra.postgres.evaluation import agreement as store
from regraft.infra.postgres.evaluation import leases
from regraft.infra.postgres.pool import Connection

_KINDS = {"rating": "unit", "preference": "pair"}
_MEASURES = {kind: measure for measure, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A path or a pair on which people differ, as an adjudicator sees it: without models and names, a pair in an order
    drawn for them. ``said`` are ratings, or places of the answers (first, second, equal, both_bad); ``notes`` is what
    was written."""

    kind: str
    subject_id: UUID
    theme: str
    contested: bool
    people: int
    said: tuple[str, ...]
    notes: tuple[str, ...]
    history: str
    answers: tuple[str, ...]
    history_json: str
    answers_json: tuple[str | None, ...]


def disputes(
    desk: ReviewDesk, *, kind: str | None = None, theme: str | None = None, skip: Sequence[UUID] = (), limit: int = 1
) -> list[Dispute]:
    """Disputes that are not adjudicated yet, those of contested themes first. Ratings differ from two stars
    on."""
    if kind not in (None, *_MEASURES):
        raise UsageError(f"A kind is one of {', '.join(_MEASURES)}, not {kind!r}.")
    wanted = {"scope": desk.scope, "theme": theme, "measure": _MEASURES[kind] if kind else None}
    with desk.transaction() as connection:
        rows = store.rows(connection, "disputes", **wanted, subject_id=None, skip=list(skip), limit=limit)
        found = [_dispute(connection, row, desk.reviewer) for row in rows]
    return [each for each in found if each is not None]


def adjudicate(desk: ReviewDesk, subject_id: UUID, label: Rating | Preference, *, now: datetime | None = None) -> UUID:
    """Decide for those who differ on a path or a pair; the label's id.

    A preference is by place, in the order that ``disputes`` shows this adjudicator. Raises NotFoundError for what is
    not disputed, UsageError for the wrong kind of label.
    """
    now = now or datetime.now(UTC)
    wanted: dict[str, Any] = {"scope": desk.scope, "theme": None, "measure": None, "skip": [], "limit": 1}
    with desk.transaction() as connection:
        found = store.rows(connection, "disputes", **wanted, subject_id=subject_id)
        if not found:
            raise NotFoundError(f"No reviewers differ on {subject_id}, or it was adjudicated already.")
        kind = _KINDS[found[0]["measure"]]
        if isinstance(label, Rating) != (kind == "unit"):
            raise UsageError("A path is rated, and of a pair one answer is preferred.")
        items = leases.lock_subject(connection, kind, subject_id)
        given: dict[str, Any] = {"now": now, "item_id": items[0] if items else None, "adjudicates": True}
        if isinstance(label, Rating):
            shown = shown_unit(connection, subject_id)
            label_id = write_rating(connection, subject_id, label, desk.reviewer, shown, **given)
        else:
            first = shown_first_of(subject_id, desk.reviewer)
            sides = _sides(connection, subject_id)
            content = shown_pair(connection, subject_id, sides)
            more = {"shown_first": first, "note": label.note, "seconds": label.seconds, **given}
            label_id = write_preference(
                connection, subject_id, sides, label.side(first), desk.reviewer, content, **more
            )
        leases.add_act(
            connection,
            new_id(),
            "adjudicated",
            item_id=given["item_id"],
            label_id=label_id,
            reviewer=desk.reviewer,
            at=now,
        )
    return label_id


def shown_first_of(subject_id: UUID, adjudicator: str) -> str:
    """Which side of a pair an adjudicator is shown first: drawn, and the same whenever they look."""
    return "ab"[digest(b"adjudicate", subject_id.bytes, adjudicator.encode("utf-8", "surrogateescape"))[0] & 1]


def _dispute(connection: Connection, row: dict[str, Any], adjudicator: str) -> Dispute | None:
    """What the adjudicator sees; None when the answers are gone."""
    subject_id: UUID = row["subject_id"]
    same = {name: row[name] for name in ("subject_id", "theme", "contested", "people")}
    notes = tuple(row["notes"])
    try:
        if row["measure"] == "rating":
            unit = shown_unit(connection, subject_id)
            return Dispute(
                **same,
                kind="unit",
                said=tuple(row["said"]),
                notes=notes,
                history=unit.history,
                answers=(unit.answer,),
                history_json=unit.history_json,
                answers_json=(unit.answer_json,),
            )
        pair = shown_pair(connection, subject_id, _sides(connection, subject_id))
    except NotFoundError:
        return None
    first = shown_first_of(subject_id, adjudicator)
    order = (first, OTHER_SIDE[first])
    return Dispute(
        **same,
        kind="pair",
        said=tuple(sorted(place_of(each, first) for each in row["said"])),
        notes=notes,
        history=pair.history,
        answers=tuple(pair.answers[side] for side in order),
        history_json=pair.history_json,
        answers_json=tuple(pair.answers_json[side] for side in order),
    )


def _sides(connection: Connection, pair_id: UUID) -> PairSides:
    found = store.rows(connection, "sides", pair_id=pair_id)
    if not found:
        raise NotFoundError(f"The answers of pair {pair_id} are gone.")
    return sides_of(found[0])
