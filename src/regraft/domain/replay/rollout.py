"""A rollout: a replayed node, followed by the recorded conversation as long as it still applies.

Vocabulary: an *exchange* is everything between two turns of the user. The record is a list of steps, each an answer
and what followed it; the first is the replayed answer. A recorded user turn *still applies* when the
replayed exchange before it ends as the recorded one did (in words, or with the same calls) and made every tool call
that the recorded exchange made. Other words, more calls and another order are reported and end nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.capture.endings import ending_of
from regraft.domain.capture.message import text_of
from regraft.domain.ids import Digest, canonical_json, parse_json, plain
from regraft.domain.lineage.projection import project
from regraft.domain.replay.recording import RecordedConversation, RecordedStep
from regraft.domain.replay.tool_results import (
    EXACT,
    PATH,
    RecordedResults,
    ServedResult,
    ToolCall,
    UnservedCall,
    calls_of,
    result_message,
)

# Why a branch ended.
END_OF_RECORD = "end_of_record"
UNRECORDED_TOOL_CALL = "unrecorded_tool_call"
USER_TURN_NO_LONGER_APPLIES = "user_turn_no_longer_applies"
USER_ENDED = "user_ended"
MAX_TURNS = "max_turns"
MAX_TOKENS = "max_tokens"
ERROR = "error"
REFUSED = "refused"
STOP_REASONS = (
    *(END_OF_RECORD, UNRECORDED_TOOL_CALL, USER_TURN_NO_LONGER_APPLIES, USER_ENDED),
    *(MAX_TURNS, MAX_TOKENS, ERROR, REFUSED),
)

_SHOWN = 80  # characters of what differed
_SENT_BACK = ("role", "content", "name", "refusal", "audio", "tool_calls", "function_call")


# Where two trajectories part


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first place where two trajectories differ.

    ``turn`` counts answers from 1 (a message after the third answer is in turn 3; before the first one it is 0).
    ``step`` counts the tool calls of that answer from 1, or the messages after it, and is 0 where its words differ.
    ``kind``: ``answer`` (words), ``tool_name``, ``arguments``, ``order``, ``missing`` and ``extra`` (calls, or
    messages, that only the first or only the second has); or what another message is: ``user``, ``tool_result``,
    ``system``, ``role``. ``before`` and ``after`` show the beginning of both sides.
    """

    turn: int
    step: int
    kind: str
    before: str = ""
    after: str = ""

    def describe(self) -> dict[str, Any]:
        """The divergence as a JSON object."""
        shown = {"before": self.before, "after": self.after}
        place = {"turn": self.turn, "step": self.step, "kind": self.kind}
        return {**place, **{key: value for key, value in shown.items() if value}}


def divergence(path_a: Sequence[Any], path_b: Sequence[Any]) -> Divergence | None:
    """Where two lists of messages first differ under the projection that joining uses; None when they do not.

    Rewritten ids, white space and similar are not a difference. A path that is a beginning of the other one differs
    where it ends: ``missing`` when the first is longer, else ``extra``.
    """
    turn = step = 0
    for one, other in zip(path_a, path_b, strict=False):
        answered = _role(one) == "assistant" and _role(other) == "assistant"
        turn, step = (turn + 1, 0) if answered else (turn, step + 1)
        if project(one) != project(other):
            return _answers(turn, one, other) if answered else _others(turn, step, one, other)
    if len(path_a) == len(path_b):
        return None
    more = (path_a if len(path_a) > len(path_b) else path_b)[min(len(path_a), len(path_b))]
    turn, step = (turn + 1, 0) if _role(more) == "assistant" else (turn, step + 1)
    if len(path_a) > len(path_b):
        return Divergence(turn=turn, step=step, kind="missing", before=_words(more))
    return Divergence(turn=turn, step=step, kind="extra", after=_words(more))


def _answers(turn: int, one: Any, other: Any) -> Divergence:
    before, after = calls_of(one), calls_of(other)
    old, new = [call.key for call in before], [call.key for call in after]
    if old == new:
        return Divergence(turn=turn, step=0, kind="answer", before=_words(one), after=_words(other))
    at = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    was = before[at] if at < len(before) else None
    now = after[at] if at < len(after) else None
    if Counter(old) == Counter(new):
        kind = "order"
    elif now is None or (was is not None and was.key not in new[at:] and now.key in old[at + 1 :]):
        kind = "missing"
    elif was is None or (was.key in new[at + 1 :] and now.key not in old[at:]):
        kind = "extra"
    else:
        kind = "arguments" if was.name == now.name else "tool_name"
    return Divergence(
        turn=turn,
        step=at + 1,
        kind=kind,
        before=was.shown()[:_SHOWN] if was and kind != "extra" else "",
        after=now.shown()[:_SHOWN] if now and kind != "missing" else "",
    )


