"""A question and its answer in two members of a line: ``prompt`` and ``completion``, and similar names.

TRL's prompt-only and prompt-completion sets, KTO's ``label`` and Alpaca's ``instruction``, ``input`` and ``output`` are
such lines, as texts or as messages. An ``input`` follows its ``instruction`` on a separate line; ``system`` and
``history`` come before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.answer_beside import unanswered
from regraft.domain.capture.importers.chat_turns import grafted, is_transcript, is_turns, read_turns
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.judged import judgements, read_figures
from regraft.domain.capture.importers.messages import checked, tool_list
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, name, rest, text
from regraft.domain.ids import digest_json

FORM = "pairs"
NAMES = ("id", "prompt_id", "question_id", "uid", "uuid")
_QUESTIONS = ("prompt", "instruction", "question", "query", "problem", "input")
_ANSWERS = (
    *("completion", "output", "response", "answer", "solution", "generation", "target", "generated_text"),
    *("model_output", "model_response", "prediction", "output_text", "reply"),
)
_CONTEXTS = ("input", "context")  # what an instruction is about
_BEFORE = ("history", "chat_history", "context")
_SYSTEM = ("system", "system_prompt", "system_message")


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a line."""
    line = mapping(record.value)
    question, answer = _question(line), _answer(line, _question(line))
    if question is None:
        return False
    return answer is not None or (question == "prompt" and not {"completions", "choices"} & line.keys())


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a line."""
    line = mapping(record.value)
    source = text(line.get("source")) or FORM
    said, known = asked(line, source)
    if not said:
        raise UnreadableConversationError("no question")
    answer = _answer(line, _question(line))
    if answer is not None:
        judged = judgements(line, source)
        given = _said(line[answer], "assistant", source)
        if not given or not given[-1].answered:
            raise UnreadableConversationError("a completion that does not end with an answer")
        given[-1] = replace(
            given[-1],
            finish_reason=text(line.get("finish_reason")) or None,
            judgements=(*given[-1].judgements, *judged),
        )
        said += grafted(given, len(said) - 1, len(said))
        known |= {answer, "finish_reason", *read_figures(line)}
    tools = decoded(line.get("tools"))
    others = rest(line, frozenset({*known, "id", "source", "model", "tools"}))
    yield checked(
        Conversation(
            key=next((name(line[key]) for key in NAMES if name(line.get(key))), "")
            or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=said,
            source=text(line.get("source")),
            task=name(line.get("group")) or name(line.get("task")) or None,
            model=text(line.get("model")) or None,
            tools=tool_list(tools),
            rest=others,
            left_out=unanswered(said, others),
        )
    )


def asked(line: dict[str, Any], source: str) -> tuple[list[ImportedMessage], set[str]]:
    """What a line says before its answer, and the members that say it."""
    question = _question(line)
    known: set[str] = set()
    said: list[ImportedMessage] = []
    if question is not None:
        said = _said(line[question], "user", source)
        known.add(question)
        context = next((key for key in _CONTEXTS if key != question and text(line.get(key)).strip()), None)
        if question == "instruction" and context and isinstance(line[question], str) and len(said) == 1:
            words = f"{line[question]}\n{line[context]}" if line[question].strip() else line[context]
            said = _said(words, "user", source)
            known.add(context)
    before: list[ImportedMessage] = []
    instruction = next((key for key in _SYSTEM if text(line.get(key)).strip()), None)
    if instruction:
        before = _said(line[instruction], "system", source)
        known.add(instruction)
    for key in _BEFORE:
        if is_turns(line.get(key)):
            before += read_turns(line[key], source)
            known.add(key)
    history = line.get("history")
    if isinstance(history, list) and history and all(_is_exchange(each) for each in history):
        turns = [
            {"role": role, "content": words}
            for each in history
            for role, words in zip(("user", "assistant"), each, strict=True)
        ]
        before += read_turns(turns, source)
        known.add("history")
    return grafted([*before, *said], None), known


def _is_exchange(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value)


def _is_words(value: Any) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or is_turns(value)


def _question(line: dict[str, Any]) -> str | None:
    return next((key for key in _QUESTIONS if _is_words(line.get(key))), None)


def _answer(line: dict[str, Any], question: str | None) -> str | None:
    return next((key for key in _ANSWERS if key != question and _is_words(line.get(key))), None)


def _said(value: Any, role: str, source: str) -> list[ImportedMessage]:
    if is_turns(value) or is_transcript(value):
        return read_turns(value, source)
    return [ImportedMessage(message={"role": role, "content": value}, parent=None, answered=role == "assistant")]
