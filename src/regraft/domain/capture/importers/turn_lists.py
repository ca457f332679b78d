"""Lines with a list of turns: ``conversation``, ``conversations``, ``messages``, ``dialogue`` and similar names.

WildChat, LMSYS-chat and most sets of Hugging Face are such lines. What else a line says is kept beside the
conversation; figures (``reward``, ``score``, ``label``) judge its last answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.answer_beside import unanswered, with_answer
from regraft.domain.capture.importers.chat_turns import grafted, is_turns, read_turns
from regraft.domain.capture.importers.conversation import Conversation, Found, ImportedMessage, last_answer
from regraft.domain.capture.importers.judged import judgements, read_figures
from regraft.domain.capture.importers.messages import checked, tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, name, rest, text
from regraft.domain.ids import digest_json

FORM = "turns"
_LISTS = (
    *("conversation", "conversations", "messages", "dialogue", "dialog", "chat", "turns", "conv"),
    *("full_conversation", "formatted_chat", "transcript", "items"),
)
_NAMES = ("id", "conversation_id", "conversation_hash", "chat_id", "dialogue_id", "prompt_id", "uuid", "uid")
_SYSTEM = ("system", "system_prompt", "system_message")
_TASKS = ("group", "task", "question_id")
_MOMENTS = ("timestamp", "created_at", "create_time", "date", "created")


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a line."""
    return _list_of(mapping(record.value)) is not None


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a line."""
    line = mapping(record.value)
    place = _list_of(line) or "conversations"
    source = text(line.get("source")) or FORM
    said = read_turns(line.get(place), source)
    instruction = next((key for key in _SYSTEM if text(line.get(key)).strip()), None)
    if instruction and not any(each.message["role"] == "system" for each in said):
        system = ImportedMessage(message={"role": "system", "content": line[instruction]}, parent=None)
        said = [system, *grafted(said, 0, 1)]
    said, beside = with_answer(said, line, frozenset({place, "tools", "functions", "source", *_SYSTEM, *_NAMES}))
    last, judged = last_answer(said), judgements(line, source)
    if last is not None and judged:
        said[last] = replace(said[last], judgements=said[last].judgements + judged)
    tools = decoded(line.get("tools") or line.get("functions"))
    known = {place, "tools", "model", "source", *_NAMES[:1], *(read_figures(line) if last is not None else ())}
    others = rest(line, frozenset({*known, *beside, *([instruction] if instruction else [])}))
    yield checked(
        Conversation(
            key=next((name(line[key]) for key in _NAMES if name(line.get(key))), "")
            or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=said,
            source=text(line.get("source")),
            task=next((name(line[key]) for key in _TASKS if name(line.get(key))), None),
            model=text(line.get("model")) or None,
            started_ns=next((at for key in _MOMENTS if (at := nanoseconds(line.get(key))) is not None), None),
            tools=tool_list(tools),
            rest=others,
            left_out=unanswered(said, others),
        )
    )


def _list_of(line: dict[str, Any]) -> str | None:
    return next((key for key in _LISTS if is_turns(line.get(key))), None)
