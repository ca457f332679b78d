"""Find the parent of a history without a known prefix: the call that delivered an answer in it.

Clients rewrite instructions, questions and tool results, cut histories and summarise them, but send back what the model
answered. An answer that a turn delivered and that a later history holds therefore names the parent, whatever changed
around it. Equal answers occur in different conversations, so a candidate also needs a second sign: another answer of
its history before this one, the same question, or the id of a tool call. Of several candidates the one with the most in
common wins. Where several of one tree have the same, the latest does; where they are of several trees, the tree whose
opening shares many words with this history's that no other's does; else none.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from regraft.domain.ids import Digest, NodeId, SessionId, TurnId
from regraft.domain.lineage.fingerprints import is_long_answer
from regraft.domain.lineage.history_change import CONFIG_KEY

EVIDENCE = "returned_answer"
FROM_VERSION = 3  # of the projection
_RELATED, _ALIKE, _ALMOST, _SAME = 0.4, 0.6, 0.7, 0.9  # shares of the shorter question's words that the longer one has
_ANSWERING, _ASKING = frozenset({"assistant"}), frozenset({"user", "tool", "function"})
_CLOSER = 0.08  # how much more alike a question has to be to decide between candidates
# Kana, Chinese characters, Thai, Lao, Burmese, Khmer
_WITHOUT_BLANKS = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]+"
)
_MOST_TEXT = 20_000  # characters of a question, or of an opening, that are compared
_OWN_WORDS, _FEWER = 12, 4  # words of an opening that only one tree shares; how many times as many as any other


@dataclass(frozen=True, slots=True, kw_only=True)
class TailMessage:
    """One of the last messages before an answer. ``keys``: by which an answer, or the call that a result is of, is
    recognised; ``text``: what a user or a tool said since the answer before."""

    message_id: Digest
    role: str
    keys: frozenset[int] = frozenset()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrittenTurn:
    """A turn whose history continues no known one. ``named``: its session is the one that
    the client named; ``name``: what any client calls the conversation, None where it says nothing."""

    turn_id: TurnId
    session_id: SessionId
    named: bool
    name: str | None
    started_at: datetime
    system: Digest
    instructed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveringTurn:
    """A turn that delivered the answer. ``position`` counts its messages with the answer; ``tail``: the last ones
    before the answer, the nearest first. ``by_call``: the two share the id of a tool call, ``by_answer``: what
    they say. ``long``: the answer is a long text or holds calls; a short one proves only together with its question."""

    turn_id: TurnId
    node_id: NodeId
    session_id: SessionId
    named: bool
    name: str | None
    started_at: datetime
    system: Digest
    position: int
    tail: Sequence[TailMessage]
    by_call: bool
    by_answer: bool
    long: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedAnswer:
    """An answer in the rewritten history, at ``position`` from 1, and the turns that delivered an equal one."""

    position: int
    tail: Sequence[TailMessage]
    deliverers: Sequence[DeliveringTurn]


class KnownTurns(Protocol):
    """What else is known of turns; asked only where candidates are equal in all that is compared first."""

    def tree(self, turn: DeliveringTurn) -> NodeId:
        """The root of the tree that a deliverer is in."""

    def opening(self, turn: TurnId) -> str:
        """What the instruction and the question before a turn's first answer say."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """The node that a rewritten history continues. ``shortened``: messages were cut or replaced by a summary.

    ``config`` holds the typed differences under ``history``.
    """

    node_id: NodeId
    shortened: bool
    reason: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Similarity:
    """How much a candidate has in common with the rewritten history; compared field by field."""

    whole: bool
    name: bool
    answers: int
    every_answer: bool
    long_before: bool
    same_result: bool
    question: float
    messages: int
    system: bool
    place: bool

    def rank(self) -> tuple[bool, bool, int, int, int, bool, bool]:
        alike = (self.question >= _ALIKE) + (self.question >= _SAME)  # below that, common words mean nothing
        return (self.whole, self.name, self.answers, alike, self.messages, self.system, self.place)


def continuation(turn: RewrittenTurn, returned: Iterable[ReturnedAnswer], known: KnownTurns) -> Continuation | None:
    """What a turn continues: the best proven deliverer of the last returned answer that has any. Where the best of
    different trees are equal, the turn continues none."""
    for answer in sorted(returned, key=lambda each: -each.position):
        scored = [
            (_likeness(turn, answer, each), each)
            for each in answer.deliverers
            if _may_join(turn, each) and not _is_same_turn(turn, each)
        ]
        proven = [(like, each) for like, each in scored if _proves(turn, answer, each, like)]
        if not proven:
            continue
        best = max(like.rank() for like, _ in proven)
        equal = [(like, each) for like, each in proven if like.rank() == best]
        closest = max(like.question for like, _ in equal)
        winners = [each for like, each in equal if like.question > closest - _CLOSER]
        winners = _of_one_tree(turn, winners, known)
        if not winners:
            return None
        winner = max(winners, key=lambda each: (each.started_at, each.turn_id.bytes))
        return _describe(turn, answer, winner)
    return None


def _of_one_tree(turn: RewrittenTurn, winners: list[DeliveringTurn], known: KnownTurns) -> list[DeliveringTurn]:
    """The winners, if all are of one tree; else those of the tree whose opening is the turn's, and no other's."""
    if len({each.session_id for each in winners}) == 1:
        return winners
    by_tree: dict[NodeId, list[DeliveringTurn]] = defaultdict(list)
    for each in winners:
        by_tree[known.tree(each)].append(each)
    if len(by_tree) == 1:
        return winners
    ours = frozenset(_words(known.opening(turn.turn_id)))
    shared = {
        tree: ours & frozenset[str]().union(*(_words(known.opening(each.turn_id)) for each in found))
        for tree, found in by_tree.items()
    }
    trees_of = Counter(word for words in shared.values() for word in words)
    own = Counter({tree: sum(trees_of[word] == 1 for word in words) for tree, words in shared.items()})
    (best, most), (_, next_most) = own.most_common(2)
    return by_tree[best] if most >= max(_OWN_WORDS, next_most * _FEWER) else []


def _words(text: str) -> list[str]:
    """The words of a text; of scripts that are written without blanks, every two characters in a row."""
    found: list[str] = []
    for word in text[:_MOST_TEXT].split():
        if word.isascii() or not (runs := _WITHOUT_BLANKS.findall(word)):
            found.append(word)
            continue
        found += (run[at : at + 2] for run in runs for at in range(max(len(run) - 1, 1)))
        found += _WITHOUT_BLANKS.sub(" ", word).split()
    return found


def _may_join(turn: RewrittenTurn, found: DeliveringTurn) -> bool:
    """A named session stays what its client called it: nothing joins it from outside, and it joins no other. Two names
    are two conversations."""
    if turn.name is not None and found.name is not None and turn.name != found.name:
        return False
    return found.session_id == turn.session_id or not (turn.named or found.named)


def _is_same_turn(turn: RewrittenTurn, found: DeliveringTurn) -> bool:
    return (found.started_at, found.turn_id.bytes) >= (turn.started_at, turn.turn_id.bytes)


def _likeness(turn: RewrittenTurn, answer: ReturnedAnswer, found: DeliveringTurn) -> _Similarity:
    common = _answers_in_common(answer.tail, found.tail)
    shared = Counter(each.message_id for each in answer.tail) & Counter(each.message_id for each in found.tail)
    return _Similarity(
        whole=found.by_call and found.by_answer,
        name=turn.name is not None and found.name == turn.name,
        answers=1 + len(common),
        every_answer=0 < len(common) == _answers(answer.tail) == _answers(found.tail),
        long_before=any(is_long_answer(key) for keys in common for key in keys),
        same_result=bool(_calls_answered(answer.tail) & _calls_answered(found.tail)),
        question=round(_alike(_question(answer.tail), _question(found.tail)), 2),
        messages=shared.total(),
        system=found.system == turn.system,
        place=found.position == answer.position,
    )


def _proves(turn: RewrittenTurn, answer: ReturnedAnswer, found: DeliveringTurn, like: _Similarity) -> bool:
    shorter = answer.position < found.position
    if found.by_call or (found.long and like.name) or (shorter and found.session_id == turn.session_id):
        return True
    if not found.long:
        same_place = like.place and like.system
        return like.long_before or like.question >= (
            _SAME if not same_place else _ALMOST if not like.every_answer else _RELATED
        )
    if like.answers > 1 or like.same_result or like.question >= _ALIKE:
        return True
    return shorter and (_begins(answer.tail) or (turn.instructed and like.system))


def _begins(tail: Sequence[TailMessage]) -> bool:
    """Whether a history begins with the answer, but for an instruction and what the model said before."""
    return not any(each.role in _ASKING for each in tail)


def _answers(tail: Sequence[TailMessage]) -> int:
    return sum(each.role in _ANSWERING for each in tail)


def _answers_in_common(ours: Sequence[TailMessage], theirs: Sequence[TailMessage]) -> list[frozenset[int]]:
    """The keys of the answers before this one that both histories have, counted back to the first that differs."""
    mine = [each.keys for each in ours if each.keys and each.role in _ANSWERING]
    others = [each.keys for each in theirs if each.keys and each.role in _ANSWERING]
    common: list[frozenset[int]] = []
    for one, other in zip(mine, others, strict=False):
        if not (both := one & other):
            break
        common.append(both)
    return common


def _calls_answered(tail: Sequence[TailMessage]) -> frozenset[int]:
    """The ids of the calls whose results came between the answer before and this one."""
    found: set[int] = set()
    for each in tail:
        if each.role in _ANSWERING:
            break
        found |= each.keys
    return frozenset(found)


def _question(tail: Sequence[TailMessage]) -> str:
    """What users and tools said between the answer before and this one."""
    texts: list[str] = []
    for each in tail:
        if each.role == "assistant":
            break
        if each.text:
            texts.append(each.text)
    return "\n".join(reversed(texts))[:_MOST_TEXT]


def _alike(one: str, other: str) -> float:
    """The share of the shorter text's words that the longer one has, 0 to 1; 0 where one is empty."""
    ours, theirs = Counter(_words(one)), Counter(_words(other))
    fewer = min(ours.total(), theirs.total())
    return (ours & theirs).total() / fewer if fewer else 0.0


