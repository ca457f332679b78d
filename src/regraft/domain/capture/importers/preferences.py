r"""Preferences: ``chosen`` and ``rejected`` as texts, messages or transcripts, with or without ``prompt``.

TRL's standard form, Anthropic's HH (``\n\nHuman: ...\n\nAssistant: ...``), and sets that give scores and models of both
sides. Both answers hang on what they share, with ``preferred`` 1 and 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.chat_turns import branched, is_transcript, is_turns, read_turns
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.judged import number
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.pairs import NAMES, asked
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, name, rest, text
from regraft.domain.ids import digest_json

FORM = "preferences"
_SIDES = (("chosen", 1.0), ("rejected", 0.0))
_SCORES = ("score_{}", "{}_score", "{}_rating", "{}_reward", "reward_{}", "rating_{}")
_MODELS = ("{}_model", "model_{}", "{}-model")


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a preference."""
    line = mapping(record.value)
    sides = [line.get(side) for side, _ in _SIDES]
    if not all(_is_said(each) for each in sides):
        return False
    return not (all(is_turns(each) for each in sides) and not isinstance(line.get("prompt"), str))


def read(record: JsonRecord) -> Iterator[Found]:
    """The preference as a tree of two branches."""
    line = mapping(record.value)
    source = text(line.get("source")) or FORM
    trunk, read_keys = asked(line, source)
    branches = []
    known = {*read_keys, "id", "source", *(side for side, _ in _SIDES)}
    for side, preferred in _SIDES:
        said = _side(line.get(side), source)
        model = next((text(line[key]) for form in _MODELS if text(line.get(key := form.format(side)))), None)
        verdicts = [Judgement(name="preferred", value=preferred, source=source)]
        for form in _SCORES:
            key = form.format(side)
            if (score := number(line.get(key))) is not None:
                verdicts.append(Judgement(name="score", value=score, source=source))
                known.add(key)
                break
        at = len(said) - 1
        if at < 0 or not said[at].answered:
            raise UnreadableConversationError("a preference that does not end with an answer", side)
        last = said[at]
        said[at] = replace(
            last, key=f"{side}:{at}", model=last.model or model, judgements=(*last.judgements, *verdicts)
        )
        branches.append(said)
    if not trunk and not branches[0][0].message["role"] == "user" and len(branches[0]) == 1:
        raise UnreadableConversationError("a preference of texts without a prompt: where the answers begin is unknown")
    whole = trunk if not any(_opens(each) for each in branches) else []
    yield checked(
        Conversation(
            key=next((name(line[key]) for key in NAMES if name(line.get(key))), "")
            or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=branched(whole, branches),
            source=text(line.get("source")),
            rest=rest(line, frozenset(known)),
        )
    )


def _opens(side: list[ImportedMessage]) -> bool:
    return side[0].message["role"] in ("user", "system")


def _is_said(value: Any) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or is_turns(value) or is_turns([value])


def _side(value: Any, source: str) -> list[ImportedMessage]:
    if is_transcript(value) or is_turns(value):
        return read_turns(value, source)
    if isinstance(value, dict):
        return read_turns([value], source)
    if not isinstance(value, str):
        raise UnreadableConversationError("an answer that is neither text nor messages")
    return [ImportedMessage(message={"role": "assistant", "content": value}, parent=None, answered=True)]
