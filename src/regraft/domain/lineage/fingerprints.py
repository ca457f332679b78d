"""Parts of a message that can be recognised elsewhere: long texts, tool-call ids, long texts among a call's arguments,
and the answer of a model.

An anchor is a 64-bit key, so that an index finds the few messages that share one; its lowest two bits give the kind of
part. It joins nothing by itself: ``returned_answers`` and ``compaction`` weigh the anchors of a history, and links only
point. Keys do not depend on the version of the projection."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from regraft.domain.ids import canonical_json, digest, parse_json
from regraft.domain.lineage.projection import plain_text, projected_calls

TEXT, CALL, ARGUMENT, RESULT = range(4)
ANSWER = RESULT  # of a model's message, where RESULT is of a tool's
LONG_ENOUGH = 64  # characters of a text that identifies its message
LONG_ANSWER = 41  # characters of an answer that few others repeat
_LONG = 4  # the bit of an ANSWER anchor that says so
_ID_RUN = re.compile(r"[0-9A-Za-z]+")
_PUNCTUATION = re.compile(r"```\w*|[!-/:-@\[-`{-~\u2000-\u206f\u3000-\u303f]+")
_LONGEST_WORD = 200  # characters of a word that are composed
_MOST = 64  # anchors of one message
_RESULT_ROLES = frozenset({"tool", "function"})


def kind_of(anchor: int) -> int:
    """TEXT, CALL, ARGUMENT or RESULT."""
    return anchor & 3


def is_long_answer(anchor: int) -> bool:
    """Whether an ANSWER anchor is of a long text or of tool calls."""
    return anchor & 3 == ANSWER and bool(anchor & _LONG)


def same_text(anchor: int, kind: int) -> int:
    """The anchor of the same text in another place: in a message, in an argument, or in what a tool gave back."""
    return (anchor & ~3) | kind


def anchors_of(message: Any) -> tuple[int, ...]:
    """The anchors of a message in ascending order; most short messages have none."""
    if not isinstance(message, Mapping):
        return ()
    role = message.get("role")
    is_result = isinstance(role, str) and role in _RESULT_ROLES
    found: set[int] = set()
    if (key := text_anchor(plain_text(message), RESULT if is_result else TEXT)) is not None:
        found.add(key)
    if is_result and (key := call_anchor(message.get("tool_call_id"))) is not None:
        found.add(key)
    if role == "assistant":
        found |= answer_anchors(message)
        for call in calls_of(message):
            if (key := call_anchor(call.get("id"))) is not None:
                found.add(key)
            for text in arguments_of(call):
                if len(found) < _MOST and (key := text_anchor(text, ARGUMENT)) is not None:
                    found.add(key)
    return tuple(sorted(found))


def text_anchor(text: str, kind: int) -> int | None:
    """The anchor of a text of at least ``LONG_ENOUGH`` characters, white space counted as single blanks."""
    if len(text) < LONG_ENOUGH:
        return None
    flat = " ".join(text.split())
    return _key(b"text", flat, kind) if len(flat) >= LONG_ENOUGH else None


def answer_anchors(message: Mapping[str, Any]) -> set[int]:
    """The anchors of what a model said: its text without reasoning, white space counted as single blanks, with its tool
    calls by name and arguments; and the same without punctuation, which clients that render Markdown drop or replace.
    Empty where it said nothing."""
    calls = projected_calls(message)
    refusal = message.get("refusal")
    text = plain_text(message) or (refusal if isinstance(refusal, str) else "")
    flat = " ".join(text.split())
    if not flat and not calls:
        return set()
    bare = _without_punctuation(flat)
    return {_answer_key(text, calls) for text in (flat, bare) if text or calls}


def _answer_key(text: str, calls: list[Any]) -> int:
    key = _key(b"answer", canonical_json([text, calls]), ANSWER)
    return key | _LONG if calls or len(text) >= LONG_ANSWER else key & ~_LONG


def _without_punctuation(flat: str) -> str:
    """A text's words as they are composed, without punctuation and the language of code."""
    if not flat.isascii():
        flat = " ".join(map(_composed, flat.split(" ")))
    return " ".join(_PUNCTUATION.sub(" ", flat).split())


def _composed(word: str) -> str:
    # To compose a run of many marks takes time that is quadratic in its length; no word of a language has so many.
    return word if word.isascii() or len(word) > _LONGEST_WORD else unicodedata.normalize("NFC", word)


def call_anchor(call_id: Any) -> int | None:
    """The anchor of a tool-call id that is unlikely to occur twice: it has a run of at least 9 letters and digits, both
    of them, at least 6 different ones, or of at least 16 letters whose case is random. ``call_1``, ``get_weather:0``
    and ``getTheWeatherOfCity`` are counters and names."""
    if not isinstance(call_id, str):
        return None
    for run in _ID_RUN.findall(call_id):
        if len(run) < 9 or len(set(run)) < 6 or run.isdigit():
            continue
        if not run.isalpha() or (len(run) >= 16 and 0.3 <= sum(map(str.isupper, run)) / len(run) <= 0.7):
            return _key(b"call", call_id, CALL)
    return None


def calls_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tool calls of an answer."""
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []


def arguments_of(call: Mapping[str, Any]) -> Iterator[str]:
    """Every text among the arguments of a call, at any depth."""
    function = call.get("function")
    held = function if isinstance(function, Mapping) else call
    arguments = held.get("arguments", held.get("input"))
    if isinstance(arguments, str):
        if len(arguments) < LONG_ENOUGH:
            return
        try:
            arguments = parse_json(arguments)
        except ValueError:
            return
    waiting = [arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _key(what: bytes, text: str, kind: int) -> int:
    hashed = int.from_bytes(digest(what, text.encode("utf-8", "surrogatepass"))[:8], "big", signed=True)
    return (hashed & ~3) | kind
