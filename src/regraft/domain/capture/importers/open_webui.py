"""Open WebUI's chat export: ``chat.history.messages`` by id, with ``parentId`` and ``childrenIds``.

The application writes what a model thought and which tools it called into the answer's text, as ``<details>`` blocks:
the thinking becomes ``reasoning_content``, the calls become tool calls with their results. An answer that also has its
pieces as an ``output`` list is read from that.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.links import MessageLinks, by_id, link, tree_of
from regraft.domain.capture.importers.messages import checked, content_of, text_part, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, mappings, rest, text
from regraft.domain.ids import canonical_json, parse_json

FORM = "open_webui"
_DETAILS = re.compile(r'<details type="(reasoning|tool_calls)"')
_DETAILS_END = "</details>"
_SUMMARY, _SUMMARY_END = "<summary>", "</summary>"
_ATTRIBUTE = re.compile(r'(?<!\w)(\w+)="([^"]*)"')
_QUOTED = re.compile(r"^> ?", re.MULTILINE)
_KNOWN = frozenset({"id", "title", "chat", "created_at", "updated_at"})
_KNOWN_OF_CHAT = frozenset({"id", "title", "history", "messages", "params", "system", "timestamp", "models"})
_KNOWN_OF_MESSAGE = frozenset(
    {
        "id",
        "parentId",
        "childrenIds",
        "role",
        "content",
        "timestamp",
        "model",
        "modelName",
        "modelIdx",
        "models",
        "done",
    }
    | {"usage", "info", "annotation", "files", "output", "lastSentence"}
)


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a chat."""
    talk = mapping(mapping(record.value).get("chat"))
    if isinstance(mapping(talk.get("history")).get("messages"), dict | list):
        return True
    return any("role" in each for each in mappings(talk.get("messages")))


def read(record: JsonRecord) -> Iterator[Found]:
    """The chat with all its branches."""
    entry = mapping(record.value)
    talk = mapping(entry.get("chat"))
    history = mapping(talk.get("history"))
    messages = _messages(history.get("messages") or talk.get("messages"))
    said: list[ImportedMessage] = []
    system = text(mapping(talk.get("params")).get("system")) or text(talk.get("system"))
    if system and messages:
        said.append(ImportedMessage(message={"role": "system", "content": system}, parent=None, key="system"))
    first = len(said) - 1 if said else None
    ends: dict[str, int | None] = {}
    gaps: dict[str, str] = {}  # the absent parent that no message hangs on yet
    tree = tree_of(_links(messages, listed=not isinstance(history.get("messages"), dict)))
    for key, above in tree.parents.items():
        each = messages[key]
        missing = tree.missing.get(key) or gaps.get(above or "", "")
        end = ends[above] if above else None if missing else first
        for piece, message in enumerate(_split(each, key)):
            said.append(_said(message, each, key, piece, end, "" if piece else missing))
            end = len(said) - 1
        ends[key], gaps[key] = end, missing if end is None else ""
    yield checked(
        Conversation(
            key=text(entry.get("id")) or text(talk.get("id")) or str(record.position),
            said=said,
            named=True,
            started_ns=nanoseconds(entry.get("created_at")) or nanoseconds(talk.get("timestamp")),
            sampling={
                name: value
                for name, value in mapping(talk.get("params")).items()
                if name in ("temperature", "top_p", "top_k", "seed", "max_tokens", "frequency_penalty")
                and value is not None
            },
            rest={
                **rest(entry, _KNOWN),
                **rest(talk, _KNOWN_OF_CHAT),
                "title": entry.get("title") or talk.get("title"),
                "current_node": history.get("currentId"),
            },
            left_out=tree.left_out(),
        )
    )


def _messages(given: Any) -> dict[str, dict[str, Any]]:
    """The messages by id. Older exports have a list."""
    if isinstance(given, dict):
        return {key: mapping(each) for key, each in given.items()}
    return by_id((text(each.get("id")) or f"message {at}", each) for at, each in enumerate(mappings(given)))


def _links(messages: dict[str, dict[str, Any]], listed: bool) -> dict[str, MessageLinks]:
    """What the messages say of their neighbours; in a list that says nothing, each follows the one before it."""
    if not listed or any(each.get("parentId") or each.get("childrenIds") for each in messages.values()):
        return {key: link(each.get("parentId"), each.get("childrenIds")) for key, each in messages.items()}
    return {key: MessageLinks(before) for key, before in zip(messages, [None, *messages], strict=False)}


def _said(
    message: dict[str, Any], each: dict[str, Any], key: str, piece: int, parent: int | None, missing: str
) -> ImportedMessage:
    answered = message["role"] == "assistant"
    vote = figure(mapping(each.get("annotation")).get("rating"))
    comment = text(mapping(each.get("annotation")).get("comment")) or text(
        mapping(each.get("annotation")).get("reason")
    )
    judged = (Judgement(name="vote", value=vote, source="open_webui user", comment=comment or None),) if vote else ()
    usage = mapping(each.get("usage")) or mapping(each.get("info"))
    status = "error" if each.get("error") else "interrupted" if each.get("done") is False else "ok"
    return ImportedMessage(
        message=message,
        parent=parent,
        key=f"{key}/{piece}" if piece else key,
        answered=answered,
        model=text(each.get("model")) or None if answered else None,
        started_ns=None if piece else nanoseconds(each.get("timestamp")),
        usage=usage if usage and answered and not piece else None,
        status=status if answered else "ok",
        judgements=judged if answered else (),
        rest={} if piece else {**rest(each, _KNOWN_OF_MESSAGE), **_rendered_otherwise(each)},
        missing_parent=missing,
        source_texts=() if piece or not isinstance(each.get("content"), str) else (each["content"],),
    )


