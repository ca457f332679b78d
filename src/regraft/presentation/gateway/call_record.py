"""The record of one attempt at a call: filled in as the attempt continues, and written once, when it has ended."""

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

    # Defaults that most records never change live on the class, not on each instance.
    written = False
    compressing: BodyCompression | None = None  # the request, where it is large
    _answer: AnswerCopy | None = None  # one that came in pieces
    _large: LargeRecord | None = None

    def __init__(self, recorder: Recorder, memory: BodyMemory, event: CallEvent, turn: str, started: int) -> None:
        self._recorder = recorder
        self._memory = memory
        self.event = event
        self.turn = turn
        self._started = started

    def follow(self, before: CallRecord) -> None:
        """Be written after the record of an earlier attempt."""
        self._large = before._large

    def describe(self, media_type: str, encoding: str) -> None:
        """The head of the answer is known."""
        self.event.response_type, self.event.response_encoding = media_type, encoding

    def add(self, chunk: bytes, at: int) -> None:
        """Copy a piece of the answer, which came ``at`` this time of the clock ``now``."""
        if chunk and not self.written:
            if self.event.first_byte_ns is None:
                self.event.first_byte_ns = at - self._started
            self.copy(chunk)

    def copy(self, chunk: bytes) -> None:
        """Copy a piece of an answer that no byte was sent of yet."""
        answer = self._answer
        if answer is None:
            packs = not self.event.response_encoding and not self._recorder.redacts
            self._answer = answer = AnswerCopy(self._memory, packs)
        answer.append(chunk)

    def forget_answer(self) -> None:
        """Begin the copy again: what was read of the answer is sent only now."""
        self._answer = None

    def answer_whole(self, media_type: str, encoding: str, body: bytes, at: int) -> None:
        """All of the answer came at once, ``at`` this time of the clock ``now``."""
        event = self.event
        event.response_type, event.response_encoding, event.response_body = media_type, encoding, body
        if body:
            event.first_byte_ns = at - self._started

    def keep(self, status: int, *, cut: str = "", error: str = "", final: bool = True) -> None:
        """Write it in this turn of the loop, if that was not done: what comes behind it must go through ``then``."""
        if self.written:
            return
        self.written = True
        event, recorder, answer = self.event, self._recorder, self._answer
        request_packed = self.compressing.result() if self.compressing is not None else None
        answer_packed = None
        if answer is not None:
            try:
                answer.finish()
            except OSError as failure:
                recorder.count_lost(failure)
                return
            event.response_body, answer_packed = answer.body, answer.packed
        event.status = status if final or not error else 0
        event.cut, event.error, event.final = cut, error, final
        event.duration_ns = now() - self._started
        request = event.request_body if request_packed is None or recorder.redacts else request_packed
        if len(request) + len(event.response_body if answer_packed is None else answer_packed) < LARGE:
            recorder.keep(event, request_packed, answer_packed)
        else:
            self._large = recorder.keep_large(event, request_packed, answer_packed, self._large)

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
