"""Conversations in Gemini's form: lines with ``contents`` (requests, tuning sets), AI Studio's ``chunkedPrompt``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers import recorded
from regraft.domain.capture.importers.answer_beside import with_answer
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked, content_of, text_part, tool_list
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, name, rest, text
from regraft.domain.ids import digest_json

FORM = "gemini"
_SYSTEM = ("systemInstruction", "system_instruction")
_SETTINGS = ("generationConfig", "generation_config", "runSettings")
_CALLS = {"functionCall": "function_call", "functionResponse": "function_response"}


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a conversation."""
    line = mapping(record.value)
    contents = mappings(line.get("contents"))
    if contents and all(isinstance(each.get("parts"), list) for each in contents):
        return True
    return bool(mappings(mapping(line.get("chunkedPrompt")).get("chunks")))


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a line."""
    line = mapping(record.value)
    messages = _chunks(line) if "chunkedPrompt" in line else _contents(line)
    instruction = next((key for key in _SYSTEM if line.get(key)), "")
    if instruction and _words(line[instruction]):
        messages.insert(0, {"role": "system", "content": _words(line[instruction])})
    said = [
        ImportedMessage(message=each, parent=at - 1 if at else None, answered=each["role"] == "assistant")
        for at, each in enumerate(messages)
    ]
    settings = next((mapping(line[key]) for key in _SETTINGS if mapping(line.get(key))), {})
    known = frozenset({"contents", "chunkedPrompt", "tools", "model", "id", *_SYSTEM, *_SETTINGS})
    said, beside = with_answer(said, line, known)
    declared = [
        each
        for tool in mappings(line.get("tools"))
        for each in mappings(tool.get("functionDeclarations")) or mappings(tool.get("function_declarations")) or [tool]
    ]
    yield checked(
        Conversation(
            key=name(line.get("id")) or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=said,
            model=text(line.get("model")) or text(settings.get("model")) or None,
            tools=tool_list(declared),
            sampling={key: value for key, value in settings.items() if key != "model"},
            rest=rest(line, known | beside),
        )
    )


def _words(value: Any) -> Any:
    if isinstance(value, str):
        return value
    parts = mappings(mapping(value).get("parts")) or mappings(value)
    texts = [text(part.get("text")) for part in parts]
    if texts and all(texts):
        return content_of([text_part(each) for each in texts])
    return text(mapping(value).get("text"))


def _contents(line: dict[str, Any]) -> list[dict[str, Any]]:
    made = []
    for each in mappings(line.get("contents")):
        parts = [_part(part) for part in mappings(each.get("parts"))]
        thoughts = [text(part.get("text")) for part in parts if part.get("thought") is True]
        said = [part for part in parts if part.get("thought") is not True]
        role = text(each.get("role")) or "user"
        found = list(recorded.messages_of({"role": "user" if role == "function" else role, "parts": said}))
        if thoughts and found and found[-1]["role"] == "assistant":
            found[-1]["reasoning_content"] = "\n\n".join(thoughts)
        made += found
    return made


def _part(part: dict[str, Any]) -> dict[str, Any]:
    return {_CALLS.get(key, key): value for key, value in part.items() if value is not None}


def _chunks(line: dict[str, Any]) -> list[dict[str, Any]]:
    """AI Studio's chunks: thoughts come before the words of the same answer, which may stand in several chunks."""
    made: list[dict[str, Any]] = []
    thoughts: list[str] = []
    for chunk in mappings(mapping(line.get("chunkedPrompt")).get("chunks")):
        role = {"user": "user", "model": "assistant"}.get(text(chunk.get("role")))
        if role is None:
            raise UnreadableConversationError(f"a message with the role {chunk.get('role')!r}"[:80])
        if chunk.get("isThought") is True:
            thoughts.append(text(chunk.get("text")))
            continue
        words = chunk.get("text")
        own = frozenset({"role", "text", "tokenCount", "finishReason", "parts", "isThought", "thinkingBudget"})
        content: Any = words if isinstance(words, str) else [rest(chunk, own) or chunk]
        message = {"role": role, "content": content}
        if thoughts and role == "assistant":
            message["reasoning_content"] = "\n\n".join(thoughts)
            thoughts = []
        made.append(message)
    if thoughts:
        made.append({"role": "assistant", "content": None, "reasoning_content": "\n\n".join(thoughts)})
    return made
