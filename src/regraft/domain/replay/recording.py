"""A recorded path as steps: an answer, its tool calls, their results, and the user's next turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.domain.errors import UsageError
from regraft.domain.ids import Digest, NodeId
from regraft.domain.replay.tool_results import PATH, RecordedResult, RecordedResults, ToolCall, calls_of, results_among


@dataclass(frozen=True, slots=True)
class RecordedStep:
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


def step_of(answer: Any, follow: Sequence[Any], finish_reason: str | None = None) -> RecordedStep:
    """A step from an answer and all that followed it until the next one."""
    calls = calls_of(answer)
    results = results_among(calls, follow)
    rest = [message for place, message in enumerate(follow) if place not in results]
    return RecordedStep(answer, follow, finish_reason, calls, results, rest)


def steps_of(
    messages: Sequence[Any], answers: Sequence[int], finish_reasons: Sequence[str | None] = ()
) -> list[RecordedStep]:
    """The steps of a history. ``answers`` are the indexes of its answers, in order; earlier messages are left out."""
    ends = [*answers[1:], len(messages)][: len(answers)]
    reasons = [*finish_reasons, *[None] * (len(answers) - len(finish_reasons))]
    return [
        step_of(messages[at], messages[at + 1 : end], reason)
        for at, end, reason in zip(answers, ends, reasons, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedConversation:
    """The recording of a conversation from a node on. ``opening`` is the history that the node was asked with."""

    opening: Sequence[Any]
    steps: Sequence[RecordedStep]
    siblings: Sequence[RecordedResult] = ()

    def results(self) -> RecordedResults:
        """All recorded results: those of the opening, which are spent, those of the path, those of other branches."""
        calling = [at for at, message in enumerate(self.opening) if calls_of(message)]
        spent = _path_results(steps_of(self.opening, [at for at in calling if self.opening[at]["role"] == "assistant"]))
        return RecordedResults([*spent, *_path_results(self.steps), *self.siblings], len(spent))

    def messages(self) -> list[Any]:
        """The path from the first answer to its end."""
        return [message for step in self.steps for message in (step.answer, *step.follow)]


def _path_results(steps: Sequence[RecordedStep]) -> list[RecordedResult]:
    return [
        RecordedResult(call=step.calls[at], message=step.follow[place], source=PATH)
        for step in steps
        for place, at in step.results.items()
    ]


# Which path of a tree


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedNode:
    """A node in the tree with the facts of its first run. ``evidence`` says how its parent was found."""

    node_id: NodeId
    parent_id: NodeId
    session_id: UUID
    evidence: str
    context_id: Digest
    context_depth: int
    context_projection: Digest
    answer_projection: Digest
    finish_reason: str | None
    is_replay: bool
    answered: bool


_CONTINUES = frozenset({"prefix", "longest_prefix", "explicit_header"})


def main_line(nodes: Sequence[RecordedNode], start: UUID, toward: UUID | None = None) -> list[RecordedNode]:
    """The path from a node downwards that a rollout follows: to ``toward``, else the longest of original answers.

    Of equally long ones it is the earliest. Below a replay, replays count too. Raises UsageError for a goal that is
    not below the start.
    """
    by_id: dict[UUID, RecordedNode] = {each.node_id: each for each in nodes}
    if start not in by_id or not by_id[start].answered:
        return []
    if toward is not None:
        line = [by_id[toward]] if toward in by_id else []
        while line and line[-1].node_id != start:
            line.append(by_id[line[-1].parent_id])
        if not line:
            raise UsageError(f"Node {toward} is not below node {start}.")
        line.reverse()
    else:
        line = _longest(by_id, by_id[start])
    unbroken = next((at for at, each in enumerate(line[1:], 1) if each.evidence not in _CONTINUES), len(line))
    return line[:unbroken]


def _longest(by_id: Mapping[UUID, RecordedNode], start: RecordedNode) -> list[RecordedNode]:
    children: dict[UUID, list[RecordedNode]] = defaultdict(list)
    for each in by_id.values():
        if each.answered and (start.is_replay or not each.is_replay):
            children[each.parent_id].append(each)
    order = [start]
    for each in order:
        order.extend(children[each.node_id])
    heights: dict[UUID, int] = {}
    for each in reversed(order):
        heights[each.node_id] = 1 + max((heights[child.node_id] for child in children[each.node_id]), default=0)
    line = [start]
    while below := children[line[-1].node_id]:
        line.append(max(below, key=lambda child: heights[child.node_id]))
    return line


def holds(line: Sequence[RecordedNode], projections: Sequence[Digest]) -> bool:
    """Whether a history, given what each of its beginnings projects to, goes through every answer of a path.

    The last answer is not in the history: it was given to it.
    """
    for at, each in enumerate(line):
        if each.context_depth > len(projections) or projections[each.context_depth - 1] != each.context_projection:
            return False
        if at < len(line) - 1 and (
            each.context_depth >= len(projections) or projections[each.context_depth] != each.answer_projection
        ):
            return False
    return True
