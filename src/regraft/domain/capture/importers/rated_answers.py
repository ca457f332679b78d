"""Several answers to one question, each with its ratings: UltraFeedback, and the sets that distilabel and Nectar make.

``instruction`` with ``completions`` and their ``annotations``; ``generations`` beside ``model_names`` and ``ratings``;
``prompt`` with ``answers`` that have a ``rank``. A system prompt that one answer was given under comes before it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.chat_turns import branched
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.judged import judgements, number, read_figures
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.pairs import NAMES, asked
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, name, rest, text
from regraft.domain.ids import digest_json

FORM = "rated_answers"
_LISTS = ("completions", "answers", "responses", "generations", "candidates")
_WORDS = ("response", "answer", "text", "completion", "content", "output")
_MODELS = ("model_names", "models", "generation_models")
_RATINGS = ("ratings", "scores", "rewards", "ranks")
_RATIONALES = ("rationales", "critiques")
_SYSTEM = "custom_system_prompt"
_SCALE = (1.0, 5.0)  # of the aspects that UltraFeedback's annotations rate


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a line."""
    line = mapping(record.value)
    place = _list_of(line)
    return place is not None and bool(asked(line, FORM)[0])


def read(record: JsonRecord) -> Iterator[Found]:
    """The answers as branches of one question."""
    line = mapping(record.value)
    place = _list_of(line)
    trunk, known = asked(line, FORM)
    if place is None or not trunk:
        raise UnreadableConversationError("no question with a list of answers")
    if isinstance(line.get("labels"), list):
        raise UnreadableConversationError("steps of one answer with a label each, which no message can say")
    source = text(line.get("source"))
    first, judge = _first_rank(line, line[place]), f"{FORM} {source}".strip()
    answers = [[_answer(line, at, given, judge, first)] for at, given in enumerate(line[place])]
    prompts = [text(mapping(given).get(_SYSTEM)) for given in line[place]]
    if any(each.strip() for each in prompts):
        alone = zip(prompts, answers, strict=True)
        said = branched([], [[*_instructed(prompt), *trunk, *answer] for prompt, answer in alone])
    else:
        said = branched(trunk, answers)
    lists = [key for key in (*_MODELS, *_RATINGS, *_RATIONALES) if isinstance(line.get(key), list)]
    whole = digest_json(line).hex()[:32]
    key = next((name(line[each]) for each in NAMES if name(line.get(each))), "") or f"{record.position}:{whole}"
    yield checked(
        Conversation(
            key=key,
            said=said,
            source=source,
            task=key,
            rest=rest(line, frozenset({*known, place, *lists, "id", "source"})),
        )
    )


def _list_of(line: dict[str, Any]) -> str | None:
    return next((key for key in _LISTS if isinstance(line.get(key), list) and line[key] and _all_say(line[key])), None)


def _all_say(values: list[Any]) -> bool:
    return all(_words(each) is not None for each in values)


def _words(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return next((value[key] for key in _WORDS if isinstance(mapping(value).get(key), str)), None)


def _instructed(prompt: str) -> list[ImportedMessage]:
    return [ImportedMessage(message={"role": "system", "content": prompt}, parent=None)] if prompt.strip() else []


def _answer(line: dict[str, Any], at: int, given: Any, source: str, first: float) -> ImportedMessage:
    about = mapping(given)
    word = next((key for key in _WORDS if isinstance(about.get(key), str)), "")
    annotations = mapping(about.get("annotations"))
    judged = [*judgements(about, source), *_aspects(annotations, source), *_listed(line, at, source)]
    if first:
        judged = [replace(each, value=each.value - first) if each.name == "rank" else each for each in judged]
    return ImportedMessage(
        message={"role": "assistant", "content": _words(given)},
        parent=None,
        key=f"{at}",
        answered=True,
        model=text(about.get("model")) or _named(line, at),
        judgements=tuple({each.name: each for each in judged}.values()),
        rest=rest(about, frozenset({word, "model", _SYSTEM, *read_figures(about)})),
    )


def _first_rank(line: dict[str, Any], answers: list[Any]) -> float:
    """What the best answer's rank is counted from: here it is 0."""
    listed = line.get("ranks") or [mapping(each).get("rank") for each in answers]
    ranks = [value for each in listed if (value := number(each)) is not None] if isinstance(listed, list) else []
    return 1.0 if ranks and min(ranks) == 1.0 else 0.0


def _aspects(annotations: dict[str, Any], source: str) -> Iterator[Judgement]:
    """What an annotation rates: each aspect with its rating and the reason for it."""
    for aspect, found in annotations.items():
        about = mapping(found[0] if isinstance(found, list) and found else found)
        value = number(about.get("Rating", about.get("rating")))
        if value is not None:
            reason = text(about.get("Rationale")) or text(about.get("rationale")) or None
            scale = _SCALE if _SCALE[0] <= value <= _SCALE[1] else None
            yield Judgement(name=f"score:{aspect}", value=value, source=source, comment=reason, scale=scale)


def _listed(line: dict[str, Any], at: int, source: str) -> Iterator[Judgement]:
    reason = next((text(found) for key in _RATIONALES if (found := _at(line.get(key), at))), "") or None
    for key in _RATINGS:
        value = number(_at(line.get(key), at))
        if value is not None:
            kind = {"ratings": "score:rating", "scores": "score", "rewards": "reward"}.get(key, "rank")
            yield Judgement(name=kind, value=value, source=source, comment=reason)


def _named(line: dict[str, Any], at: int) -> str | None:
    return next((found for key in _MODELS if (found := text(_at(line.get(key), at)))), None)


def _at(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list) and place < len(value) else None
