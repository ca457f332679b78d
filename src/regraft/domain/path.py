"""A recorded path, cut into steps: an answer, its tool calls, their results, and what the user said then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regraft.domain.oracle import PATH, RecordedResult, Shelf, ToolCall, calls_of, results_among


@dataclass(frozen=True, slots=True)
class Step:
    """A recorded answer, its tool calls, what followed it until the next one, and which of that are their results.

    ``results``: place in ``follow`` -> place in ``calls``. ``rest`` is what else followed: the user's turn.
    """

    answer: Any
    follow: Sequence[Any]
    finish_reason: str | None
    calls: Sequence[ToolCall]
    results: Mapping[int, int]
    rest: Sequence[Any]

    @property
    def ends_exchange(self) -> bool:
        """Whether the user had a turn after it, or could have had one."""
        return bool(self.rest) or not self.calls


def step_of(answer: Any, follow: Sequence[Any], finish_reason: str | None = None) -> Step:
    """A step from an answer and all that followed it until the next one."""
    calls = calls_of(answer)
    results = results_among(calls, follow)
    rest = [message for place, message in enumerate(follow) if place not in results]
    return Step(answer, follow, finish_reason, calls, results, rest)


def steps_of(messages: Sequence[Any], answers: Sequence[int], finish_reasons: Sequence[str | None] = ()) -> list[Step]:
    """The steps of a history: ``answers`` are the places of its answers, in order. What is before them is no step."""
    ends = [*answers[1:], len(messages)][: len(answers)]
    reasons = [*finish_reasons, *[None] * (len(answers) - len(finish_reasons))]
    return [
        step_of(messages[at], messages[at + 1 : end], reason)
        for at, end, reason in zip(answers, ends, reasons, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a conversation from a node on. ``opening`` is the history that the node was asked with."""

    opening: Sequence[Any]
    steps: Sequence[Step]
    siblings: Sequence[RecordedResult] = ()

    def shelf(self) -> Shelf:
        """All recorded results: those of the opening, which are spent, those of the path, those of other branches."""
        calling = [at for at, message in enumerate(self.opening) if calls_of(message)]
        spent = _path_results(steps_of(self.opening, [at for at in calling if self.opening[at]["role"] == "assistant"]))
        return Shelf([*spent, *_path_results(self.steps), *self.siblings], len(spent))

    def messages(self) -> list[Any]:
        """The path from the first answer to its end."""
        return [message for step in self.steps for message in (step.answer, *step.follow)]


def _path_results(steps: Sequence[Step]) -> list[RecordedResult]:
    return [
        RecordedResult(call=step.calls[at], message=step.follow[place], source=PATH)
        for step in steps
        for place, at in step.results.items()
    ]
