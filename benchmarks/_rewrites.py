"""What clients do to a history before they send it again: one transformation for each known cause of fracture.

``benchmarks/identity.py`` and its test apply each to every conversation: the tree must stay the one that it is.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
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
_URL_PART = [{"type": "image_url", "image_url": {"url": "https://files.example/image.png"}}]
_EPOCH = datetime(2026, 3, 1, 9, 5, 7)
_TOLD = ("tool", "function")
_LINE_END = re.compile(r"\r\n|\r|\n")
_LINES = re.compile(r"(?=\r\n)|(?<!\r)(?=\n)|(?=\r(?!\n))")  # before each line end


def _same(message: Message, conversation: int, call: int) -> Message:
    return message


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that clients do. ``sent`` rewrites a message of a history, ``given`` an answer as it was first given,
    ``history`` a whole history for good (None where the cause does not touch it), ``request`` the history as one call
    sends it. ``joins`` says that its mark on the tree is a compaction edge."""

    name: str
    sent: Rewrite = _same
    given: Rewrite = _same
    history: Callable[[list[Message]], list[Message] | None] | None = None
    request: Callable[[list[Message], int, int], list[Message]] | None = None
    joins: bool = False


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


def _harness(message: Message, conversation: int, call: int) -> Message:
    if message.get("role") not in ("user", *_TOLD) or call % 3 == 0:
        return message
    tag, content = _TAGS[(conversation + call) % len(_TAGS)], message.get("content")
    if isinstance(content, list):
        return {**message, "content": [*content, {"type": "text", "text": tag}]}
    text = content if isinstance(content, str) else ""
    return {**message, "content": f"{tag}\n{text}" if call % 3 == 1 else f"{text}\n\n{tag}"}


def _crlf(message: Message, conversation: int, call: int) -> Message:
    ending = ("\n", "\r\n", "\r")[call % 3]
    return texts(message, lambda text: _LINE_END.sub(ending, text))


def _trailing_blanks(message: Message, conversation: int, call: int) -> Message:
    blanks = ("", " ", "\t  ")[call % 3]
    return texts(message, lambda text: blanks.join(_LINES.split(text)) + blanks + "\n" * (call % 3))


def _blank_lines(message: Message, conversation: int, call: int) -> Message:
    return texts(message, lambda text: "\n" * (call % 3) + text.replace("\n\n", "\n" * (2 + call % 3)))


def _text_parts(message: Message, conversation: int, call: int) -> Message:
    content = message.get("content")
    if not isinstance(content, str) or not content or call % 3 == 0:
        return message
    kind = "output_text" if message.get("role") == "assistant" and conversation % 2 else "text"
    part: dict[str, Any] = {"type": kind, "text": content}
    if call % 3 == 2:
        part["cache_control"] = {"type": "ephemeral"}
    return {**message, "content": [part]}


# Tool calls


def _argument_order(message: Message, conversation: int, call: int) -> Message:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            items = list(value.items())
            return {key: turned(each) for key, each in (items if call % 2 == 0 else reversed(items))}
        return [turned(each) for each in value] if isinstance(value, list) else value

    return arguments(message, lambda value: json.dumps(turned(value)))


def _argument_space(message: Message, conversation: int, call: int) -> Message:
    styles: list[dict[str, Any]] = [{}, {"indent": 2}, {"separators": (",", ":")}]
    return arguments(message, lambda value: json.dumps(value, **styles[call % 3]) + " " * (call % 2))


def _argument_nulls(message: Message, conversation: int, call: int) -> Message:
    def filled(value: dict[str, Any]) -> str:
        if call % 2 == 0:
            return json.dumps(value)
        return json.dumps({**value, "cursor": None, "timeout": None}) if value else ""

    return arguments(message, filled)


def _argument_escapes(message: Message, conversation: int, call: int) -> Message:
    return arguments(message, lambda value: json.dumps(value, ensure_ascii=call % 2 == 0))


def _numbers(message: Message, conversation: int, call: int) -> Message:
    def written(value: dict[str, Any]) -> str:
        text = json.dumps(value)
        if call % 2 == 0:
            return text
        return re.sub(r"(?<=: )(-?\d+)(?=[,}\]])", r"\1.0" if call % 4 == 1 else r"\1e0", text)

    return arguments(message, written)


def _call_ids(message: Message, conversation: int, call: int) -> Message:
    changed = dict(message)
    if isinstance(message.get("tool_calls"), list):
        changed["tool_calls"] = [{**each, "id": f"toolu_{call}_{each.get('id')}"} for each in message["tool_calls"]]
    if "tool_call_id" in message:
        changed["tool_call_id"] = f"toolu_{call}_{message['tool_call_id']}"
    return changed