def _count(tail: Sequence[TailMessage], roles: frozenset[str]) -> int:
    return sum(each.role in roles for each in tail)


def _describe(turn: RewrittenTurn, answer: ReturnedAnswer, found: DeliveringTurn) -> Continuation:
    differences = []
    if found.system != turn.system:
        differences.append("system_changed")
    shortened = answer.position < found.position and all(
        _count(answer.tail, roles) < _count(found.tail, roles) for roles in (_ANSWERING, _ASKING)
    )
    ours, theirs = _question(answer.tail), _question(found.tail)
    if not shortened and ours and theirs and ours.split() != theirs.split():
        differences.append("user_rewritten")
    if shortened:
        known = {each.message_id for each in found.tail}
        first = next((each for each in reversed(answer.tail) if each.role not in ("system", "developer")), None)
        differences.append("history_cut" if first is None or first.message_id in known else "history_summarised")
    elif answer.position != found.position:
        differences.append("messages_inserted" if answer.position > found.position else "messages_dropped")
    if not differences:
        differences.append("earlier_messages_changed")
    words = ", ".join(each.replace("_", " ") for each in differences)
    if shortened:
        reason = f"a history of {found.position} messages was replaced by {answer.position}: {words}"
    else:
        reason = f"continues an answer that came back: {words}"
    config = {
        CONFIG_KEY: {
            "differences": differences,
            "messages": {"from": found.position, "to": answer.position},
            "reason": reason,
        }
    }
    return Continuation(found.node_id, shortened, reason, config)
