"""Values of a message that arrive in pieces, joined by what they mean.

Texts run on, typed parts are distinguished by index and id, whole things that come again are not doubled.

A part is one object of a list with a ``type``: a piece of content, of reasoning (``reasoning_details``) or of thinking
(``thinking_blocks``). Its texts run on while its pieces come, and a signature closes it. ``content`` may change from
parts to plain text and back; plain text is then a text part.
Sources: OpenAI streaming reference; Mistral API, ThinkChunk; OpenRouter, reasoning tokens; LiteLLM, thinking blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.streamed_text import StreamedText

# The fields of a part that run on, by its type.
_RUNNING = {
    "text": ("text",),
    "output_text": ("text",),
    "summary_text": ("text",),
    "reasoning_text": ("text",),
    "thinking": ("thinking",),
    "reasoning": ("text", "reasoning", "summary"),
    "refusal": ("refusal",),
    "reasoning.text": ("text",),
    "reasoning.summary": ("summary",),
    "reasoning.encrypted": ("data",),
}
_WHOLE = frozenset({"reasoning.encrypted"})  # another one, unless its index or id says that it continues
_TEXTS = frozenset(
    {"content", "text", "reasoning", "reasoning_content", "reasoning_text", "thinking", "thought", "refusal"}
    | {"transcript", "arguments", "input", "data", "summary", "signature", "thought_signature"}
)
_NAMING = frozenset({"id", "type", "index", "name", "format", "role", "object", "status"})


class StreamedValue:
    """One field: a text, a list, an object or anything else, by what its pieces are."""

    __slots__ = ("_fields", "_key", "_parts", "_repeats", "_text", "_value", "_whole_each")

    def __init__(self, key: str, *, whole_each: bool = False) -> None:
        self._key = key
        self._text: StreamedText | None = None
        self._parts: StreamedParts | None = None
        self._fields: dict[str, StreamedValue] | None = None
        self._value: Any = None
        self._repeats = 0
        self._whole_each = whole_each

    def add(self, piece: Any) -> None:
        """Add the next piece; a null says nothing."""
        if piece is None:
            return
        if isinstance(piece, str):
            self._add_text(piece)
        elif isinstance(piece, list):
            self._as_parts().add(piece)
        elif isinstance(piece, dict):
            if self._fields is None:
                self._fields = {}
            for key, value in piece.items():
                self._fields.setdefault(key, StreamedValue(key, whole_each=self._whole_each)).add(value)
        else:
            self._value = piece

    def _add_text(self, piece: str) -> None:
        if self._parts is not None:
            self._parts.add_text(piece)
        elif self._key in _NAMING:
            self._value = self._value or piece
        elif self._key in _TEXTS:
            if self._text is None:
                self._text = StreamedText(whole_each=self._whole_each)
                self._value = piece
            elif self._key.endswith("signature") and piece == self._value:
                return  # said again
            self._text.add(piece)
        else:
            # An unknown text continues, unless it is the same in every piece.
            if self._text is None:
                self._text, self._value = StreamedText(whole_each=self._whole_each), piece
            if piece == self._value and not self._text:
                self._repeats += 1
            else:
                for _ in range(self._repeats):
                    self._text.add(str(self._value))
                self._repeats = 0
                self._text.add(piece)

    def _as_parts(self) -> StreamedParts:
        if self._parts is None:
            before = "" if self._text is None else str(self.value() or "")
            self._text = None
            self._parts = StreamedParts(whole_each=self._whole_each)
            self._parts.add_text(before)
        return self._parts

    @property
    def says_something(self) -> bool:
        """Whether any text has come."""
        return bool(self._text)

    def value(self) -> Any:
        """The whole value, None when nothing was said."""
        if self._parts is not None:
            return self._parts.value()
        if self._text is not None:
            return self._text.text() if self._text or not self._repeats else self._value
        if self._fields is not None:
            return {key: each.value() for key, each in self._fields.items()}
        return self._value

    def findings(self) -> Iterator[tuple[str, str]]:
        """``cumulative`` or ``doubtful`` with the name of each text that is."""
        if self._text is not None:
            if self._text.cumulative and not self._whole_each:
                yield "cumulative", self._key
            if self._text.doubtful:
                yield "doubtful", self._key
        if self._parts is not None:
            yield from self._parts.findings(self._key)
        for each in (self._fields or {}).values():
            yield from each.findings()


def continues(before: Any, after: Any) -> bool:
    """Whether a value is another with more at its end: a longer text, more in a list, or in an object of the same."""
    if isinstance(before, str) and isinstance(after, str):
        return after.startswith(before)
    if isinstance(before, list) and isinstance(after, list):
        return len(after) >= len(before) and all(map(continues, before, after))
    if isinstance(before, dict) and isinstance(after, dict):
        return all(continues(value, after.get(key)) for key, value in before.items())
    return bool(before == after) or before is None


class _Part:
    __slots__ = ("batch", "fields", "kind")

    def __init__(self, kind: str, batch: int) -> None:
        self.kind = kind
        self.batch = batch
        self.fields: dict[str, StreamedValue] = {}

    def add(self, piece: dict[str, Any], *, whole_each: bool) -> None:
        for key, value in piece.items():
            running = key in _RUNNING[self.kind]
            field = self.fields.get(key)
            if field is None:
                name = "text" if running else key
                field = self.fields[key] = StreamedValue(name, whole_each=whole_each)
            field.add(value)

    def goes_on(self, piece: dict[str, Any]) -> bool:
        """Whether a piece that names no index is of this part."""
        if self.kind != piece.get("type") or self.kind in _WHOLE or not self._same("id", piece):
            return False
        signature = self.fields.get("signature")
        return not signature or not signature.says_something or not any(piece.get(key) for key in _RUNNING[self.kind])

    def is_at(self, piece: dict[str, Any]) -> bool:
        """Whether a piece that names an index is of this part."""
        return self.kind == piece.get("type") and self._known("index") == piece.get("index") and self._same("id", piece)

    def _same(self, key: str, piece: dict[str, Any]) -> bool:
        return not piece.get(key) or not self._known(key) or self._known(key) == piece[key]

    def _known(self, key: str) -> Any:
        field = self.fields.get(key)
        return field.value() if field else None


class StreamedParts:
    """A list of a message: parts whose texts run on, and whole things."""

    __slots__ = ("_batch", "_by_index", "_items", "_repeated", "_whole", "_whole_each")

    def __init__(self, *, whole_each: bool = False) -> None:
        self._items: list[Any] = []
        self._by_index: dict[Any, _Part] = {}
        self._batch = 0
        self._repeated = False
        self._whole: list[Any] = []  # the list that came last
        self._whole_each = whole_each

    def add_text(self, text: str) -> None:
        """Plain text among parts."""
        if text:
            self._batch += 1
            self._add_piece({"type": "text", "text": text})

    def add(self, pieces: list[Any]) -> None:
        """The next pieces of the list."""
        self._batch += 1
        if self._whole_each and self._whole and continues(self._whole, pieces):
            self._items, self._by_index = [], {}
        self._whole = pieces
        if self._says_all_again(pieces):
            self._repeated = True
            pieces = pieces[len(self._items) :]
        for piece in pieces:
            if isinstance(piece, dict) and isinstance(piece.get("type"), str) and piece["type"] in _RUNNING:
                self._add_piece(piece)
            else:
                self._items.append(piece)

    def _says_all_again(self, pieces: list[Any]) -> bool:
        """Whether objects that are no running parts begin with all that came before them."""
        known = len(self._items)
        if not known or len(pieces) < known or not all(isinstance(each, dict) for each in self._items):
            return False
        return pieces[:known] == self._items

    def _add_piece(self, piece: dict[str, Any]) -> None:
        index = piece.get("index")
        at = (index, piece["type"]) if isinstance(index, int | str) else None
        part = self._by_index.get(at) if at else self._last()
        if part is None or not (part.is_at(piece) if at else part.goes_on(piece) and part.batch != self._batch):
            part = _Part(piece["type"], self._batch)
            self._items.append(part)
            if at:
                self._by_index[at] = part
        part.add(piece, whole_each=self._whole_each)
        part.batch = self._batch

    def _last(self) -> _Part | None:
        return self._items[-1] if self._items and isinstance(self._items[-1], _Part) else None

    def value(self) -> list[Any]:
        """The whole list."""
        return [
            {key: field.value() for key, field in item.fields.items()} if isinstance(item, _Part) else item
            for item in self._items
        ]

    def findings(self, key: str) -> Iterator[tuple[str, str]]:
        """``cumulative`` or ``doubtful``, for texts in the list and for the list itself."""
        if self._repeated and not self._whole_each:
            yield "cumulative", key
        for item in self._items:
            if isinstance(item, _Part):
                for field in item.fields.values():
                    yield from ((found, key) for found, _ in field.findings())
