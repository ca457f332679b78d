"""Whether a history without a known prefix is the rest of a known one that a client replaced with a summary.

The evidence is a surviving part: an answer with a tool-call id that is unlikely to occur twice, or a long answer
together with the message that it answered. If several conversations contain it, nothing is joined."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regraft.domain.ids import Digest, NodeId, SessionId, TurnId
from regraft.domain.lineage.fingerprints import CALL, kind_of

EVIDENCE = "compaction_anchor"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortenedTurn:
    """A turn that continues no known answer. ``named``: its client gave the session a name."""

    turn_id: TurnId
    session_id: SessionId
    named: bool
    started_at: datetime
    system: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivingAnswer:
    """A message of the shortened history that a known turn gave as its answer: they share ``anchor``.

    ``position`` counts the messages of the shortened history up to this one; ``owner_position`` those of the owner's
    history and its answer. ``same_before``: the messages before both are the same. No other session of the tenant gave
    such an answer.
    """

    anchor: int
    position: int
    same_before: bool
    owner_turn: TurnId
    owner_node: NodeId
    owner_session: SessionId
    owner_named: bool
    owner_started_at: datetime
    owner_position: int
    owner_system: Digest


@dataclass(frozen=True, slots=True)
class Compaction:
    """The node whose history was replaced, and a description of the surviving part."""

    node_id: NodeId
    reason: str
    config: dict[str, Any]


def compaction(turn: ShortenedTurn, survivors: Iterable[SurvivingAnswer]) -> Compaction | None:
    """Where a turn with a replaced history continues: at the last answer that survived, if what survived is proof.

    A named session stays what its client called it: nothing joins it from outside, and it joins no other.
    """
    known = [each for each in survivors if _may_join(turn, each)]
    calls = [each for each in known if kind_of(each.anchor) == CALL and _call_fits(turn, each)]
    texts = [each for each in known if kind_of(each.anchor) != CALL and each.same_before and _shorter(each)]
    places = {(each.owner_session, each.position) for each in texts}
    enough = {
        session
        for session, _ in places
        if sum(owner == session for owner, _ in places) >= 2
        or any(each.owner_session == session and each.owner_system == turn.system for each in texts)
    }
    enough |= _in_a_row(texts)
    proof = calls + [each for each in texts if each.owner_session in enough]
    if not proof:
        return None
    last = max(each.position for each in proof)
    chosen = min(
        (each for each in proof if each.position == last),
        key=lambda each: (kind_of(each.anchor) != CALL, each.owner_started_at, each.owner_turn.bytes),
    )
    mine = [each for each in proof if each.owner_session == chosen.owner_session]
    ids = len({each.anchor for each in mine if kind_of(each.anchor) == CALL})
    answers = len({each.position for each in mine if kind_of(each.anchor) != CALL})
    survived = [_count(ids, "tool call"), _count(answers, "answer")]
    words = " and ".join(part for part in survived if part)
    reason = f"a history of {chosen.owner_position} messages was replaced by {chosen.position}; {words} survived"
    config = {
        "compaction": {
            "messages": {"from": chosen.owner_position, "to": chosen.position},
            "survived": {"tool_calls": ids, "answers": answers},
        }
    }
    return Compaction(chosen.owner_node, reason, config)


def _in_a_row(texts: list[SurvivingAnswer]) -> set[SessionId]:
    """The sessions of two answers that survived one after the other, though each was filed under another session: so it
    is where every call comes with a new summary, since none of them then begins like the one before."""
    found: set[SessionId] = set()
    for later in texts:
        for earlier in texts:
            if earlier.position == later.position - 2 and _before(earlier, later):
                found |= {earlier.owner_session, later.owner_session}
    return found


def _before(one: SurvivingAnswer, other: SurvivingAnswer) -> bool:
    return (one.owner_started_at, one.owner_turn.bytes) < (other.owner_started_at, other.owner_turn.bytes)


def _may_join(turn: ShortenedTurn, found: SurvivingAnswer) -> bool:
    if (found.owner_started_at, found.owner_turn.bytes) >= (turn.started_at, turn.turn_id.bytes):
        return False
    return found.owner_session == turn.session_id or not (turn.named or found.owner_named)


def _shorter(found: SurvivingAnswer) -> bool:
    """An edit, or another system prompt, keeps the number of messages; a summary does not."""
    return found.position < found.owner_position


def _call_fits(turn: ShortenedTurn, found: SurvivingAnswer) -> bool:
    """Clients also empty old tool results in place: then nothing is shorter, and the rest must be the same."""
    return _shorter(found) or (found.position == found.owner_position and found.owner_system == turn.system)


def _count(number: int, noun: str) -> str:
    return "" if number == 0 else f"{number} {noun}{'' if number == 1 else 's'}"
