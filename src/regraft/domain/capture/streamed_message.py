"""A chat message that arrives in deltas: the same message as the whole body would have held."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.streamed_calls import StreamedCalls
from regraft.domain.capture.streamed_parts import StreamedValue, continues


class StreamedMessage:
    """One message while its deltas arrive. ``whole_each``: each piece is expected to be the message so far."""

    def __init__(self, *, whole_each: bool = False) -> None:
        self._role, self._named = "assistant", False
        self._apart: list[Any] = []  # what another role said in between
        self._speaks = True
        self._calls = StreamedCalls()
        self._whole_calls: list[Any] = []
        self._legacy = StreamedCalls()
        self._others: list[Any] = []  # of a field that holds one call
        self._audio: list[str] = []
        self._fields: dict[str, StreamedValue] = {}
        self._whole_each = whole_each

    def __bool__(self) -> bool:
        return bool(
            self._calls or self._whole_calls or self._legacy or any(each.value() for each in self._fields.values())
        )

    def add(self, delta: dict[str, Any]) -> None:
        """Add the next delta. What another role says in between is not part of the message."""
        role = delta.get("role")
        if isinstance(role, str) and role:
            self._speaks = not self or role == self._role or not self._named
            self._named = True
        if not self._speaks:
            self._apart.append({"delta": delta})
            return
        for key, value in delta.items():
            if key == "tool_calls" and isinstance(value, list | dict):
                self._add_calls(value if isinstance(value, list) else [value])
            elif key == "role":
                self._role = value if isinstance(value, str) and value else self._role
            elif key == "function_call" and isinstance(value, dict):
                self._legacy.add([{"id": "function_call", "function": value}])
            else:
                if key == "audio" and isinstance(value, dict) and isinstance(value.get("data"), str):
                    self._audio.append(value["data"])
                self._fields.setdefault(key, StreamedValue(key, whole_each=self._whole_each)).add(value)

    def _add_calls(self, calls: list[Any]) -> None:
        if not self._whole_each:
            self._calls.add(calls)
        elif calls and continues(self._whole_calls, calls):
            self._whole_calls = calls
        else:
            self._whole_calls = [*self._whole_calls, *calls]

    def message(self) -> dict[str, Any]:
        """The whole message; a field that was only null is left out, ``content`` apart."""
        values = {key: each.value() for key, each in self._fields.items()}
        message = {"role": self._role, **{key: each for key, each in values.items() if each is not None}}
        message.setdefault("content", None)
        if self._audio and not self._whole_each:
            message["audio"] = {**message["audio"], "data": _joined_base64(self._audio)}
        if self._calls or self._whole_calls:
            message["tool_calls"] = self._calls.calls() or self._whole_calls
        if self._legacy:
            first, *others = self._legacy.calls()
            message["function_call"] = first["function"]
            self._others = [{"function_call": each["function"]} for each in others]
        return message

    @property
    def unattributed(self) -> list[Any]:
        """Pieces of tool calls that belong to none for certain; complete once ``message`` was called."""
        return [*self._calls.unattributed, *self._legacy.unattributed, *self._others, *self._apart]

    def findings(self) -> Iterator[tuple[str, str]]:
        """``cumulative`` or ``doubtful`` with the name of each field that is."""
        for each in self._fields.values():
            yield from each.findings()


def _joined_base64(pieces: list[str]) -> str:
    """Sound in pieces; each may be padded, as if it were alone."""
    joined = "".join(pieces)
    if not any(piece.endswith("=") for piece in pieces[:-1]):
        return joined
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece, validate=True) for piece in pieces)).decode()
    except binascii.Error:
        return joined
