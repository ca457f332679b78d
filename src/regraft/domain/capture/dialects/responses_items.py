"""The output items of a streamed response, assembled from its events.

Items are distinguished by id and by their place, and their texts run on. An item that is sent whole replaces what was
pieced together. A piece that no item can take is kept unchanged.
Source: OpenAI API reference, streaming events of Responses.
"""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.streamed_text import StreamedText

# Deltas of parts: the item's type, its list of parts, the part's type, the text's key, the key of the part's number.
_PART_DELTAS = {
    "response.output_text": ("message", "content", "output_text", "text", "content_index"),
    "response.refusal": ("message", "content", "refusal", "refusal", "content_index"),
    "response.reasoning_text": ("reasoning", "content", "reasoning_text", "text", "content_index"),
    "response.reasoning_summary_text": ("reasoning", "summary", "summary_text", "text", "summary_index"),
}
# Deltas of an item's own text: the item's type and the text's key.
_ITEM_DELTAS = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
}
_ITEM_EVENTS = ("response.output_item.added", "response.output_item.done")
_PART_EVENTS = {
    "response.content_part": ("message", "content", "content_index"),
    "response.reasoning_summary_part": ("reasoning", "summary", "summary_index"),
}
_ANNOTATION = "response.output_text.annotation"


class _Item:
    __slots__ = ("_parts", "done", "item", "place", "texts")

    def __init__(self, place: int | None, item: dict[str, Any]) -> None:
        self.place = place
        self.item = item
        self.done = False
        self.texts: dict[tuple[Any, ...], StreamedText] = {}
        self._parts: dict[str, list[dict[str, Any]]] = {}

    def replace(self, item: dict[str, Any], *, done: bool) -> None:
        self.item = item
        self.done = done
        self.texts.clear()
        self._parts.clear()

    def part(self, field: str, number: Any, empty: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The part of the item that an event is about; parts that were not announced are empty."""
        parts = self._parts.get(field)
        if parts is None:
            said = self.item.get(field)
            parts = [part for part in said if isinstance(part, dict)] if isinstance(said, list) else []
            self.item[field] = self._parts[field] = parts
        at = number if isinstance(number, int) and 0 <= number <= len(parts) else max(len(parts) - 1, 0)
        if at == len(parts):
            parts.append(dict(empty))
        return at, parts[at]

    def text(self, where: tuple[Any, ...], known: Any, step: str, event: dict[str, Any]) -> None:
        """Add a piece of a text, or the whole text."""
        whole = step == "done" and isinstance(event.get(where[-1]), str)
        if whole or where not in self.texts:
            self.texts[where] = StreamedText()
            self.texts[where].add(event[where[-1]] if whole else known if isinstance(known, str) else "")
        if step == "delta" and isinstance(event.get("delta"), str):
            self.texts[where].add(event["delta"])

    def whole(self) -> dict[str, Any]:
        for where, text in self.texts.items():
            target = self.item if len(where) == 1 else self.item[where[0]][where[1]]
            target[where[-1]] = text.text()
        return self.item


class StreamedItems:
    """The items of one stream. ``unattributed`` are events whose item is not clear."""

    def __init__(self) -> None:
        self.unattributed: list[Any] = []
        self._items: list[_Item] = []
        self._by_id: dict[str, _Item] = {}
        self._by_place: dict[int, _Item] = {}

    def __bool__(self) -> bool:
        return bool(self._items)

    def add(self, kind: str, event: dict[str, Any]) -> None:
        """Add the next event about an item."""
        if kind in _ITEM_EVENTS:
            if isinstance(event.get("item"), dict):
                self._set(_place(event), dict(event["item"]), done=kind.endswith("done"))
            return
        stem, _, step = kind.rpartition(".")
        if stem in _PART_DELTAS:
            of, field, part_kind, key, number = _PART_DELTAS[stem]
            if item := self._of(event, of):
                at, part = item.part(field, event.get(number), {"type": part_kind})
                item.text((field, at, key), part.get(key), step, event)
        elif stem in _ITEM_DELTAS:
            of, key = _ITEM_DELTAS[stem]
            if item := self._of(event, of):
                item.text((key,), item.item.get(key), step, event)
        elif stem in _PART_EVENTS and isinstance(event.get("part"), dict):
            self._set_part(stem, event)
        elif stem == _ANNOTATION and (item := self._of(event, "message")):
            _, part = item.part("content", event.get("content_index"), {"type": "output_text"})
            known = part.get("annotations")
            part["annotations"] = known if isinstance(known, list) else []
            part["annotations"].append(event.get("annotation"))

    def _set_part(self, stem: str, event: dict[str, Any]) -> None:
        of, field, number = _PART_EVENTS[stem]
        if event["part"].get("type") == "reasoning_text":
            of = "reasoning"
        if item := self._of(event, of):
            at, part = item.part(field, event.get(number), {})
            part.update(event["part"])
            for where in [where for where in item.texts if where[:2] == (field, at) and where[2] in event["part"]]:
                del item.texts[where]

    def _set(self, place: int | None, item: dict[str, Any], *, done: bool) -> None:
        identity = _text(item.get("id"))
        known = self._by_id.get(identity) if identity else None
        if known is None:
            at_place = self._by_place.get(place) if place is not None else self._last_without_id(item)
            free = at_place is not None and not at_place.done and at_place.item.get("type") == item.get("type")
            # Another id in the same place is another item, unless it ends the one that is still open there.
            if at_place is not None and free and (done or not at_place.item.get("id") or not identity):
                known = at_place
        if known is None:
            known = self._open(place, item)
        known.replace(item, done=done)
        if identity:
            self._by_id[identity] = known

    def _last_without_id(self, item: dict[str, Any]) -> _Item | None:
        return self._items[-1] if self._items and not item.get("id") else None

    def _open(self, place: int | None, item: dict[str, Any]) -> _Item:
        opened = _Item(place, item)
        self._items.append(opened)
        if identity := _text(item.get("id")):
            self._by_id[identity] = opened
        if place is not None:
            self._by_place[place] = opened
        return opened

    def _of(self, event: dict[str, Any], kind: str) -> _Item | None:
        """The item that an event is about; None, and the event is kept, when it is of another type."""
        identity, place = _text(event.get("item_id")), _place(event)
        found = self._by_id.get(identity) if identity else None
        if found is None and place is not None:
            found = self._by_place.get(place)
        elif found is None and self._items:
            found = self._items[-1] if not identity else None
        if found is None:
            item = {"type": kind, **({"id": identity} if identity else {})}
            return self._open(place, {**item, "role": "assistant"} if kind == "message" else item)
        if found.item.get("type", kind) != kind:
            self.unattributed.append(event)
            return None
        return found

    def whole(self) -> list[dict[str, Any]]:
        """The items, by place where each has its own, else in the order of arrival."""
        items = list(self._items)
        places = [item.place for item in items if item.place is not None]
        if len(set(places)) == len(items):
            items.sort(key=lambda item: item.place or 0)
        return [item.whole() for item in items]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _place(event: dict[str, Any]) -> int | None:
    place = event.get("output_index")
    return place if isinstance(place, int) else None
