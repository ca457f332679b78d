"""Rewrites of single messages by clients: one function for each known cause."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

Message = dict[str, Any]


# A message, the conversation's number and the call's number: as the message stands in that call.
Rewrite = Callable[[Message, int, int], Message]


_TAGS = [
    "<system-reminder>The list of tasks is empty. Do not mention this.</system-reminder>",
    "<environment_context>\n  <cwd>src/app</cwd>\n</environment_context>",
    "<command-name>/compact</command-name><command-args></command-args>",
    "<local-command-stdout>ok\n\nok</local-command-stdout>",
    '<task-notification id="7">a task has ended</task-notification>',
    "<new-diagnostics>main.py:3: unused import</new-diagnostics>",
]


_EPOCH = datetime(2026, 3, 1, 9, 5, 7)


TOLD = ("tool", "function")


_LINE_END = re.compile(r"\r\n|\r|\n")


_LINES = re.compile(r"(?=\r\n)|(?<!\r)(?=\n)|(?=\r(?!\n))")  # before each line end


def texts(message: Message, change: Callable[[str], str]) -> Message:
    """The message with its text, or each of its text parts, changed."""
    content = message.get("content")
    if isinstance(content, str) and content:
        return {**message, "content": change(content)}
    if isinstance(content, list):
        parts = [
            {**part, "text": change(part["text"])} if isinstance(part, dict) and part.get("text") else part
            for part in content
        ]
        return {**message, "content": parts}
    return message


def arguments(message: Message, change: Callable[[dict[str, Any]], str]) -> Message:
    """The message with the arguments of its calls, where they are a JSON object, written in another way."""

    def written(function: Any) -> Any:
        try:
            value = json.loads(function["arguments"])
        except (KeyError, TypeError, ValueError):
            return function
        return {**function, "arguments": change(value)} if isinstance(value, dict) else function

    changed = dict(message)
    if isinstance(message.get("tool_calls"), list):
        changed["tool_calls"] = [{**call, "function": written(call.get("function"))} for call in message["tool_calls"]]
    if isinstance(message.get("function_call"), dict):
        changed["function_call"] = written(message["function_call"])
    return changed


# Harness text and white space


def harness(message: Message, conversation: int, call: int) -> Message:
    if message.get("role") not in ("user", *TOLD) or call % 3 == 0:
        return message
    tag, content = _TAGS[(conversation + call) % len(_TAGS)], message.get("content")
    if isinstance(content, list):
        return {**message, "content": [*content, {"type": "text", "text": tag}]}
    text = content if isinstance(content, str) else ""
    return {**message, "content": f"{tag}\n{text}" if call % 3 == 1 else f"{text}\n\n{tag}"}


def crlf(message: Message, conversation: int, call: int) -> Message:
    ending = ("\n", "\r\n", "\r")[call % 3]
    return texts(message, lambda text: _LINE_END.sub(ending, text))


def trailing_blanks(message: Message, conversation: int, call: int) -> Message:
    blanks = ("", " ", "\t  ")[call % 3]
    return texts(message, lambda text: blanks.join(_LINES.split(text)) + blanks + "\n" * (call % 3))


def blank_lines(message: Message, conversation: int, call: int) -> Message:
    return texts(message, lambda text: "\n" * (call % 3) + text.replace("\n\n", "\n" * (2 + call % 3)))


def text_parts(message: Message, conversation: int, call: int) -> Message:
    content = message.get("content")
    if not isinstance(content, str) or not content or call % 3 == 0:
        return message
    kind = "output_text" if message.get("role") == "assistant" and conversation % 2 else "text"
    part: dict[str, Any] = {"type": kind, "text": content}
    if call % 3 == 2:
        part["cache_control"] = {"type": "ephemeral"}
    return {**message, "content": [part]}


# Tool calls


def argument_order(message: Message, conversation: int, call: int) -> Message:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            items = list(value.items())
            return {key: turned(each) for key, each in (items if call % 2 == 0 else reversed(items))}
        return [turned(each) for each in value] if isinstance(value, list) else value

    return arguments(message, lambda value: json.dumps(turned(value)))


def argument_space(message: Message, conversation: int, call: int) -> Message:
    styles: list[dict[str, Any]] = [{}, {"indent": 2}, {"separators": (",", ":")}]
    return arguments(message, lambda value: json.dumps(value, **styles[call % 3]) + " " * (call % 2))


def argument_nulls(message: Message, conversation: int, call: int) -> Message:
    def filled(value: dict[str, Any]) -> str:
        if call % 2 == 0:
            return json.dumps(value)
        return json.dumps({**value, "cursor": None, "timeout": None}) if value else ""

    return arguments(message, filled)


def argument_escapes(message: Message, conversation: int, call: int) -> Message:
    return arguments(message, lambda value: json.dumps(value, ensure_ascii=call % 2 == 0))


def numbers(message: Message, conversation: int, call: int) -> Message:
    def written(value: dict[str, Any]) -> str:
        text = json.dumps(value)
        if call % 2 == 0:
            return text
        return re.sub(r"(?<=: )(-?\d+)(?=[,}\]])", r"\1.0" if call % 4 == 1 else r"\1e0", text)

    return arguments(message, written)


def call_ids(message: Message, conversation: int, call: int) -> Message:
    changed = dict(message)
    if isinstance(message.get("tool_calls"), list):
        changed["tool_calls"] = [{**each, "id": f"toolu_{call}_{each.get('id')}"} for each in message["tool_calls"]]
    if "tool_call_id" in message:
        changed["tool_call_id"] = f"toolu_{call}_{message['tool_call_id']}"
    return changed


# What an answer looks like when it is sent back


def empty_content(message: Message, conversation: int, call: int) -> Message:
    if message.get("role") != "assistant" or message.get("content"):
        return message
    bare = {key: value for key, value in message.items() if key != "content"}
    return [bare, {**bare, "content": None}, {**bare, "content": ""}, {**bare, "content": []}][call % 4]


def reasoned(message: Message, conversation: int, call: int) -> Message:
    thought = f"The user wants an answer.\n\nStep {call}: I give it."
    text = message.get("content")
    if conversation % 3 == 0 and isinstance(text, str) and text:
        return {**message, "content": f"<think>\n{thought}\n</think>\n\n{text}"}
    if conversation % 3 == 1 and isinstance(text, str) and text:
        parts = [{"type": "thinking", "thinking": thought, "signature": "c2ln"}, {"type": "text", "text": text}]
        return {**message, "content": parts}
    return {**message, "reasoning_content": thought, "reasoning_details": [{"type": "text", "text": thought}]}


def echo(message: Message, conversation: int, call: int) -> Message:
    if message.get("role") != "assistant":
        return message
    absent = {"refusal": None, "audio": None, "function_call": None, "tool_calls": None, "name": None}
    more = [{}, {"annotations": [], **absent}, {"provider_specific_fields": {"x": 1}, "refusal": None}][call % 3]
    echoed = {**more, **message}
    if call % 3 == 2 and isinstance(message.get("tool_calls"), list):
        echoed["tool_calls"] = [{"index": at, **each} for at, each in enumerate(message["tool_calls"])]
    return echoed


def answers(change: Callable[[str], str]) -> Rewrite:
    """The text of every answer changed when it comes back."""
    return lambda message, conversation, call: texts(message, change) if message.get("role") == "assistant" else message


def without_marks(text: str) -> str:
    """Markdown as a renderer gives it back: no emphasis, headings, fences or bullets."""
    return re.sub(r"\*\*|__|`{3,}\w*|`|^#+ |^[*-] ", "", text, flags=re.MULTILINE)


def other_marks(text: str) -> str:
    return re.sub(r"^[*-] ", "• ", text.replace("**", "__"), flags=re.MULTILINE).replace("'", "\u2019")


def named(message: Message, conversation: int, call: int) -> Message:
    if call % 2 == 0 or message.get("role") not in ("user", "assistant"):
        return message
    return {**message, "name": f"{message['role']}_{conversation}"}


# Instructions that hold a clock or an identity


def system_text(told: Callable[[int, int], str]) -> Rewrite:
    def rewrite(message: Message, conversation: int, call: int) -> Message:
        if message.get("role") not in ("system", "developer"):
            return message
        return texts(message, lambda text: f"{told(conversation, call)}\n{text}")

    return rewrite


def moment(call: int) -> datetime:
    return _EPOCH + call * timedelta(days=9, hours=5, minutes=7, seconds=13)


def clock(form: str) -> Rewrite:
    return system_text(lambda conversation, call: form.format(moment(call)))


def identity(conversation: int, call: int) -> str:
    return f"Session {UUID(int=(conversation + 1) << 96 | (call + 1) << 64 | 7)}."


CLOCKS = {
    "iso date": "Today's date: {:%Y-%m-%d}",
    "iso time": "Now: {:%Y-%m-%dT%H:%M:%S}.123Z",
    "iso time with zone name": "The current time is {:%Y-%m-%d %H:%M:%S} EST.",
    "iso date, twelve hours": "Now: {:%Y-%m-%d %I:%M %p}",
    "time of day": "It is {:%H:%M:%S}.",
    "month day, year": "Current date: {:%B %d, %Y}.",
    "weekday, month day, year": "Today is {:%A, %B %d, %Y}.",
    "month day, year at time": "It is {:%B %d, %Y at %I:%M %p}.",
    "day month year": "Date: {:%d %b %Y}",
    "mail date": "Date: {:%a, %d %b %Y %H:%M:%S} +0000",
    "browser date": "Now: {:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)",
    "unix date": "Now: {0:%a %b %d %H:%M:%S} UTC {0:%Y}",
    "slashes": "Today's date is {:%m/%d/%Y}.",
    "slashes, year first": "Today: {:%Y/%m/%d %H:%M}",
    "dots": "Heute ist der {:%d.%m.%Y}.",
    "day month year in characters": "今天是{:%Y年%m月%d日}。",
}


def schema_defaults(message: Message, conversation: int, call: int) -> Message:
    return arguments(message, lambda value: json.dumps({**value, "limit": 20} if call % 2 else value))
