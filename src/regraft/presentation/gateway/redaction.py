"""Removes content from a call before it is stored. It fails closed: a body that cannot be read is not kept.

Fields go by their path in JSON bodies, and in every JSON event of a stream. Texts go by regular expression, on each
string value; in a stream the pieces of one text (the same place, the same choice) are searched as the whole that they
make, so that a match across events is found. Everything else stays byte for byte what it was.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass

from regraft.domain.errors import CorruptEventError
from regraft.infra.http.coding import decode
from regraft.infra.http.json_spans import Path, Span, replaced, spans
from regraft.infra.nats.codec import IDENTITY_FIELDS
from regraft.presentation.gateway.settings import RedactSettings

Identity = tuple[str | None, ...]

_CLIENT_HEADERS = IDENTITY_FIELDS.index("client_headers")

_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
REDACTED = b'"[could not be redacted]"'

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Piece:
    """A string value of a stream: its position in the body, and its text."""

    start: int
    end: int
    text: str
    changed: bool = False


class Redactor:
    """Applies the rules. Not asked when there are none."""

    def __init__(self, rules: RedactSettings) -> None:
        names = {*rules.identities, *(["client_headers"] if "session" in rules.identities else [])}
        self._dropped = tuple(IDENTITY_FIELDS.index(name) for name in sorted(names))
        self._fields = [(tuple(path.split(".")), json.dumps(new).encode()) for path, new in rules.fields.items()]
        self._texts = [(re.compile(pattern), new) for pattern, new in rules.texts]

    def identity(self, identity: Identity) -> Identity:
        """The identity headers of the call, without those that are dropped."""
        if not identity:
            return identity
        return tuple(
            (None if number in self._dropped else self._said(number, value) if value else value)
            for number, value in enumerate(identity)
        )

    def _said(self, number: int, value: str) -> str:
        if number != _CLIENT_HEADERS:
            return self.text(value)
        return json.dumps({name: self.text(each) for name, each in json.loads(value).items()})

    def text(self, text: str) -> str:
        """Plain text, such as an error message."""
        for pattern, new in self._texts:
            text = pattern.sub(new, text)
        return text

    def body(
        self, body: bytes, kind: str = "application/json", encoding: str = "", what: str = "answer"
    ) -> tuple[bytes, str]:
        """A body and its content coding, as they may be kept."""
        if not body or not (self._fields or self._texts):
            return body, encoding
        try:
            body = decode(body, encoding, what) if encoding else body
            if kind.startswith("text/event-stream"):
                return self._stream(bytes(body)), ""
            return self._json(bytes(body)), ""
        except (CorruptEventError, ValueError, RecursionError) as error:
            log.warning("a body was not kept, it could not be redacted: %s", type(error).__name__)
            return REDACTED, ""

    def _json(self, body: bytes) -> bytes:
        try:
            return replaced(body, self._value)
        except ValueError:
            if self._fields:
                raise  # a field may hide in what no parser reads
            return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _value(self, path: Path, value: bytes) -> bytes | None:
        field = self._field(path)
        if field is not None:
            return field
        if not self._texts or value[:1] != b'"':
            return None
        text = json.loads(value)
        changed = self.text(text)
        return None if changed == text else json.dumps(changed).encode()

    def _field(self, path: Path) -> bytes | None:
        for wanted, new in self._fields:
            if len(wanted) == len(path) and all(
                name in ("*", str(step)) for name, step in zip(wanted, path, strict=True)
            ):
                return new
        return None

    def _stream(self, body: bytes) -> bytes:
        edits: list[tuple[int, int, bytes]] = []
        texts: dict[object, list[_Piece]] = {}
        for line in _DATA.finditer(body):
            offset, event = line.start(1), line.group(1)
            if event.strip() == b"[DONE]":
                continue
            try:
                found = list(spans(event))
            except ValueError:
                said = self.text(event.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
                edits.append((offset, line.end(1), REDACTED if self._fields else said))
                continue
            numbers = _indexes(event, found)
            for path, start, end in found:
                field = self._field(path)
                if field is not None:
                    edits.append((offset + start, offset + end, field))
                elif self._texts and event[start : start + 1] == b'"':
                    piece = _Piece(offset + start, offset + end, json.loads(event[start:end]))
                    texts.setdefault(_place(path, numbers), []).append(piece)
        for pieces in texts.values():
            self._search(pieces)
            edits += [(each.start, each.end, json.dumps(each.text).encode()) for each in pieces if each.changed]
        return _edited(body, edits)

    def _search(self, pieces: list[_Piece]) -> None:
        """Search the text that the pieces make; a match is replaced where it begins and cut where it continues."""
        for pattern, new in self._texts:
            whole = "".join(piece.text for piece in pieces)
            matches = [(each.start(), each.end(), each.expand(new)) for each in pattern.finditer(whole)]
            if not matches:
                continue
            at = 0
            for piece in pieces:
                length, begin, kept = len(piece.text), at, []
                position = at
                for start, end, instead in matches:
                    if end < begin or start >= begin + length or (end == begin and start < begin):
                        continue
                    kept.append(whole[position : max(start, position)])
                    if start >= begin:
                        kept.append(instead)
                    position = max(position, min(end, begin + length))
                    piece.changed = True
                kept.append(whole[position : begin + length])
                at = begin + length
                if piece.changed:
                    piece.text = "".join(kept)


def _indexes(event: bytes, found: list[Span]) -> dict[Path, bytes]:
    """The ``index`` beside a value: streams send several texts side by side."""
    return {path[:-1]: event[start:end] for path, start, end in found if path and path[-1] in ("index", "output_index")}


def _place(path: Path, numbers: dict[Path, bytes]) -> object:
    return path, tuple(numbers.get(path[:length]) for length in range(len(path)))


def _edited(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Edits of outer values win over those inside them."""
    parts, position = [], 0
    for start, end, new in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        if start < position:
            continue
        parts += [body[position:start], new]
        position = end
    return b"".join([*parts, body[position:]])
