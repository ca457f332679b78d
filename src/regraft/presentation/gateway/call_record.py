"""The record of one attempt at a call: filled in as the attempt goes on, and written once, when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from regraft.infra.http.body_memory import BodyMemory
from regraft.infra.nats.codec import CallEvent
from regraft.presentation.gateway.answer_copy import AnswerCopy
from regraft.presentation.gateway.compression import BodyCompression
from regraft.presentation.gateway.recorder import LARGE, LargeRecord, Recorder

now = time.perf_counter_ns


class CallRecord:
    """What the log will hold of one attempt. ``turn`` is its event id as it is usually written.

    ``keep`` writes it in this turn of the loop, ``write`` at once; what the client may have only then waits with
    ``then`` or ``when_written``. A large record is written by another thread, and after the one ``before`` it.
    """

    __slots__ = ("_compressing", "_large", "_memory", "_recorder", "_started", "answer", "event", "turn", "written")

    def __init__(
        self,
        recorder: Recorder,
        event: CallEvent,
        turn: str,
        started: int,
        memory: BodyMemory,
        compressing: BodyCompression | None,
        before: CallRecord | None,
    ) -> None:
        self._recorder = recorder
        self.event = event
        self.turn = turn
        self._started = started
        self._compressing = compressing
        self._large: LargeRecord | None = None if before is None else before._large
        self._memory = memory
        self.answer = AnswerCopy(memory)
        self.written = False

    def describe(self, media_type: str, encoding: str) -> None:
        """The head of the answer is known."""
        self.event.response_type, self.event.response_encoding = media_type, encoding
        self.answer.packs = not encoding and not self._recorder.redacts

    def forget_answer(self) -> None:
        """Copy it from its beginning again: it was read, and is sent only now."""
        self.answer = AnswerCopy(self._memory)

    def add(self, chunk: bytes, at: int) -> None:
        """Copy a piece of the answer, which came ``at`` this time of the clock ``now``."""
        if self.written or not chunk:
            return
        event = self.event
        if event.first_byte_ns is None:
            event.first_byte_ns = at - self._started
        self.answer.append(chunk)

    def keep(self, status: int, *, cut: str = "", error: str = "", final: bool = True) -> None:
        """Write it in this turn of the loop, if that was not done: what comes behind it must go through ``then``."""
        if self.written:
            return
        self.written = True
        event, recorder, answer, packed = self.event, self._recorder, self.answer, None
        if self._compressing is not None:
            packed = self._compressing.result()
        try:
            answer.finish()
        except OSError as failure:
            recorder.lose(failure)
            return
        event.response_body = answer.body
        event.status = status if final or not error else 0
        event.cut, event.error, event.final = cut, error, final
        event.duration_ns = now() - self._started
        request = event.request_body if packed is None or recorder.redacts else packed
        response = answer.body if answer.packed is None else answer.packed
        if len(request) + len(response) < LARGE:
            recorder.keep(event, packed, answer.packed)
        else:
            self._large = recorder.keep_large(event, packed, answer.packed, self._large)

    def write(self, status: int, *, cut: str = "", error: str = "", final: bool = True) -> None:
        """Write it now, if that was not done. What follows it goes by ``when_written``."""
        self.keep(status, cut=cut, error=error, final=final)
        self._recorder.flush()

    def then(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do this after what ``keep`` has kept."""
        if self._large is None:
            self._recorder.then(act, *arguments)
        else:
            self._large.then(self._recorder.then, act, *arguments)

    def when_written(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do this after what ``write`` has written: at once unless another thread writes it."""
        if self._large is None:
            act(*arguments)
        else:
            self._large.then(act, *arguments)
