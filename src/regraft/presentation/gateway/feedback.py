"""``POST /v1/feedback``: a reward or rating of a turn or a session is captured like a call.

Feedback on a turn that is not stored is refused: the gateway asks ingest, over NATS. It is kept unchecked if no ingest
answers, and kept if the turn's id is so new that the turn may not be stored yet."""

from __future__ import annotations

import asyncio
import importlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import orjson

from regraft.domain.capture.exchange import Exchange
from regraft.domain.errors import CorruptEventError
from regraft.domain.lineage.feedback import Feedback, check_form, may_be_on_its_way, read_feedback
from regraft.infra.http.headers import ClientHead
from regraft.infra.http.replies import Answer, error_body, json_answer
from regraft.infra.http.requests import HttpRequest
from regraft.infra.nats.codec import CallEvent
from regraft.presentation.gateway.event_ids import uuid_text
from regraft.presentation.gateway.recorder import Recorder

if TYPE_CHECKING:
    from regraft.infra.nats.questions import FeedbackTarget, TargetQuestions

FEEDBACK = "/v1/feedback"
MAX_BYTES = 1 << 20
LONGEST_WAIT = 60.0  # seconds
_LOOK_AGAIN_SECONDS = 0.1

State = Literal["stored", "expected", "unchecked", "unknown"]  # of what feedback is about


class FeedbackDesk:
    """Takes feedback. The connection to NATS is made by the first feedback whose target has to be looked up."""

    def __init__(self, recorder: Recorder, nats_url: str) -> None:
        self._recorder = recorder
        self._nats_url = nats_url
        self._questions: TargetQuestions | None = None

    async def take(self, request: HttpRequest, scope: str) -> Answer:
        """202 with an id once it is in the spool; 400 when it says nothing of anything; 404 when it is about a turn
        that is not stored; 503 when it could not be kept."""
        started = time.time_ns()
        event_id = self._recorder.ids.new(started)
        if len(request.body) > MAX_BYTES:
            return _refused(413, "The feedback is too large", "request_too_large")
        body = orjson.dumps({"id": uuid_text(event_id), "object": "feedback"})
        scope = scope or self._recorder.scope
        try:
            wait, late = _patience(request.head)
            feedback = _read(request, UUID(bytes=event_id), scope, started, body)
        except CorruptEventError as error:
            return _refused(400, f"{str(error)[:1].upper()}{str(error)[1:]}", "invalid_feedback")
        state: State = "unchecked" if late else await self._state(feedback, wait)
        if state == "unknown":
            return _not_found(feedback, wait)
        event = _event(request, event_id, scope, started, body)
        if not self._recorder.record(event):
            return json_answer(503, error_body("The feedback could not be kept", "server_error", "capture_failed"))
        return json_answer(202, orjson.dumps({"id": uuid_text(event_id), "object": "feedback", "target": state}))

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._questions is not None:
            await self._questions.aclose()

    async def _state(self, feedback: Feedback, wait: float | None) -> State:
        """A session's name is chosen by the client and may be used before its first call: it is looked up only with
        ``wait``."""
        if feedback.turn_id is None and wait is None:
            return "unchecked"
        questions, target = await self._question(feedback)
        deadline = time.monotonic() + (wait or 0.0)
        while True:
            stored = await questions.is_stored(target)
            if stored or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        if stored is None:
            return "unchecked"
        if stored:
            return "stored"
        turn = feedback.turn_id
        on_its_way = wait is None and turn is not None and may_be_on_its_way(turn, datetime.now(UTC))
        return "expected" if on_its_way else "unknown"

    async def _question(self, feedback: Feedback) -> tuple[TargetQuestions, FeedbackTarget]:
        await asyncio.to_thread(importlib.import_module, "regraft.infra.nats.questions")  # a tenth of a second, once
        from regraft.infra.nats.questions import FeedbackTarget, TargetQuestions

        if self._questions is None:
            self._questions = TargetQuestions(self._nats_url)
        target = FeedbackTarget(
            scope=feedback.scope,
            turn_id=feedback.turn_id,
            session_id=feedback.session_id,
            session_claim=feedback.session_claim,
        )
        return self._questions, target


def _read(request: HttpRequest, event_id: UUID, scope: str, started: int, answer: bytes) -> Feedback:
    """What was sent. Raises CorruptEventError."""
    exchange = Exchange(
        event_id=event_id,
        scope=scope,
        endpoint=FEEDBACK,
        upstream="",
        upstream_pin="",
        started_ns=started,
        first_byte_ns=None,
        duration_ns=0,
        request_body=request.body,
        status=202,
        response_type="application/json",
        response_encoding="",
        response_body=answer,
    )
    feedback = read_feedback(exchange)
    check_form(exchange)
    return feedback


def _event(request: HttpRequest, event_id: bytes, scope: str, started: int, answer: bytes) -> CallEvent:
    return CallEvent(
        event_id=event_id,
        scope=scope,
        endpoint=FEEDBACK,
        upstream="",
        upstream_pin="",
        started_ns=started,
        first_byte_ns=None,
        duration_ns=time.time_ns() - started,
        request_body=request.body,
        status=202,
        response_type="application/json",
        response_encoding="",
        response_body=answer,
        identity=request.head.identity,
        traceparent=request.head.traceparent,
    )


def _patience(head: ClientHead) -> tuple[float | None, bool]:
    """Seconds to wait for the target, and whether one that is not stored is right too. Raises CorruptEventError."""
    if head.feedback_late not in ("", "allow"):
        raise CorruptEventError("the header X-Regraft-Late takes one value: allow")
    if not head.feedback_wait:
        return None, head.feedback_late == "allow"
    try:
        wait = float(head.feedback_wait)
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= LONGEST_WAIT:
        raise CorruptEventError(f"the header X-Regraft-Wait takes seconds, from 0 to {LONGEST_WAIT:g}")
    return wait, head.feedback_late == "allow"


def _refused(status: int, message: str, code: str) -> Answer:
    return json_answer(status, error_body(message, "invalid_request_error", code))


def _not_found(feedback: Feedback, wait: float | None) -> Answer:
    waited = f" after {wait:g} s" if wait else ""
    if feedback.turn_id is None:
        what, code, param = "No session of this name or id", "session_not_found", "session"
    else:
        what, code, param = f"No turn or node {feedback.turn_id}", "turn_not_found", "turn_id"
    message = (
        f"{what} is stored{waited}. A turn's id is the header X-Regraft-Turn of its answer. To wait until it is "
        "stored, send X-Regraft-Wait: 10 (seconds); to keep feedback before its turn, send X-Regraft-Late: allow"
    )
    return json_answer(404, error_body(message, "invalid_request_error", code, param))
