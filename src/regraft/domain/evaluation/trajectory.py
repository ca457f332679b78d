"""Trajectory units: the path from the root to one terminal node, its measurements, and its rendering as text.

A unit's id is its terminal node's id, so it is stable for as long as that node is terminal. Nothing here is judged:
counts and shares only. ``score.py`` turns them into a quality.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from regraft.domain.capture.message import Message, text_of
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.tool_calls import is_tool_error, pair_calls

_NGRAM = 4
_UNPRINTABLE = {0: "␀"} | dict.fromkeys(range(0xD800, 0xE000), "�")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryStep:
    """One turn of a path: a node below the root with the facts of its first run.

    ``duration_ms`` is milliseconds; token counts are None where the server reported none.
    """

    kind: str
    status: str
    model: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSignals:
    """What is measured on one answer.

    ``length`` counts characters; ``relative_length`` is that length over the median of its siblings (1.0 when it has
    none); ``repetition`` is the share of word 4-grams that occurred before in the same answer, 0 to 1 (the seq-rep-4
    of Welleck et al. 2019, "Neural Text Generation with Unlikelihood Training").
    """

    status: str
    finish_reason: str | None
    empty: bool
    length: int
    relative_length: float
    repetition: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSignals:
    """What is measured on a whole path. ``tool_errors`` and ``repeated_calls`` are at most ``tool_calls`` each;
    ``recovered_calls`` are failed calls whose tool succeeded later on the path.

    Token sums leave out turns whose server reported none. ``seconds`` is the time spent waiting for models.
    """

    turns: int
    tool_calls: int
    tool_errors: int
    repeated_calls: int
    recovered_calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    finish_reasons: tuple[str, ...]
    kinds: tuple[str, ...]
    answer: AnswerSignals


def calls_of(message: Message) -> list[tuple[str, str]]:
    """The function calls of a message as (name, arguments); arguments are canonical JSON where they parse."""
    found = []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            found.append((str(function.get("name")), _canonical(function.get("arguments"))))
    return found


def _canonical(arguments: Any) -> str:
    if not isinstance(arguments, str):
        return canonical_json(arguments)
    try:
        return canonical_json(parse_json(arguments))
    except ValueError:
        return arguments


def repetition_of(text: str) -> float:
    """Share of word 4-grams that repeat an earlier one, 0 to 1; texts of fewer than five words give 0."""
    words = text.split()
    total = len(words) - _NGRAM + 1
    if total < 2:
        return 0.0
    return 1.0 - len({tuple(words[i : i + _NGRAM]) for i in range(total)}) / total


def measure_answer(
    answer: Message | None, *, status: str, finish_reason: str | None, sibling_lengths: Sequence[int] = ()
) -> AnswerSignals:
    """The signals of one answer; ``sibling_lengths`` are the other answers' lengths, in characters."""
    text = text_of(answer) if answer else ""
    typical = median(sibling_lengths) if sibling_lengths else 0
    return AnswerSignals(
        status=status,
        finish_reason=finish_reason,
        empty=not text.strip() and not (answer and calls_of(answer)),
        length=len(text),
        relative_length=len(text) / typical if typical else 1.0,
        repetition=repetition_of(text),
    )


def measure_unit(
    steps: Sequence[TrajectoryStep],
    history: Sequence[Message],
    answer: Message | None,
    *,
    sibling_lengths: Sequence[int] = (),
) -> UnitSignals:
    """The signals of a path: ``steps`` from first turn to terminal node (at least one), ``history`` the terminal
    node's context and ``answer`` its answer, None where there was none."""
    last = steps[-1]
    messages = [*history, answer] if answer else list(history)
    calls = [call for message in messages for call in calls_of(message)]
    errors = min(len(calls), sum(map(is_tool_error, messages)))
    return UnitSignals(
        turns=len(steps),
        tool_calls=len(calls),
        tool_errors=errors,
        repeated_calls=len(calls) - len(set(calls)),
        recovered_calls=min(errors, recovered_calls(messages)) if errors else 0,
        prompt_tokens=sum(step.prompt_tokens or 0 for step in steps),
        completion_tokens=sum(step.completion_tokens or 0 for step in steps),
        seconds=sum(step.duration_ms for step in steps) / 1000.0,
        finish_reasons=tuple(step.finish_reason or "none" for step in steps),
        kinds=tuple(step.kind for step in steps),
        answer=measure_answer(
            answer, status=last.status, finish_reason=last.finish_reason, sibling_lengths=sibling_lengths
        ),
    )


def recovered_calls(messages: Sequence[Message]) -> int:
    """How many calls failed whose tool gave a result without an error later."""
    failed: Counter[str] = Counter()
    recovered = 0
    answers = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    for place, following in pairwise([*answers, len(messages)]):
        for call in pair_calls(messages[place], messages[place + 1 : following]):
            if call.is_error:
                failed[call.name] += 1
            elif call.is_error is not None:
                recovered += failed.pop(call.name, 0)
    return recovered


def printable(text: str) -> str:
    """The same text with NUL and lone surrogates replaced, which PostgreSQL ``text`` and Arrow strings refuse."""
    return text.translate(_UNPRINTABLE)


def render(messages: Sequence[Message]) -> str:
    """A conversation as plain text: a ``[role]`` line, the text, and a ``-> name(arguments)`` line per call."""
    blocks = []
    for message in messages:
        lines = [f"[{message.get('role', 'unknown')}]"]
        text = text_of(message)
        if text:
            lines.append(text)
        lines += [f"-> {name}({arguments})" for name, arguments in calls_of(message)]
        blocks.append("\n".join(lines))
    return printable("\n\n".join(blocks))