def _others(turn: int, step: int, one: Any, other: Any) -> Divergence:
    kind = "role"
    if _role(one) == _role(other):
        role = _role(one)
        kind = {"tool": "tool_result", "function": "tool_result", "developer": "system"}.get(role, role or "role")
    return Divergence(turn=turn, step=step, kind=kind, before=_words(one), after=_words(other))


# The branch


@dataclass(frozen=True, slots=True)
class AskModel:
    """The model is to be asked again with the branch's history."""


@dataclass(frozen=True, slots=True)
class Tools:
    """These calls are to be answered: ``Branch.served`` takes the answers, in their order."""

    calls: Sequence[ToolCall]


@dataclass(frozen=True, slots=True)
class UserTurn:
    """A simulated user writes the next message: pass it to ``Branch.said``."""


@dataclass(frozen=True, slots=True)
class RolloutEnd:
    """The branch has ended. ``reason`` is one of STOP_REASONS, ``detail`` says it in words."""

    reason: str
    detail: str = ""


Need = AskModel | Tools | UserTurn | RolloutEnd


@dataclass(slots=True, kw_only=True)
class RolloutBranch:
    """A rollout while it grows: a state machine that takes answers and returns what it needs next.

    ``history`` is what the next call is made with. ``literal``: a step that repeats the recorded one gets what followed
    it there, word for word; not so when tools are run for real. ``simulated_user`` speaks where the recorded user's
    turn no longer applies; from then on nothing is followed.
    """

    record: RecordedConversation
    recorded: RecordedResults
    history: list[Any]
    literal: bool = True
    max_turns: int = 1
    simulated_user: bool = False
    answers: int = 0
    results: int = 0
    exact: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    latest: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    first: Divergence | None = None
    _path: list[Any] = field(default_factory=list)
    _grown: list[Any] = field(default_factory=list)
    _at: int = 0
    _begin: int = 0
    _made: Counter[Digest] = field(default_factory=Counter)
    _left: bool = False

    def __post_init__(self) -> None:
        self._path = self.record.messages()

    @property
    def fidelity(self) -> float | None:
        """The share of tool results that the record holds for exactly the call that was made; None without any."""
        return round(self.exact / self.results, 4) if self.results else None

    def answered(self, message: Mapping[str, Any], finish_reason: str | None) -> Need:
        """The model has answered. ``message`` is the answer as it is sent back."""
        self.answers += 1
        self.latest = []
        step = None if self._left or not self.record.steps else self.record.steps[self._at]
        calls = calls_of(message)
        self._grow([message])
        same = step is not None and [call.key for call in calls] == [call.key for call in step.calls]
        if (stop := self._cut(message, finish_reason, step if same else None)) is not None:
            return stop
        last = step is None or self._at == len(self.record.steps) - 1
        if calls and same and last and self.literal:
            return RolloutEnd(END_OF_RECORD)
        if not calls and (step is None or (last and not step.calls)) and not (self._left and self.simulated_user):
            return RolloutEnd(END_OF_RECORD)
        if self.answers >= self.max_turns:
            return RolloutEnd(MAX_TURNS, f"{self.answers} answers")
        if calls:
            return self._repeat(calls, step) if step is not None and same and self.literal else Tools(calls)
        if step is not None and not step.calls:
            self._grow(step.follow)
            self._next_exchange()
            return AskModel()
        return self._no_longer_applies(step)

    def served(self, answers: Sequence[ServedResult | UnservedCall]) -> Need:
        """The calls of the last answer were answered, or could not be."""
        for answer in answers:
            if isinstance(answer, UnservedCall):
                return RolloutEnd(UNRECORDED_TOOL_CALL, answer.reason)
            self._grow([answer.message])
            self._count(answer.source)
            self._made[answer.stands_for] += 1
            if answer.note:
                self.notes.append(answer.note)
        self._advance()
        return AskModel()

    def said(self, text: str) -> Need:
        """Take the simulated user's message."""
        self._left = True
        self._grow([{"role": "user", "content": text}])
        return AskModel()

    def _cut(
        self, message: Mapping[str, Any], finish_reason: str | None, recorded: RecordedStep | None
    ) -> RolloutEnd | None:
        """An answer without its end, or a refusal, ends a branch; not where the record continued after the same."""
        ending = ending_of(finish_reason)
        if ending == "cut" and (recorded is None or ending_of(recorded.finish_reason) != "cut"):
            return RolloutEnd(MAX_TOKENS, f"answer {self.answers} was cut at its limit of tokens")
        if ending == "filtered":
            return RolloutEnd(REFUSED, f"answer {self.answers} was filtered")
        if _refuses(message) and (recorded is None or not _refuses(recorded.answer)):
            return RolloutEnd(REFUSED, str(message.get("refusal"))[:_SHOWN])
        return None

    def _repeat(self, calls: Sequence[ToolCall], step: RecordedStep) -> AskModel:
        """What followed the recorded answer, under the ids of these calls."""
        follow = list(step.follow)
        for place, at in step.results.items():
            follow[place] = result_message(calls[at], None, step.follow[place])
            self.recorded.exact(calls[at])
            self._count(PATH)
        self._grow(follow)
        self._made.update(call.key for call in calls)
        self._at += 1
        if step.ends_exchange:
            self._begin = self._at
            self._made.clear()
        return AskModel()

    def _advance(self) -> None:
        """Move to the first recorded step of the exchange that has calls left to make. Where that takes it past the
        user's turn, the user speaks."""
        steps = self.record.steps
        while not self._left and steps and steps[self._at].calls and self._at < len(steps) - 1:
            wanted = Counter(call.key for step in steps[self._begin : self._at + 1] for call in step.calls)
            if not wanted <= self._made:
                return
            if steps[self._at].rest:
                self._grow(steps[self._at].rest)
                self._next_exchange()
                return
            self._at += 1

    def _next_exchange(self) -> None:
        self._at += 1
        self._begin = self._at
        self._made.clear()

    def _no_longer_applies(self, step: RecordedStep | None) -> Need:
        if step is None:
            return UserTurn()
        steps = self.record.steps
        if not any(each.rest for each in steps[self._at :]):
            return RolloutEnd(END_OF_RECORD, "the record has no further turn of the user")
        if self.simulated_user:
            return UserTurn()
        wanted = [call for each in steps[self._begin : self._at + 1] for call in each.calls]
        missing = next((call for call in wanted if not self._made[call.key]), wanted[-1])
        return RolloutEnd(
            USER_TURN_NO_LONGER_APPLIES,
            f"the user's turn answers an exchange that called {missing.shown()}",
        )

    def _count(self, source: str) -> None:
        self.results += 1
        self.exact += source in EXACT
        self.sources[source] += 1
        self.latest.append(source)

    def _grow(self, messages: Sequence[Any]) -> None:
        for message in messages:
            place = len(self._grown)
            self.history.append(message)
            self._grown.append(message)
            if self.first is None and not (place < len(self._path) and project(message) == project(self._path[place])):
                self.first = divergence(self._path[: place + 1], self._grown)