def _rendered_otherwise(each: dict[str, Any]) -> dict[str, Any]:
    """The text of an answer that is read from its ``output``, where it says something else: it was edited."""
    items, content = mappings(each.get("output")), each.get("content")
    if not items or not isinstance(content, str):
        return {}
    said = "".join(
        text(part.get("text"))
        for item in items
        if item.get("type") == "message"
        for part in mappings(item.get("content"))
    )
    at, shown = 0, []
    for block in _details(content):
        shown.append(content[at : block.start])
        at = block.end
    shown.append(content[at:])
    return {} if "".join("".join(shown).split()) == "".join(said.split()) else {"content": content}


def _split(each: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    role = each.get("role")
    if role not in ("system", "user", "assistant", "tool"):
        raise UnreadableConversationError(f"a message with the role {role!r}"[:80])
    if role == "assistant" and mappings(each.get("output")):
        yield from _from_output(mappings(each["output"]))
        return
    content = each.get("content")
    if role == "assistant" and isinstance(content, str) and "<details type=" in content:
        yield from _from_text(content, key)
        return
    parts = content if isinstance(content, list) else [text_part(text(content))]
    parts = parts + [{"type": "file", "file": file} for file in mappings(each.get("files"))]
    yield {"role": role, "content": content_of(parts)}


class _AnswerParts:
    """An answer that grows until its tools were called."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.text: list[str] = []
        self.thought: list[str] = []
        self.calls: list[Any] = []
        self.results: list[dict[str, Any]] = []

    def flush(self) -> Iterator[dict[str, Any]]:
        said = "".join(self.text).strip("\n")
        if said or self.calls or self.thought:
            made: dict[str, Any] = {"role": "assistant", "content": said if said or not self.calls else None}
            if self.thought:
                made["reasoning_content"] = "\n\n".join(self.thought)
            if self.calls:
                made["tool_calls"] = self.calls
            yield made
        yield from self.results
        self.begin()


@dataclass(frozen=True, slots=True)
class _Details:
    """One ``<details>`` element of a text, which runs from ``start`` to ``end``."""

    start: int
    end: int
    kind: str
    attributes: str
    inner: str


def _details(content: str) -> Iterator[_Details]:
    """The elements that hold reasoning or tool calls, in order. The search ends at the first that is not closed: what
    does not follow one start does not follow a later one."""
    at = 0
    while start := _DETAILS.search(content, at):
        bound = content.find(">", start.end())
        close = content.find(_DETAILS_END, bound + 1) if bound >= 0 else -1
        if close < 0:
            return
        at = close + len(_DETAILS_END)
        at += content.startswith("\n", at)
        yield _Details(start.start(), at, start[1], content[start.end() : bound], content[bound + 1 : close])


def _without_summaries(text: str) -> str:
    kept: list[str] = []
    at = 0
    while (start := text.find(_SUMMARY, at)) >= 0 and (end := text.find(_SUMMARY_END, start + len(_SUMMARY))) >= 0:
        kept.append(text[at:start])
        at = end + len(_SUMMARY_END)
    kept.append(text[at:])
    return "".join(kept)


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits, which Python refuses to read
        return text


def _from_text(content: str, key: str) -> Iterator[dict[str, Any]]:
    spoken = _AnswerParts()
    at = 0
    made = 0
    for block in _details(content):
        before = content[at : block.start]
        at = block.end
        if before.strip() and spoken.calls:
            yield from spoken.flush()
        spoken.text.append(before)
        if block.kind == "reasoning":
            if spoken.calls:
                yield from spoken.flush()
            spoken.thought.append(_QUOTED.sub("", _unescaped(_without_summaries(block.inner))).strip())
            continue
        given = {name: _unescaped(value) for name, value in _ATTRIBUTE.findall(block.attributes)}
        call_id = given.get("id") or f"{key}:{made}"
        spoken.calls.append(tool_call(call_id, given.get("name"), _unquoted(given.get("arguments", ""))))
        if "result" in given:
            result = _unquoted(given["result"])
            spoken.results.append({"role": "tool", "tool_call_id": call_id, "content": result})
        made += 1
    tail = content[at:]
    if tail.strip() and spoken.calls:
        yield from spoken.flush()
    spoken.text.append(tail)
    yield from spoken.flush()


def _unquoted(value: str) -> str:
    """Text that was written as a JSON string, perhaps twice."""
    try:
        inner = parse_json(value)
    except ValueError:
        return value
    return inner if isinstance(inner, str) else value


def _from_output(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Items as the Responses API has them."""
    spoken = _AnswerParts()
    for item in items:
        kind = item.get("type")
        if kind == "function_call_output":
            output = item.get("output")
            texts = [text(part.get("text")) for part in mappings(output)]
            written = output if isinstance(output, str) else "".join(texts) if texts else canonical_json(output)
            spoken.results.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": written})
            continue
        if spoken.results:
            yield from spoken.flush()
        if kind == "function_call":
            call_id = text(item.get("call_id")) or text(item.get("id"))
            spoken.calls.append(tool_call(call_id, item.get("name"), item.get("arguments")))
        elif kind == "reasoning":
            pieces = mappings(item.get("content")) or mappings(item.get("summary"))
            spoken.thought.append("\n\n".join(text(part.get("text")) for part in pieces))
        elif kind == "message":
            spoken.text.append("".join(text(part.get("text")) for part in mappings(item.get("content"))))
        else:
            raise UnreadableConversationError(f"an output item of type {kind!r}"[:80])
    yield from spoken.flush()