# What an answer looks like when it is sent back


def _empty_content(message: Message, conversation: int, call: int) -> Message:
    if message.get("role") != "assistant" or message.get("content"):
        return message
    bare = {key: value for key, value in message.items() if key != "content"}
    return [bare, {**bare, "content": None}, {**bare, "content": ""}, {**bare, "content": []}][call % 4]


def _reasoned(message: Message, conversation: int, call: int) -> Message:
    thought = f"The user wants an answer.\n\nStep {call}: I give it."
    text = message.get("content")
    if conversation % 3 == 0 and isinstance(text, str) and text:
        return {**message, "content": f"<think>\n{thought}\n</think>\n\n{text}"}
    if conversation % 3 == 1 and isinstance(text, str) and text:
        parts = [{"type": "thinking", "thinking": thought, "signature": "c2ln"}, {"type": "text", "text": text}]
        return {**message, "content": parts}
    return {**message, "reasoning_content": thought, "reasoning_details": [{"type": "text", "text": thought}]}


def _echo(message: Message, conversation: int, call: int) -> Message:
    if message.get("role") != "assistant":
        return message
    absent = {"refusal": None, "audio": None, "function_call": None, "tool_calls": None, "name": None}
    more = [{}, {"annotations": [], **absent}, {"provider_specific_fields": {"x": 1}, "refusal": None}][call % 3]
    echoed = {**more, **message}
    if call % 3 == 2 and isinstance(message.get("tool_calls"), list):
        echoed["tool_calls"] = [{"index": at, **each} for at, each in enumerate(message["tool_calls"])]
    return echoed


# Instructions that hold a clock or an identity


def _system_text(told: Callable[[int, int], str]) -> Rewrite:
    def rewrite(message: Message, conversation: int, call: int) -> Message:
        if message.get("role") not in ("system", "developer"):
            return message
        return texts(message, lambda text: f"{told(conversation, call)}\n{text}")

    return rewrite


def _moment(call: int) -> datetime:
    return _EPOCH + call * timedelta(days=9, hours=5, minutes=7, seconds=13)


def _clock(form: str) -> Rewrite:
    return _system_text(lambda conversation, call: form.format(_moment(call)))


def _identity(conversation: int, call: int) -> str:
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


# A history that its client replaced: a summary and the end of what was said


def _system_of(history: list[Message]) -> list[Message]:
    return [each for each in history[:1] if each.get("role") in ("system", "developer")]


def _summary(history: list[Message], kept: int) -> Message:
    words = " / ".join(str(each.get("content"))[:24] for each in history[: len(history) - kept])
    return {"role": "user", "content": f"Summary of the conversation so far: {len(history) - kept} messages. {words}"}