def _refuses(message: Any) -> bool:
    return isinstance(message, Mapping) and bool(message.get("refusal")) and not message.get("content")


def sent_back(message: Mapping[str, Any]) -> dict[str, Any]:
    """A chat answer as a client sends it back in the next request: what the API takes of it."""
    kept = {key: message[key] for key in _SENT_BACK if message.get(key) not in (None, [])}
    return {"content": message.get("content"), **kept, "role": message.get("role") or "assistant"}


# The label of a call about its branch


@dataclass(frozen=True, slots=True)
class RolloutLabel:
    """Of the history that a call of a rollout was made with. ``fidelity`` is None without tool results."""

    fidelity: float | None = None
    first_divergence: dict[str, Any] | None = None


def rollout_label(variant: str | None) -> RolloutLabel:
    """What the variant of a captured call says; a client may have written anything there."""
    if not variant or '"rollout"' not in variant:
        return RolloutLabel()
    try:
        document = plain(parse_json(variant))
    except ValueError:
        return RolloutLabel()
    stored = document.get("rollout") if isinstance(document, dict) else None
    if not isinstance(stored, dict):
        return RolloutLabel()
    results, exact, parted = (stored.get(key) for key in ("results", "exact", "divergence"))
    fidelity = None
    if isinstance(results, int) and isinstance(exact, int) and 0 <= exact <= results and results > 0:
        fidelity = round(exact / results, 4)
    return RolloutLabel(fidelity, parted if isinstance(parted, dict) else None)


# The simulated user

STOP_MARK = "###STOP###"


def persona_request(persona: str, history: Sequence[Any]) -> list[dict[str, Any]]:
    """The messages that ask a model for the user's next turn."""
    speakers = {"user": "User", "assistant": "Assistant"}
    said = [
        f"{speakers[_role(message)]}: {text}"
        for message in history
        if _role(message) in speakers and (text := text_of(message))
    ]
    told = (
        "You play the user of an assistant. Write the user's next message and nothing else. When the user would say "
        f"no more, write {STOP_MARK}."
    )
    transcript = "\n\n".join(said)
    return [
        {"role": "system", "content": f"{persona.strip()}\n\n{told}"},
        {"role": "user", "content": f"{transcript}\n\nUser:"},
    ]


def user_ended(text: str) -> bool:
    """Whether a simulated user ended the conversation."""
    return not text.strip() or STOP_MARK in text


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    return role if isinstance(role, str) else ""


def _words(message: Any) -> str:
    """The beginning of a message's text."""
    text = text_of(message)
    if not text and (calls := calls_of(message)):
        text = ", ".join(call.shown() for call in calls)
    return (text or canonical_json(message))[:_SHOWN]
