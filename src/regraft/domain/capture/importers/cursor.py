"""Cursor's chats: a composer with its bubbles, as its database ``state.vscdb`` keeps them.

A bubble is a message of the user (1) or of the model (2); a tool that the model used is a call and its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, text
from regraft.domain.ids import canonical_json

FORM = "cursor"
ASIDE = frozenset({"richText", "capabilities", "capabilityStatuses", "latestConversationSummary"})  # repetitions
_ROLES: dict[Any, str] = {1: "user", 2: "assistant", "user": "user", "ai": "assistant"}
_GONE = "a bubble that the database does not hold"
_BESIDE = (
    *("context", "attachedCodeChunks", "codebaseContextChunks", "suggestedCodeBlocks", "images", "webReferences"),
    *("docsReferences", "cursorRules", "summarizedComposers", "errorDetails"),
)


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a chat."""
    value = mapping(record.value)
    return isinstance(value.get("composer"), dict) and isinstance(value.get("bubbles"), dict)


def read(record: JsonRecord) -> Iterator[Found]:
    """The chat of a composer."""
    chat = mapping(record.value)
    composer, stored = mapping(chat.get("composer")), mapping(chat.get("bubbles"))
    key = text(composer.get("composerId")) or str(record.position)
    headers = mappings(composer.get("fullConversationHeadersOnly"))
    listed = [(text(each.get("bubbleId")), stored.get(text(each.get("bubbleId")))) for each in headers]
    if not listed:
        listed = [(text(each.get("bubbleId")), each) for each in mappings(composer.get("conversation"))]
    said: list[ImportedMessage] = []
    gone: list[RefusedConversation] = []
    missing = ""
    for at, (bubble, value) in enumerate(listed):
        if not isinstance(value, dict):
            gone.append(RefusedConversation(bubble, _GONE, place=bubble))
            missing = bubble
            continue
        for number, message in enumerate(_messages(value, at)):
            cut = bool(missing)
            said.append(
                _said(value, message, None if cut or not said else len(said) - 1, f"{bubble}/{number}", missing)
            )
            missing = ""
    about = {each: composer[each] for each in ("name", "status", "unifiedMode") if composer.get(each)}
    yield checked(
        Conversation(
            key=key,
            said=_joined(said),
            named=True,
            model=text(mapping(composer.get("modelConfig")).get("modelName")) or None,
            started_ns=nanoseconds(composer.get("createdAt")),
            rest=about,
            left_out=tuple(gone),
        )
    )


def _messages(bubble: dict[str, Any], at: int) -> list[dict[str, Any]]:
    role = _ROLES.get(bubble.get("type")) if isinstance(bubble.get("type"), int | str) else None
    if role is None:
        raise UnreadableConversationError(f"a bubble of the type {bubble.get('type')!r}"[:80])
    words = text(bubble.get("text")) or text(bubble.get("rawText"))
    made: dict[str, Any] = {"role": role, "content": words}
    thoughts = text(mapping(bubble.get("thinking")).get("text")) or text(bubble.get("thinking"))
    if thoughts and role == "assistant":
        made["reasoning_content"] = thoughts
    used = mapping(bubble.get("toolFormerData"))
    called = text(used.get("name"))
    if not called:
        return [made] if words or thoughts else []
    call = text(used.get("toolCallId")) or f"call_{at}"
    given = used.get("rawArgs") or used.get("params")
    made = {**made, "content": words or None, "tool_calls": [tool_call(call, called, given)]}
    result = decoded(used.get("result"))
    if result is None:
        return [made]
    written = result if isinstance(result, str) else canonical_json(result)
    return [made, {"role": "tool", "tool_call_id": call, "content": written}]


def _said(
    bubble: dict[str, Any], message: dict[str, Any], parent: int | None, key: str, missing: str
) -> ImportedMessage:
    answered = message["role"] == "assistant"
    counts = mapping(bubble.get("tokenCount"))
    usage = {"prompt_tokens": counts.get("inputTokens"), "completion_tokens": counts.get("outputTokens")}
    kept = {name_: bubble[name_] for name_ in _BESIDE if bubble.get(name_)} if message["role"] != "tool" else {}
    if answered and (status := text(mapping(bubble.get("toolFormerData")).get("status"))):
        kept["tool_status"] = status
    return ImportedMessage(
        message=message,
        parent=parent,
        key=key,
        answered=answered,
        model=text(mapping(bubble.get("modelInfo")).get("modelName")) or None if answered else None,
        started_ns=nanoseconds(bubble.get("createdAt")),
        usage={each: value for each, value in usage.items() if value} or None,
        rest=kept,
        missing_parent=missing,
    )


def _joined(said: list[ImportedMessage]) -> list[ImportedMessage]:
    """The messages, thinking and words that stand in separate bubbles with what they led to."""
    made: list[ImportedMessage] = []
    for each in said:
        before = made[-1] if made else None
        if before is not None and each.parent is not None and _thought_alone(before) and each.answered:
            words = {**each.message, "reasoning_content": before.message["reasoning_content"]}
            if text(each.message.get("reasoning_content")):
                words["reasoning_content"] += "\n\n" + each.message["reasoning_content"]
            made[-1] = ImportedMessage(
                message=words,
                parent=before.parent,
                key=before.key,
                answered=True,
                model=each.model or before.model,
                started_ns=before.started_ns,
                usage=each.usage or before.usage,
                rest={**before.rest, **each.rest},
                missing_parent=before.missing_parent,
            )
            continue
        parent = None if each.parent is None else len(made) - 1
        made.append(
            ImportedMessage(
                message=each.message,
                parent=parent,
                key=each.key,
                answered=each.answered,
                model=each.model,
                started_ns=each.started_ns,
                usage=each.usage,
                status="interrupted" if _thought_alone(each) else "ok",
                rest=each.rest,
                missing_parent=each.missing_parent,
            )
        )
    return made


def _thought_alone(each: ImportedMessage) -> bool:
    message = each.message
    return (
        each.answered
        and not message.get("content")
        and not message.get("tool_calls")
        and "reasoning_content" in message
    )
