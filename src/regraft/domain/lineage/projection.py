"""One chat message, and the projection that decides whether two messages are the same for joining.

A message is a JSON object exactly as it crossed the wire. Its *exact* digest is storage identity. Its *projection* is
joining identity: clients resend history with rewritten ids, injected harness text, other white space, dropped
reasoning; none of that may fracture a conversation. What the projection ignores is versioned (``PROJECTIONS``): a
changed rule is a new version beside the old ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from regraft.domain.capture.message import text_of
from regraft.domain.ids import Digest, Number, canonical_json, digest, parse_json
from regraft.domain.lineage.tombstone import ERASED, is_erased

_HARNESS_TAG = (
    r"system-reminder|environment_context|command-[\w-]+|local-command-[\w-]+|task-notification|new-diagnostics"
)
_HARNESS_START = re.compile(rf"<({_HARNESS_TAG})(?:\s[^<>]*)?>")
_HARNESS_END = re.compile(rf"</({_HARNESS_TAG})>")
_THINKING = re.compile(r"\A\s*<(think|thinking)>.*?</\1>", re.DOTALL)
_TRAILING_BLANKS = re.compile(r"(?<![ \t])[ \t]+$", re.MULTILINE)  # tried once a run of blanks, not once a blank
_BLANK_LINES = re.compile(r"\n{3,}")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
# A clock in an instruction: a date in one of the forms that clients write, with its weekday, time of day and zone; or a
# time of day that says what it is. A month and a day count with a year of this century, or a weekday.
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"20\d{2}"
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[ \u202f]?[AaPp]\.?[Mm]\b)?"
_ZONE = (
    r"(?:Z|[+-]\d{2}:?\d{2}| ?(?:UTC|GMT)(?:[+-]\d{1,2}(?::?\d{2})?)?| [+-]\d{4}| (?:[A-Z][SD]|CES?|EES?|WES?)T)"
    r"(?: \([A-Z][A-Za-z ]+\))?"
)
_DATE = (
    rf"(?:{_WEEKDAY}\.?,? )?(?:\d{{4}}-\d{{2}}-\d{{2}}|{_YEAR}/\d{{1,2}}/\d{{1,2}}|\d{{1,2}}/\d{{1,2}}/{_YEAR}"
    rf"|\d{{1,2}}\.\d{{1,2}}\.{_YEAR}|{_MONTH} {{1,2}}{_DAY},? {_YEAR}|{_DAY} {_MONTH},? {_YEAR}"
    rf"|{_MONTH} {{1,2}}{_DAY},? {_TIME}(?:{_ZONE})? {_YEAR})"
    rf"|{_WEEKDAY},? (?:{_MONTH} {_DAY}|{_DAY} {_MONTH})\b"
)
_CLOCK = re.compile(
    rf"\b(?:{_DATE})(?:,? \(?{_WEEKDAY}\b\)?)?(?:(?:T|,? (?:at )?){_TIME}(?:{_ZONE})?)?(?!\d)"
    r"|\d{4}[年년] ?\d{1,2}[月월] ?\d{1,2}[日일](?: ?(?:星期|周)[一二三四五六日天])?"
    rf"(?: ?{_TIME}(?:{_ZONE})?)?"
    r"|\b\d{1,2}:\d{2}:\d{2}(?:[ \u202f]?[AaPp]\.?[Mm])?\b"
    rf"|(?:(?<=[Tt]ime: )|(?<=[Tt]ime is )|(?<=[Nn]ow: )){_TIME}(?:{_ZONE})?"
    rf"|(?<=[Tt]oday is ){_WEEKDAY}\b"
)
_MAY_HOLD_CLOCK = re.compile(r"\d|oday is ")
_FIRST_CLOCK = re.compile(
    r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?\b|\b\d{1,2}:\d{2}:\d{2}\b"
)
_LEADING_LINES = re.compile(r"\A(?:[ \t]*\n)+")
_NUMBER = re.compile(r"(?P<sign>-?)(?P<whole>\d+)(?:\.(?P<fraction>\d+))?(?:[eE](?P<exponent>[+-]?\d+))?")
_INSTRUCTING = frozenset({"system", "developer"})
_INJECTED_INTO = frozenset({"user", "tool", "function"})
_REASONING_PARTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
# What a tool that ran on the server did in the course of an answer: clients send it back rewritten, or not at all.
_HOSTED_PARTS = ("_call", "_tool_result", "_output", "server_tool_use", "mcp_tool_use", "mcp_list_tools")


def message_digest(message: Any) -> Digest:
    """Storage identity: the digest of the message's canonical JSON."""
    return digest(canonical_json(message).encode())


