"""A recorded call as the rows of a dataset see it: history, answer and tools in canonical form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from regraft.domain.capture.endings import Ending
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.tools import broken_exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTurn:
    """One call of the execution log; ``refusal`` says why it has no canonical form.

    ``ending`` is how the answer ended. ``model`` gave the answer; ``models`` names the model of each message of
    ``history`` where it is an answer that was recorded itself, else ''. Both are empty unless they were asked for.
    ``joined_prefill``: the answer begins with
    words that the client had put into the model's mouth.
    """

    node_id: str
    session_id: str
    history: tuple[Message, ...] = ()
    answer: tuple[Message, ...] = ()
    tools: str | None = None
    tools_digest: str | None = None
    model: str = ""
    models: tuple[str, ...] = ()
    dropped: frozenset[str] = frozenset()
    refusal: RowRefusal | None = None
    ending: Ending = "finished"
    joined_prefill: bool = False


def checked(turn: RecordedTurn) -> RecordedTurn:
    """The turn with its prefill joined to its answer, refused when its messages make no conversation."""
    if turn.refusal:
        return turn
    history, answer, joined = turn.history, turn.answer, False
    if history and history[-1]["role"] == "assistant" and not history[-1]["tool_calls"] and answer:
        whole = _joined(history[-1], answer[0])
        if isinstance(whole, RowRefusal):
            return replace(turn, refusal=whole)
        history, answer, joined = history[:-1], (whole, *answer[1:]), True
    refusal = broken_exchange((*history, *answer)) or _two_answers_in_a_row((*history, *answer))
    if not joined and refusal is None:
        return turn
    return replace(
        turn,
        history=history,
        answer=answer,
        models=turn.models[: len(history)],
        joined_prefill=joined,
        refusal=refusal,
    )


def _joined(prefill: Message, answer: Message) -> Message | RowRefusal:
    """An answer that continues where its prefill stopped. Some servers send the prefill back as part of the answer."""
    if prefill["parts"] or answer["parts"]:
        return RowRefusal("prefill_of_parts", "a prefill of several text parts cannot be joined to its answer")
    start, rest = prefill["content"] or "", answer["content"] or ""
    return {**answer, "content": rest if start and rest.startswith(start) else start + rest}


def _two_answers_in_a_row(messages: Sequence[Message]) -> RowRefusal | None:
    for before, after in pairwise(messages):
        if before["role"] == after["role"] == "assistant":
            return RowRefusal("two_answers_in_a_row", "trainers join them, or drop one")
    return None
