"""A streamed message of the Anthropic Messages API, assembled from its events: index and start tell blocks
apart, since not every server numbers them.

A piece goes to the block that its index names, of blocks with one index to the one started last; without an index, to
the block started last. A piece that no block can take is kept unchanged.
Source: Anthropic API reference, Streaming Messages.
"""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.server_events import EventReader
from regraft.domain.capture.streamed_calls import joined_arguments
from regraft.domain.capture.streamed_parts import StreamedValue
from regraft.domain.ids import parse_json

_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_KINDS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking", "citations_delta": "text"}


class TruncatedJson(str):
    """Arguments of a tool call that ended before they were JSON."""

    __slots__ = ()


class _Block:
    __slots__ = ("_citations", "_pieces", "_texts", "block", "index")

    def __init__(self, index: int | None, block: dict[str, Any]) -> None:
        self.index = index
        self.block = block
        self._texts: dict[str, StreamedValue] = {}
        self._pieces: list[str] = []
        self._citations: list[Any] = []

    def add(self, delta: dict[str, Any]) -> bool:
        """Add a piece; False when it is not a piece of this block."""
        kind = delta.get("type")
        mine = self.block.get("type")
        if kind == "input_json_delta" and isinstance(delta.get("partial_json"), str):
            if mine is not None and "input" not in self.block and not str(mine).endswith("tool_use"):
                return False
            self._pieces.append(delta["partial_json"])
        elif kind == "citations_delta" and mine == "text":
            self._citations.append(delta.get("citation"))
        elif isinstance(kind, str) and (field := self._field(kind, delta)):
            self._text(field, delta[field])
        else:
            return False
        return True

    def _field(self, kind: str, delta: dict[str, Any]) -> str | None:
        """The text of the block that a piece continues; of a kind that is not known, the only one that it has."""
        mine = self.block.get("type")
        if kind in _TEXTS:
            field = _TEXTS[kind]
            return field if isinstance(delta.get(field), str) and mine == _KINDS[kind] else None
        texts = [key for key, value in delta.items() if key != "type" and isinstance(value, str)]
        return texts[0] if len(texts) == 1 and kind == f"{mine}_delta" and len(delta) == 2 else None

    def _text(self, field: str, piece: str) -> None:
        if field not in self._texts:
            self._texts[field] = StreamedValue("signature" if field == "signature" else "text")
            self._texts[field].add(self.block.get(field))
        self._texts[field].add(piece)

    def whole(self) -> tuple[dict[str, Any], list[str], bool]:
        """The block; the names of its texts that came whole in every piece; whether all of it is certain."""
        block, certain = dict(self.block), True
        for field, text in self._texts.items():
            block[field] = text.value() if text.value() is not None else ""
        if self._citations:
            block["citations"] = [*(block.get("citations") or []), *self._citations]
        findings = [found for text in self._texts.values() for found, _ in text.findings()]
        if self._pieces:
            joined, certain = joined_arguments(self._pieces)
            if joined:
                block["input"] = _input(joined, block)
        if "type" not in block:
            block["type"] = "tool_use"
            certain = False
        cumulative = [str(block["type"])] if "cumulative" in findings else []
        return block, cumulative, certain and "doubtful" not in findings


def _input(text: str, block: dict[str, Any]) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        # A tool of the server's stays a block, which has to be JSON itself.
        return TruncatedJson(text) if block.get("type", "tool_use") == "tool_use" else text


class StreamedBlocks:
    """What the events of one stream say. ``message`` is None when none began."""

    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.stopped = False
        self.unattributed: list[Any] = []
        self._blocks: list[_Block] = []
        self._by_index: dict[int, _Block] = {}

    def __bool__(self) -> bool:
        return self.message is not None or bool(self._blocks)

    def add(self, event: dict[str, Any]) -> None:
        """Add the next event."""
        kind, delta = event.get("type"), event.get("delta")
        index = event.get("index")
        index = index if isinstance(index, int) else None
        if kind == "message_start" and isinstance(event.get("message"), dict):
            self._begin(event)
        elif kind == "content_block_start" and isinstance(event.get("content_block"), dict):
            self._start(index, dict(event["content_block"]))
        elif kind == "content_block_delta" and isinstance(delta, dict):
            self._carry_on(index, delta, event)
        elif kind == "message_delta":
            self._change(event, delta if isinstance(delta, dict) else {})
        elif kind == "message_stop":
            self.stopped = True

    def _begin(self, event: dict[str, Any]) -> None:
        before = self.message or {}
        if self._blocks and (self.stopped or before.get("id") != event["message"].get("id")):
            self.unattributed.append(event)  # another message in the same stream
        else:
            self.message = {**before, **event["message"]}

    def _start(self, index: int | None, block: dict[str, Any]) -> None:
        known = self._by_index.get(index) if index is not None else None
        if known and known.block == block and block.get("id"):
            return  # a repetition
        self._open(index, block)

    def _open(self, index: int | None, block: dict[str, Any]) -> _Block:
        opened = _Block(index, block)
        self._blocks.append(opened)
        if index is not None:
            self._by_index[index] = opened
        return opened

    def _carry_on(self, index: int | None, delta: dict[str, Any], event: dict[str, Any]) -> None:
        last = self._blocks[-1] if self._blocks else None
        block = last if index is None else self._by_index.get(index)
        if block is None and isinstance(delta.get("type"), str):
            block = self._open(index, {"type": _KINDS[delta["type"]]} if delta["type"] in _KINDS else {})
        if block is None or not block.add(delta):
            self.unattributed.append(event)

    def _change(self, event: dict[str, Any], delta: dict[str, Any]) -> None:
        message = {**(self.message or {}), **delta}
        if isinstance(event.get("usage"), dict):
            known = message.get("usage")
            counts = {key: value for key, value in event["usage"].items() if value is not None}
            message["usage"] = {**(known if isinstance(known, dict) else {}), **counts}
        self.message = message

    def whole(self) -> tuple[dict[str, Any], list[str]]:
        """The message, and the types of its blocks that came whole in every piece."""
        blocks = list(self._blocks)
        places = [each.index for each in blocks if each.index is not None]
        if len(set(places)) == len(blocks):
            blocks.sort(key=lambda each: each.index or 0)
        content, cumulative = [], set()
        for each in blocks:
            block, repeated, certain = each.whole()
            if not certain:
                self.unattributed.append({"index": each.index, "content_block": each.block})
            cumulative.update(repeated)
            content.append(block)
        message = dict(self.message or {})
        return {**message, "content": content or message.get("content") or []}, sorted(cumulative)


def read_blocks(text: str) -> tuple[StreamedBlocks, EventReader]:
    """The blocks of a stream, and how reading it went."""
    blocks, reader = StreamedBlocks(), EventReader()
    for event in reader.chunks(text):
        blocks.add(event)
    return blocks, reader