def telling_call(message: Message) -> bool:
    """Whether an answer holds a tool-call id that is a name, not a counter."""
    calls = message.get("tool_calls") or []
    return any(re.search(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[0-9A-Za-z]{9,}", str(call.get("id"))) for call in calls)


def telling_text(message: Message) -> bool:
    """Whether an answer is long enough to be told from others."""
    content = message.get("content")
    return message.get("role") == "assistant" and isinstance(content, str) and len(" ".join(content.split())) >= 64


def _tail_with_call(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    if last < 4 or not telling_call(history[last]):
        return None
    return [*_system_of(history), _summary(history, len(history) - last), *history[last:]]


def _tail_with_answer(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    if last < 5 or not telling_text(history[last]) or history[last].get("tool_calls"):
        return None
    head = [
        *_system_of(history),
        _summary(history, len(history) - last + 1),
        {"role": "assistant", "content": "I see."},
    ]
    return [*head, *history[last - 1 :]]


def _tail_under_another_prompt(history: list[Message]) -> list[Message] | None:
    answers = [at for at, each in enumerate(history) if each.get("role") == "assistant"]
    if len(answers) < 4 or not all(telling_text(history[at]) for at in answers[-2:]):
        return None
    told = {"role": "system", "content": f"Go on. Earlier, {answers[-2]} messages were said."}
    return [told, *history[answers[-2] - 1 :]]


def _emptied_results(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    old = [at for at, each in enumerate(history[:last]) if each.get("role") in _TOLD]
    if not old or not telling_call(history[last]):
        return None
    return [{**each, "content": "[cleared]"} if at in old else each for at, each in enumerate(history)]


def _window(history: list[Message]) -> list[Message] | None:
    head = _system_of(history)
    answers = [at for at, each in enumerate(history) if each.get("role") == "assistant"]
    if len(answers) < 3 or not telling_call(history[answers[-1]]):
        return None
    return [*head, *history[answers[-2] :]]


def _summary_alone(history: list[Message]) -> list[Message] | None:
    last = max((at for at, each in enumerate(history) if each.get("role") == "assistant"), default=0)
    return None if last < 4 else [*_system_of(history), _summary(history, 1), history[-1]]


# What clients do to a whole request: only the answers come back as they were


def _words(conversation: int, call: int, count: int = 60) -> str:
    """Text that no other call of any conversation has."""
    picked = random.Random(conversation * 1009 + call)
    return " ".join("".join(picked.choices("abcdefghijklmnop", k=6)) for _ in range(count))


def _instructed(told: Callable[[int, int], str]) -> Callable[[list[Message], int, int], list[Message]]:
    """The instruction with a text of each call in it; a conversation without one gets one."""

    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        text = told(conversation, call)
        if history[0].get("role") in ("system", "developer"):
            return [texts(history[0], lambda kept: f"{kept}\n\n{text}"), *history[1:]]
        return [{"role": "system", "content": text}, *history]

    return rewrite


def _answers(history: list[Message]) -> list[int]:
    return [at for at, each in enumerate(history) if each.get("role") == "assistant"]


def _each_user(
    change: Callable[[Message, bool, int, int], list[Message]],
) -> Callable[[list[Message], int, int], list[Message]]:
    """Each user message changed; the flag says whether it came after the last answer."""

    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        last = max(_answers(history), default=-1)
        return [
            changed
            for at, each in enumerate(history)
            for changed in (change(each, at > last, conversation, call) if each.get("role") == "user" else [each])
        ]

    return rewrite


def _relative_time(message: Message, _new: bool, conversation: int, call: int) -> list[Message]:
    return [texts(message, lambda text: f"[{call * 7 + 1} minutes ago] {text}")]


def _retrieved(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
    return [texts(message, lambda text: f"{text}\n\nContext:\n{_words(conversation, call)}")] if new else [message]


def _image(later: list[dict[str, Any]]) -> Callable[[Message, bool, int, int], list[Message]]:
    def change(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
        content = message.get("content")
        if not isinstance(content, str):
            return [message]
        data = f"data:image/png;base64,{base64.b64encode(content.encode() * 20).decode()}"
        held = [{"type": "image_url", "image_url": {"url": data}}] if new else later
        return [{**message, "content": [{"type": "text", "text": content}, *held]}]

    return change


def _merged(message: Message, new: bool, conversation: int, call: int) -> list[Message]:
    content = message.get("content")
    if not isinstance(content, str) or len(words := content.split(" ")) < 2:
        return [message]
    parts = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    return [{**message, "content": part} for part in parts] if new else [{**message, "content": "\n\n".join(parts)}]


def _developer(history: list[Message], conversation: int, call: int) -> list[Message]:
    role = ("system", "developer")[call % 2]
    return [{**each, "role": role} if each.get("role") in ("system", "developer") else each for each in history]


def _note(role: str) -> Callable[[list[Message], int, int], list[Message]]:
    return lambda history, conversation, call: [*history, {"role": role, "content": _words(conversation, call, 12)}]


def _greeting_left_out(history: list[Message], conversation: int, call: int) -> list[Message]:
    at = len(_system_of(history))
    greeting = (
        [{"role": "assistant", "content": "Good day! What would you like to talk about?"}] if call % 2 == 0 else []
    )
    return [*history[:at], *greeting, *history[at:]]


def _last_messages(count: int) -> Callable[[list[Message], int, int], list[Message]]:
    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        head = _system_of(history)
        start = min(len(history) - count, max(_answers(history), default=0))
        return [*head, *history[max(len(head), start) :]]

    return rewrite


def _summary_each_time(role: str) -> Callable[[list[Message], int, int], list[Message]]:
    def rewrite(history: list[Message], conversation: int, call: int) -> list[Message]:
        answers = _answers(history)
        if len(answers) < 2:
            return history
        kept = history[answers[-2] + 1 :]
        summary = {"role": role, "content": f"Summary so far: {_words(conversation, call, 30)}"}
        return [*_system_of(history), summary, *kept]

    return rewrite


def _without_results(history: list[Message], conversation: int, call: int) -> list[Message]:
    last = max(_answers(history), default=-1)
    return [each for at, each in enumerate(history) if at > last or each.get("role") not in _TOLD]


def _results_reordered(history: list[Message], conversation: int, call: int) -> list[Message]:
    if call % 2 == 0:
        return history
    found: list[Message] = []
    results: list[Message] = []
    for each in [*history, {}]:
        if each.get("role") == "tool":
            results.append(each)
            continue
        found += [*reversed(results), each]
        results = []
    return found[:-1]


_LOCAL_CLOCKS = [
    *("Heute ist Dienstag, der {:%d}. März {:%Y}, {:%H:%M} Uhr.", "今日は{:%m}月{:%d}日 {:%H}時{:%M}分です。"),
    *("Son las {:%H:%M} del martes {:%d} de marzo.", "Nous sommes mardi {:%d} mars {:%Y}, {:%H} h {:%M}."),
    *("Сегодня вторник, {:%d} марта {:%Y} г., {:%H:%M}.", "Now: {:%s}", "[{:%m/%d/%y %I:%M%p}]", "{:%Y%m%dT%H%M%SZ}"),
    *("Week {:%G-W%V}", "It is {:%A}."),
]


def _local_clock(form: str) -> Callable[[list[Message], int, int], list[Message]]:
    def told(conversation: int, call: int) -> str:
        moment = _moment(call)
        return re.sub(r"\{:([^{}]*)\}", lambda found: moment.strftime(found[1]), form)

    return _instructed(told)


# Everything at once


def _all(*rewrites: Rewrite) -> Rewrite:
    def rewrite(message: Message, conversation: int, call: int) -> Message:
        for number, each in enumerate(rewrites):
            message = each(message, conversation, call + number)
        return message

    return rewrite


CAUSES = [
    Cause("nothing"),
    Cause("harness text", _harness),
    Cause("CRLF", _crlf),
    Cause("trailing blanks", _trailing_blanks),
    Cause("blank lines", _blank_lines),
    Cause("text parts", _text_parts),
    Cause("argument order", _argument_order),
    Cause("argument space", _argument_space),
    Cause("argument nulls", _argument_nulls),
    Cause("argument escapes", _argument_escapes),
    Cause("argument numbers", _numbers),
    Cause("tool-call ids", _call_ids),
    Cause("empty content", _empty_content),
    Cause("reasoning dropped", given=_reasoned),
    Cause("echo fields", _echo),
    Cause("system uuid", _system_text(_identity)),
    *(Cause(f"system clock: {name}", _clock(form)) for name, form in CLOCKS.items()),
    Cause(
        "all of these",
        _all(
            *(_argument_order, _argument_nulls, _numbers, _call_ids, _empty_content, _echo),
            *(_clock(CLOCKS["iso time"]), _trailing_blanks, _blank_lines, _crlf, _harness, _text_parts),
        ),
        _reasoned,
    ),
    Cause("summary, a tool call survives", history=_tail_with_call, joins=True),
    Cause("summary, an answer survives", history=_tail_with_answer, joins=True),
    Cause("summary, another system prompt", history=_tail_under_another_prompt, joins=True),
    Cause("tool results emptied", history=_emptied_results),
    Cause("sliding window", history=_window, joins=True),
    Cause("retrieved text in the instruction", request=_instructed(_words)),
    Cause("battery in the instruction", request=_instructed(lambda _, call: f"Battery: {97 - call} %.")),
    *(Cause(f"local clock: {form[:24]}", request=_local_clock(form)) for form in _LOCAL_CLOCKS),
    Cause("relative times beside questions", request=_each_user(_relative_time)),
    Cause("retrieved text dropped from questions", request=_each_user(_retrieved)),
    Cause("image replaced by a URL", request=_each_user(_image(_URL_PART))),
    Cause("image left out later", request=_each_user(_image([]))),
    Cause("questions merged later", request=_each_user(_merged)),
    Cause("system renamed developer", request=_developer),
    Cause("a system note after the history", request=_note("system")),
    Cause("a user note after the history", request=_note("user")),
    Cause("greeting left out later", request=_greeting_left_out),
    Cause("window of four messages", request=_last_messages(4), joins=True),
    Cause("window of three messages", request=_last_messages(3), joins=True),
    Cause("a new user summary with every call", request=_summary_each_time("user"), joins=True),
    Cause("a new system summary with every call", request=_summary_each_time("system"), joins=True),
    Cause("tool results dropped", request=_without_results),
    Cause("parallel results reordered", request=_results_reordered),
]


def _schema_defaults(message: Message, conversation: int, call: int) -> Message:
    return arguments(message, lambda value: json.dumps({**value, "limit": 20} if call % 2 else value))


# Known to fracture or to lose its place: measured, printed, and no part of the targets.
LIMITS = [
    Cause("summary alone", history=_summary_alone),
    Cause("defaults that only the tool's schema knows", _schema_defaults),
]