def projection_digest(message: Any, version: int | None = None) -> Digest:
    """Joining identity: the digest of the message's projection under a version, the current one if none is given."""
    number = PROJECTION_VERSION if version is None else version
    return digest(b"projection", str(number).encode(), canonical_json(PROJECTIONS[number](message)).encode())


def project(message: Any, *, first: bool = False) -> Any:
    """Role, normalised content and tool calls, as a JSON value; everything that a client may rewrite is left out.

    ``first``: as version 1 had it, which kept what a tool did on the server in the course of an answer, and looked past
    few forms of clocks.
    """
    if not isinstance(message, Mapping):
        return {"raw": message}
    if is_erased(message):
        return {ERASED: message[ERASED]}
    role = message.get("role")
    speaker = role if isinstance(role, str) else ""
    projected: dict[str, Any] = {"role": role, "content": _content(speaker, message.get("content"), first=first)}
    if not projected["content"] and isinstance(message.get("refusal"), str):
        projected["content"] = _text(speaker, message["refusal"], first=first)
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        projected["calls"] = [_call(call) for call in calls]
    legacy = message.get("function_call")
    if isinstance(legacy, Mapping):
        projected["call"] = _legacy_call(legacy)
    return projected


def projected_calls(message: Mapping[str, Any]) -> list[Any]:
    """The tool calls of a message as ``project`` has them: [name, arguments] each, without their ids."""
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    found = [_call(call) for call in calls] if isinstance(calls, list) else []
    return [*found, _legacy_call(legacy)] if isinstance(legacy, Mapping) else found


def volatile_system_text(message: Any) -> bool:
    """Whether the projection ignored a clock or a UUID in an instruction."""
    if not isinstance(message, Mapping) or message.get("role") not in _INSTRUCTING:
        return False
    text = text_of(message)
    return bool(_UUID.search(text) or _CLOCK.search(text))


def plain_text(message: Mapping[str, Any]) -> str:
    """A message's readable text without what a harness injected and without reasoning written into it."""
    text, role = text_of(message), message.get("role")
    if "<" in text:
        if role == "assistant":
            return _THINKING.sub("", text)
        if role in ("user", "tool", "function"):
            return _without_harness(text)
    return text


def _text(role: Any, text: str, *, first: bool) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if role in _INJECTED_INTO and "<" in text:
        text = _without_harness(text)
    elif role == "assistant" and "<think" in text:
        text = _THINKING.sub("", text)
    elif role in _INSTRUCTING:
        text = _UUID.sub("<uuid>", text)
        text = _FIRST_CLOCK.sub("<clock>", text) if first else _without_clocks(text)
    # An expression that finds nothing is tried at every blank; few texts have what it searches for.
    if " \n" in text or "\t\n" in text:
        text = _TRAILING_BLANKS.sub("", text)
    if text[:1].isspace():
        text = _LEADING_LINES.sub("", text)
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.rstrip()


