"""A body of its own type is encoded like any other."""

from __future__ import annotations

import os
import uuid

import pytest

from regraft.infra.http.body_memory import HeldBody
from regraft.infra.nats.codec import CallEvent, decode_exchange, encode_event


@pytest.mark.parametrize("size", [10, 5_000, 200_000])
def test_bodies_that_the_gateway_holds_are_recorded_at_every_size(size: int) -> None:
    body = os.urandom(size)
    event = CallEvent(**_fields(), request_body=HeldBody(body), response_body=HeldBody(body))  # type: ignore[arg-type]
    exchange = decode_exchange(b"".join(encode_event(event)))
    assert exchange.request_body == exchange.response_body == body


def _fields() -> dict[str, object]:
    texts = dict.fromkeys(("scope", "endpoint", "upstream", "upstream_pin", "response_type", "response_encoding"), "")
    numbers = {"started_ns": 1, "first_byte_ns": None, "duration_ns": 1, "status": 200}
    return {**texts, **numbers, "event_id": uuid.uuid4().bytes}
