"""Two answers to one instruction with the votes of several annotators: PandaLM's test set.

``annotator1`` and similar names are 1 or 2 for the better response and 0 for a tie; each is a separate judgement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.chat_turns import branched
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.pairs import NAMES, asked
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, name, rest, text
from regraft.domain.capture.judges import PERSON
from regraft.domain.ids import digest_json

FORM = "annotated_pairs"
_SIDES = ("response1", "response2")
_ANNOTATOR = re.compile(r"annotator_?[0-9]{1,4}")
_VOTES = {0: (0.5, 0.5), 1: (1.0, 0.0), 2: (0.0, 1.0)}


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a pair."""
    line = mapping(record.value)
    return all(side in line for side in _SIDES) and bool(_annotators(line)) and bool(asked(line, FORM)[0])


def read(record: JsonRecord) -> Iterator[Found]:
    """The pair as a tree of two branches."""
    line = mapping(record.value)
    source = text(line.get("source")) or FORM
    trunk, known = asked(line, source)
    votes = {key: vote for key in _annotators(line) if (vote := _vote(line[key])) is not None}
    sides = []
    for place, side in enumerate(_SIDES):
        if not isinstance(line.get(side), str):
            raise UnreadableConversationError("an answer that is not text", side)
        judged = tuple(
            Judgement(name="preferred", value=vote[place], source=source, annotator=key, given_by=PERSON)
            for key, vote in votes.items()
        )
        message = {"role": "assistant", "content": line[side]}
        sides.append([ImportedMessage(message=message, parent=None, key=side, answered=True, judgements=judged)])
    key = next((name(line[each]) for each in (*NAMES, "idx") if name(line.get(each))), "")
    yield checked(
        Conversation(
            key=key or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=branched(trunk, sides),
            source=text(line.get("source")),
            rest=rest(line, frozenset({*known, *_SIDES, *votes, "id", "source"})),
        )
    )


def _annotators(line: dict[str, Any]) -> list[str]:
    return [key for key in line if _ANNOTATOR.fullmatch(key)]


def _vote(value: Any) -> tuple[float, float] | None:
    """The values of both sides; None for anything that is not a vote, which is kept as it is."""
    return _VOTES.get(value) if isinstance(value, int) and not isinstance(value, bool) else None
