"""Tool calls that arrive in pieces, joined by index and id: neither alone distinguishes calls on every server.

Servers are known to number every call 0, to leave out the index, to count from 1, to write it as text, to give a new id
with every piece, to repeat a call whole, and to name a function after its arguments. A piece goes to the call that its
index and id name; one without either continues with the call opened last. A piece whose call is not clear is kept as it
came under ``unattributed``, and the answer is ambiguous.
Source: OpenAI API reference, chat completion chunks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from regraft.domain.capture.streamed_parts import StreamedValue
from regraft.domain.ids import parse_json, whole_number

_FORMS = {"function": "arguments", "custom": "input"}
_MARK = re.compile(r'\\.|[\\"{}\[\]]', re.DOTALL)
_FIRST_VALUE = json.JSONDecoder().raw_decode


def joined_arguments(pieces: list[str]) -> tuple[str, bool]:
    """Arguments from their pieces, and whether they are certain: those of two calls may have run together."""
    pieces = [piece for piece in pieces if piece]
    joined = "".join(pieces)
    if len(pieces) < 2 or _is_json(joined):
        return joined, True
    last, half = pieces[-1], len(joined) // 2
    if _is_object(last) and (_each_begins_the_next(pieces) or "".join(pieces[:-1]) == last):
        return last, True
    if joined[:half] == joined[half:] and _is_object(joined[:half]):
        return joined[:half], True
    return joined, not _is_several(joined)


class _Call:
    """One call while its pieces arrive."""

    __slots__ = ("_depth", "_in_text", "_read", "_skip", "arguments", "delta", "fields", "form", "id", "index", "inner",
                 "name", "pieces", "value")  # fmt: skip

    def __init__(self, identity: str, index: int | None, delta: int) -> None:
        self.id = identity
        self.index = index
        self.delta = delta  # the number of the delta that opened it
        self.form = ""
        self.name = ""
        self.arguments: list[str] = []
        self.value: Any = None  # arguments that are not text
        self.inner: dict[str, StreamedValue] = {}
        self.fields: dict[str, StreamedValue] = {}
        self.pieces: list[dict[str, Any]] = []
        self._read = self._depth = 0
        self._in_text = self._skip = False

    def add(self, piece: dict[str, Any]) -> None:
        self.pieces.append(piece)
        self.id = self.id or _identity(piece)
        if self.index is None:
            self.index = _index(piece)
        for key, value in piece.items():
            if key in _FORMS and isinstance(value, dict):
                self.form = self.form or key
                self._add_inner(value, _FORMS[key])
            elif key not in ("index", "id"):
                self.fields.setdefault(key, StreamedValue(key)).add(value)

    def _add_inner(self, inner: dict[str, Any], arguments: str) -> None:
        for key, value in inner.items():
            if key == "name" and isinstance(value, str):
                self.name = value if value.startswith(self.name) else self.name + value
            elif key == arguments and isinstance(value, str):
                self.arguments.append(value)
            elif key == arguments and value is not None:
                self.value = value
            elif key not in ("name", arguments):
                self.inner.setdefault(key, StreamedValue(key)).add(value)

    @property
    def says_arguments(self) -> bool:
        return self.value is not None or any(self.arguments)

    def is_complete(self) -> bool:
        """Whether the arguments so far are a closed object. Reads each piece once."""
        if self.value is not None:
            return True
        for piece in self.arguments[self._read :]:
            start = int(self._skip and bool(piece))
            self._skip = self._skip and not piece
            for mark in _MARK.finditer(piece, start):
                if mark[0] == "\\":  # the character that it escapes is in the next piece
                    self._skip = True
                elif mark[0] == '"':
                    self._in_text = not self._in_text
                elif len(mark[0]) == 1 and not self._in_text:
                    self._depth += 1 if mark[0] in "{[" else -1
        self._read = len(self.arguments)
        return self._depth == 0 and not self._in_text and "}" in "".join(self.arguments[-1:])

    def call(self) -> tuple[dict[str, Any], bool]:
        """The whole call, and whether it is certain."""
        said = {key: value for key, field in self.fields.items() if (value := field.value()) is not None}
        if self.id:
            said = {"id": self.id, **said}
        said["type"] = said.get("type") or self.form or "function"
        certain = True
        if self.form or (said["type"] == "function" and "name" not in said):
            key = _FORMS[self.form or "function"]
            inner: dict[str, Any] = {"name": self.name} if self.name else {}
            inner |= {name: value for name, each in self.inner.items() if (value := each.value()) is not None}
            inner[key], certain = (
                joined_arguments(self.arguments) if self.value is None else (self.value, not any(self.arguments))
            )
            said[self.form or "function"] = inner
        return said, certain


class StreamedCalls:
    """The tool calls of one message. ``unattributed`` are pieces whose call is not clear, unchanged."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}  # the one opened last
        self._by_index: dict[int, _Call] = {}
        self._by_both: dict[tuple[str, int], _Call] = {}
        self._delta = 0
        self.unattributed: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, pieces: list[Any]) -> None:
        """Add the pieces of one delta."""
        self._delta += 1
        found = [piece for piece in pieces if isinstance(piece, dict)]
        unsure = len(self._calls) > 1 and sum(map(_names_nothing, found)) > 1
        for piece in found:
            if unsure and _names_nothing(piece):
                self.unattributed.append(piece)
            else:
                self._add(piece)

    def _add(self, piece: dict[str, Any]) -> None:
        identity, index = _identity(piece), _index(piece)
        call = self._known(identity, index, piece) if identity else self._nameless(index, piece)
        if call is None:
            call = _Call(identity, index, self._delta)
            self._calls.append(call)
        call.add(piece)
        if call.id:
            self._by_id[call.id] = call
        if call.index is not None:
            self._by_index[call.index] = call
            self._by_both[call.id, call.index] = call

    def _known(self, identity: str, index: int | None, piece: dict[str, Any]) -> _Call | None:
        """The call that a piece with an id continues with, None if it opens one."""
        name = _name(piece)
        last = self._by_id.get(identity)
        exact = None if index is None else self._by_both.get((identity, index))
        if exact is None and last and (index is None or last.index is None):
            exact = last
        if exact:
            return None if self._is_another(exact, name, piece) else exact
        if last and not name:
            return last  # its index counts pieces
        at_index = self._calls[-1] if index is None and self._calls else self._by_index.get(index or 0)
        if at_index is None or at_index.id or at_index.delta == self._delta:
            return None
        if at_index.name and name and (at_index.name != name or at_index.is_complete()):
            return None
        return at_index  # its id came late

    def _nameless(self, index: int | None, piece: dict[str, Any]) -> _Call | None:
        """The call that a piece without an id continues with, None if it opens one."""
        name = _name(piece)
        last = self._calls[-1] if self._calls else None
        if index is not None:
            if index not in self._by_index:
                return last if last and last.index is None and not name else None
            last = self._by_index[index]
        if last is None or not name or not last.name:
            return last if last is None or not name or last.delta != self._delta or index is not None else None
        return None if self._is_another(last, name, piece) else last

    def _is_another(self, call: _Call, name: str, piece: dict[str, Any]) -> bool:
        """Whether a piece that names a function opens another call than one of the same place."""
        if not name or not call.name:
            return False
        given = _arguments(piece)
        if call.delta == self._delta and (not _identity(piece) or name != call.name):
            return True
        if name == call.name:
            if not given or _identity(piece) or not call.is_complete():
                return False
            if "".join(call.arguments) == given or call.value == given:
                self.unattributed.append(piece)  # the same call again, or an equal one
                return False
            return True
        if call.says_arguments:
            return True
        if _identity(piece):
            return False  # a name in pieces
        self.unattributed.append(piece)  # a name in pieces, or another call
        return True

    def calls(self) -> list[dict[str, Any]]:
        """The whole calls, by index where each has its own, else in the order of arrival."""
        kept = list(self._settled())
        places = [call.index for call in kept if call.index is not None]
        if len(set(places)) == len(kept):
            kept.sort(key=lambda call: call.index or 0)
        found = []
        for call in kept:
            said, certain = call.call()
            if not certain:
                self.unattributed += call.pieces
            found.append(said)
        return found

    def _settled(self) -> Iterator[_Call]:
        """The calls, those without a name joined to the one before them where their arguments are the rest of its."""
        at = 0
        while at < len(self._calls):
            call = self._calls[at]
            rest = at + 1
            while rest < len(self._calls) and _is_rest(call, self._calls[rest]):
                rest += 1
            more = self._calls[at + 1 : rest]
            whole = "".join(piece for each in (call, *more) for piece in each.arguments)
            if more and call.name and not _is_json("".join(call.arguments)) and _is_object(whole):
                for each in more:
                    for piece in each.pieces:
                        call.add(piece)
                more = []
            for each in (call, *more):
                if not each.name and each.form != "custom" and (each.form or each.arguments):
                    self.unattributed += each.pieces
                yield each
            at = rest


