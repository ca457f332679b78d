"""``POST /v1/feedback``: a reward or rating of a turn or a session goes the way of the calls."""

from __future__ import annotations

import time
from uuid import UUID

import orjson

from regraft.domain.capture.exchange import Exchange
from regraft.domain.errors import CorruptEventError
from regraft.domain.lineage.feedback import check_form, read_feedback
from regraft.infra.http.replies import Answer, error_body, json_answer
from regraft.infra.http.requests import HttpRequest
from regraft.infra.nats.codec import CallEvent
from regraft.presentation.gateway.capture import Recorder, uuid_text

FEEDBACK = "/v1/feedback"
MAX_BYTES = 1 << 20


def take_feedback(request: HttpRequest, recorder: Recorder, scope: str) -> Answer:
    """202 with an id once it is in the spool; 400 when it says nothing of anything; 503 when it could not be kept."""
    started = time.time_ns()
    event_id = recorder.ids.new(started)
    if len(request.body) > MAX_BYTES:
        return json_answer(413, error_body("The feedback is too large", "invalid_request_error", "request_too_large"))
    body = orjson.dumps({"id": uuid_text(event_id), "object": "feedback"})
    exchange = Exchange(
        event_id=UUID(bytes=event_id),
        scope=scope or recorder.scope,
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
        response_body=body,
    )
    try:
        read_feedback(exchange)
        check_form(exchange)
    except CorruptEventError as error:
        message = f"{str(error)[:1].upper()}{str(error)[1:]}"
        return json_answer(400, error_body(message, "invalid_request_error", "invalid_feedback"))
    kept = recorder.record(
        CallEvent(
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
            response_body=body,
            identity=request.head.identity,
            traceparent=request.head.traceparent,
        )
    )
    if not kept:
        return json_answer(503, error_body("The feedback could not be kept", "server_error", "capture_failed"))
    return json_answer(202, body)
