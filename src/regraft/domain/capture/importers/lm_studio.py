"""LM Studio's conversations: ``~/.lmstudio/conversations/**.conversation.json``.

A message has ``versions``: each is a branch, and what follows hangs on the one that is selected. An answer's steps are
its thinking, its calls of tools, their results and its words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked, content_of, text_part, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, rest, text
from regraft.domain.ids import canonical_json, digest_json

FORM = "lm_studio"
_KNOWN = frozenset({"messages", "systemPrompt", "createdAt"})
_ROLES = frozenset({"user", "assistant", "system"})
_CALLS = frozenset({"toolCallRequest", "tool_call_request"})
_RESULTS = frozenset({"toolCallResult", "tool_call_result"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a conversation."""
    messages = mappings(mapping(record.value).get("messages"))
    return bool(messages) and all(isinstance(each.get("versions"), list) for each in messages)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation with all versions of its messages."""
    talk = mapping(record.value)
    said: list[ImportedMessage] = []
    end: int | None = None
    if text(talk.get("systemPrompt")).strip():
        said.append(ImportedMessage(message={"role": "system", "content": talk["systemPrompt"]}, parent=None))
        end = 0
    for at, message in enumerate(mappings(talk.get("messages"))):
        selected = message.get("currentlySelected")
        parent, follow = end, end
        for number, version in enumerate(mappings(message.get("versions"))):
            last = parent
            for piece, made in enumerate(_version(version, f"{at}.{number}")):
                said.append(_said(made, version, last, f"{at}.{number}.{piece}"))
                last = len(said) - 1
            if number == selected or follow == parent:
                follow = last
        end = follow
    name = text(talk.get("name"))
    created = nanoseconds(talk.get("createdAt"))
    first = digest_json(mappings(talk.get("messages"))[:1]).hex()[:32]
    yield checked(
        Conversation(
            key=f"{talk.get('createdAt') or name}:{first}",
            said=said,
            named=True,
            started_ns=created,
            rest={**rest(talk, _KNOWN), "title": name},
        )
    )


def _said(made: dict[str, Any], version: dict[str, Any], parent: int | None, key: str) -> ImportedMessage:
    answered = made["role"] == "assistant"
    info = made.pop("genInfo", {}) if answered else {}
    stats = mapping(info.get("stats"))
    counts = {"promptTokensCount": "prompt_tokens", "predictedTokensCount": "completion_tokens"}
    only_thought = answered and not made["content"] and "tool_calls" not in made
    return ImportedMessage(
        message=made,
        parent=parent,
        key=key,
        answered=answered,
        model=text(info.get("indexedModelIdentifier"))
        or text(info.get("identifier"))
        or text(mapping(version.get("senderInfo")).get("senderName"))
        or None
        if answered
        else None,
        usage={name: stats[key] for key, name in counts.items() if stats.get(key) is not None} or None,
        finish_reason=text(stats.get("stopReason")) or None,
        status="interrupted" if only_thought else "ok",
        rest=rest(version, frozenset({"role", "content", "steps", "type", "currentlySelected"})),
    )


def _version(version: dict[str, Any], place: str) -> Iterator[dict[str, Any]]:
    role = text(version.get("role"))
    if role not in _ROLES:
        raise UnreadableConversationError(f"a message with the role {role!r}"[:80], place)
    if role != "assistant" or not mappings(version.get("steps")):
        yield {"role": role, "content": _content(version.get("content"))}
        return
    answer = _Answer()
    for step in mappings(version["steps"]):
        blocks = mappings(step.get("content"))
        thinking = mapping(step.get("style")).get("type") == "thinking"
        for block in blocks:
            kind = text(block.get("type"))
            if kind in _RESULTS:
                if answer:
                    yield answer.message()
                    answer = _Answer()
                yield _result(block)
                continue
            if answer.calls and kind not in _CALLS:
                yield answer.message()
                answer = _Answer()
            answer.add(block, kind, thinking=thinking)
        answer.info = mapping(step.get("genInfo")) or answer.info
        if not blocks and rest(step, frozenset({"type", "stepIdentifier", "style"})):
            answer.kept.append(step)
    if answer:
        yield answer.message()


class _Answer:
    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.thoughts: list[str] = []
        self.calls: list[Any] = []
        self.info: dict[str, Any] = {}
        self.kept: list[Any] = []

    def __bool__(self) -> bool:
        return bool(self.parts or self.thoughts or self.calls)

    def add(self, block: dict[str, Any], kind: str, *, thinking: bool) -> None:
        if kind in _CALLS:
            call = text(block.get("toolCallRequestId")) or text(block.get("callId")) or text(block.get("id"))
            given = block.get("parameters", block.get("arguments"))
            self.calls.append(tool_call(call, block.get("name"), given))
        elif thinking and text(block.get("text")):
            self.thoughts.append(block["text"])
        elif kind == "text" and isinstance(block.get("text"), str):
            self.parts.append(text_part(block["text"]))
        else:
            self.parts.append(block)

    def message(self) -> dict[str, Any]:
        texts = [part["text"] for part in self.parts if isinstance(part.get("text"), str) and len(part) == 2]
        parts = [text_part("".join(texts))] if texts and len(texts) == len(self.parts) else self.parts
        made: dict[str, Any] = {"role": "assistant", "content": content_of(parts) if parts else None}
        if self.thoughts:
            made["reasoning_content"] = "\n\n".join(self.thoughts)
        if self.calls:
            made["tool_calls"] = self.calls
        return {**made, "genInfo": self.info}


def _content(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return content_of(
        [
            text_part(part["text"])
            if mapping(part).keys() == {"type", "text"} and isinstance(part["text"], str)
            else part
            for part in value
        ]
    )


def _result(block: dict[str, Any]) -> dict[str, Any]:
    call = text(block.get("toolCallRequestId")) or text(block.get("callId")) or text(block.get("id"))
    content = block.get("content")
    written = content if isinstance(content, str) else "" if content is None else canonical_json(content)
    return {"role": "tool", "tool_call_id": call, "content": written}