def _is_rest(call: _Call, other: _Call) -> bool:
    if other.name or other.value is not None or call.value is not None or call.form != (other.form or call.form):
        return False
    return call.index is None or other.index in (None, call.index)


def _names_nothing(piece: dict[str, Any]) -> bool:
    return not _identity(piece) and _index(piece) is None and not _name(piece)


def _identity(piece: dict[str, Any]) -> str:
    identity = piece.get("id")
    return identity if isinstance(identity, str) else "" if identity is None else str(identity)


def _index(piece: dict[str, Any]) -> int | None:
    return whole_number(piece.get("index"))


def _inner(piece: dict[str, Any]) -> tuple[dict[str, Any], str]:
    for form, arguments in _FORMS.items():
        if isinstance(inner := piece.get(form), dict):
            return inner, arguments
    return {}, ""


def _name(piece: dict[str, Any]) -> str:
    name = _inner(piece)[0].get("name")
    return name if isinstance(name, str) else ""


def _arguments(piece: dict[str, Any]) -> Any:
    inner, arguments = _inner(piece)
    return inner.get(arguments)


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def _is_object(text: str) -> bool:
    return text.lstrip()[:1] == "{" and _is_json(text)


def _each_begins_the_next(pieces: list[str]) -> bool:
    return all(after.startswith(before) for before, after in pairwise(pieces))


def _is_several(text: str) -> bool:
    """Whether a text is a whole object and then more that begins with one."""
    if text.lstrip()[:1] != "{":
        return False
    try:
        _, end = _FIRST_VALUE(text.lstrip())
    except (ValueError, RecursionError):
        return False
    return text.lstrip()[end:].lstrip()[:1] == "{"