def _without_harness(text: str) -> str:
    """The text without each element that a harness injects: from its start tag to the first end tag of that name.

    A start tag without an end stays. End tags are indexed once, so that a text of many start tags costs no more.
    """
    start = _HARNESS_START.search(text)
    if start is None:
        return text
    ends: dict[str, list[tuple[int, int]]] = {}
    for end in _HARNESS_END.finditer(text, start.end()):
        ends.setdefault(end[1], []).append(end.span())
    for spans in ends.values():
        spans.reverse()
    kept: list[str] = []
    done = 0
    while start is not None:
        spans, next_search = ends.get(start[1], []), start.end()
        while spans and spans[-1][0] < start.end():
            spans.pop()
        if spans:
            kept.append(text[done : start.start()])
            done = next_search = spans[-1][1]
        start = _HARNESS_START.search(text, next_search)
    kept.append(text[done:])
    return "".join(kept)


def _without_clocks(text: str) -> str:
    """No clock goes over a line's end, and most lines of an instruction hold none: they cost nothing."""
    lines = text.split("\n")
    return "\n".join(_CLOCK.sub("<clock>", line) if _MAY_HOLD_CLOCK.search(line) else line for line in lines)


def _content(role: Any, content: Any, *, first: bool) -> Any:
    if content is None:
        return ""
    if isinstance(content, str):
        return _text(role, content, first=first)
    if not isinstance(content, list):
        return _value(content)
    parts = [projected for part in content if (projected := _part(role, part, first=first)) not in ("", None)]
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 else parts


def _part(role: Any, part: Any, *, first: bool) -> Any:
    if isinstance(part, str):
        return _text(role, part, first=first)
    if not isinstance(part, Mapping):
        return _value(part)
    kind = part.get("type")
    if isinstance(kind, str) and (
        kind in _REASONING_PARTS or (not first and role == "assistant" and kind.endswith(_HOSTED_PARTS))
    ):
        return None
    if isinstance(part.get("text"), str) and kind in ("text", "input_text", "output_text", None):
        return _text(role, part["text"], first=first)
    return {key: _value(value) for key, value in part.items() if value is not None and key != "cache_control"}


def _call(call: Any) -> Any:
    if not isinstance(call, Mapping):
        return _value(call)
    function = call.get("function")
    if isinstance(function, Mapping):
        return [function.get("name"), _arguments(function.get("arguments"))]
    custom = call.get("custom")
    if isinstance(custom, Mapping):
        return [custom.get("name"), _value(custom.get("input"))]
    return [call.get("name"), _arguments(call.get("arguments", call.get("input")))]


def _legacy_call(call: Mapping[str, Any]) -> Any:
    return [call.get("name"), _arguments(call.get("arguments"))]


def _arguments(arguments: Any) -> Any:
    if isinstance(arguments, str):
        if not arguments.strip():
            return {}
        try:
            arguments = parse_json(arguments)
        except ValueError:
            return {"unread": arguments}
    if arguments is None:
        return {}
    if isinstance(arguments, Mapping):
        return {key: _value(value) for key, value in arguments.items() if value is not None}
    return _value(arguments)


def _value(value: Any) -> Any:
    if isinstance(value, Number):
        return _number(value)
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value


def _number(number: Number) -> Number | int:
    """1.0 and 1 are one number; 1e-999 is not 0, no digit is rounded, and nothing long is written out."""
    match = _NUMBER.fullmatch(number.literal)
    if match is None or len(match["exponent"] or "") > 18:
        return number
    fraction = match["fraction"] or ""
    digits = (match["whole"] + fraction).lstrip("0")
    if not digits:
        return 0
    kept = digits.rstrip("0")
    exponent = int(match["exponent"] or 0) - len(fraction) + len(digits) - len(kept)
    if len(kept) < 4000 and 0 <= exponent <= 30:
        return int(f"{match['sign']}{kept}{'0' * exponent}")
    return Number(f"{match['sign']}{kept}e{exponent}")


# Every rule that joins conversations, by its version. A version never changes once calls were joined by it.
PROJECTIONS: dict[int, Callable[[Any], Any]] = {
    1: partial(project, first=True),
    2: project,  # what hosted tools did in an answer is left out, and clocks in more forms
    3: project,  # as 2; histories that were rewritten are joined by the answers that came back (returned_answers)
}
PROJECTION_VERSION = max(PROJECTIONS)
