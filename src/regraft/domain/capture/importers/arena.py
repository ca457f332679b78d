"""Battles of two models over one question: ``conversation_a`` and ``conversation_b`` with a ``winner``.

Chatbot Arena, MT-bench's human judgements, and ``prompt`` with ``response_a`` and ``response_b``. Both answers hang on
what they share; the vote belongs to the answer of its turn, with the judge as its annotator. A tie is 0.5 for both,
"both bad" 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.chat_turns import branched, is_turns, read_turns
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.judged import number
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, name, rest, text
from regraft.domain.ids import digest_json

FORM = "arena"
_WINNERS = {
    **dict.fromkeys(("model_a", "a", "A", "left", "leftvote"), (1.0, 0.0)),
    **dict.fromkeys(("model_b", "b", "B", "right", "rightvote"), (0.0, 1.0)),
    **dict.fromkeys(("tie", "tied", "tievote"), (0.5, 0.5)),
    **dict.fromkeys(("tie (bothbad)", "both_bad", "bothbad", "bothbad_vote"), (0.0, 0.0)),
}
_FLAGS = (("winner_model_a", "model_a"), ("winner_model_b", "model_b"), ("winner_tie", "tie"))
_KNOWN = frozenset(
    {"conversation_a", "conversation_b", "response_a", "response_b", "prompt", "model_a", "model_b", "winner", "judge"}
    | {"id", "tstamp", "timestamp", *(flag for flag, _ in _FLAGS)}
)


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a battle."""
    line = mapping(record.value)
    if is_turns(line.get("conversation_a")) and is_turns(line.get("conversation_b")):
        return True
    return "prompt" in line and isinstance(line.get("response_a"), str) and isinstance(line.get("response_b"), str)


def read(record: JsonRecord) -> Iterator[Found]:
    """The battle as a tree of two branches."""
    line = mapping(record.value)
    judge = name(line.get("judge")) or name(mapping(line.get("judge")).get("name"))
    votes = _votes(line)
    sides = []
    for side, vote in zip("ab", votes, strict=True):
        model = text(line.get(f"model_{side}")) or None
        said = read_turns(_turns(line, side), FORM, model=model)
        sides.append(_judged(said, line.get("turn"), vote, judge, side))
    yield checked(
        Conversation(
            key=name(line.get("id")) or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=branched([], sides),
            source=FORM,
            task=name(line.get("question_id")) or None,
            started_ns=nanoseconds(line.get("tstamp")) or nanoseconds(line.get("timestamp")),
            rest=rest(line, _KNOWN) | ({"winner": line["winner"]} if votes[0] is None and line.get("winner") else {}),
        )
    )


def _turns(line: dict[str, Any], side: str) -> Any:
    found = line.get(f"conversation_{side}")
    if found is not None:
        return found
    questions, answers = _texts(line.get("prompt")), _texts(line.get(f"response_{side}"))
    if len(questions) != len(answers):
        raise UnreadableConversationError("questions and answers that are not as many as each other")
    pairs = zip(questions, answers, strict=True)
    return [
        {"role": role, "content": words}
        for question, answer in pairs
        for role, words in (("user", question), ("assistant", answer))
    ]


def _texts(value: Any) -> list[Any]:
    found = decoded(value)
    return found if isinstance(found, list) else [value]


def _votes(line: dict[str, Any]) -> tuple[float | None, float | None]:
    winner = line.get("winner")
    for flag, meant in _FLAGS:
        if number(line.get(flag)) == 1.0:
            winner = meant
    return _WINNERS.get(winner, (None, None)) if isinstance(winner, str) else (None, None)


def _judged(said: list[ImportedMessage], turn: Any, vote: float | None, judge: str, side: str) -> list[ImportedMessage]:
    """The side with its vote, at the answer of the turn that was judged."""
    answers = [at for at, each in enumerate(said) if each.answered]
    said = [replace(each, key=each.key or f"{side}:{at}") if each.answered else each for at, each in enumerate(said)]
    if not answers or vote is None:
        return said
    place = answers[turn - 1] if isinstance(turn, int) and 1 <= turn <= len(answers) else answers[-1]
    verdict = Judgement(name="preferred", value=vote, source=FORM, annotator=judge)
    said[place] = replace(said[place], judgements=(*said[place].judgements, verdict))
    return said
