"""How large a captured call is, told without unpacking or copying it."""

from __future__ import annotations

import os
import tracemalloc
import uuid
from datetime import UTC, datetime

import pytest

from regraft.domain.errors import CorruptEventError
from regraft.flows.capture.session_resolver import ParseFailure, parse_record
from regraft.flows.capture.time_budget import AT_ONCE
from regraft.flows.lineage.history_cache import HistoryCache
from regraft.infra.nats.codec import CallEvent, encode_event, measured


def record(request, response, **more):
    event = CallEvent(
        event_id=ID.bytes,
        scope="default",
        endpoint="/v1/chat/completions",
        upstream="main",
        upstream_pin="",
        started_ns=int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e9),
        first_byte_ns=None,
        duration_ns=1,
        request_body=request,
        status=200,
        response_type="application/json",
        response_encoding="",
        response_body=response,
        **more,
    )
    return b"".join(encode_event(event))


ID = uuid.UUID("018f2d5c-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [(b"", b""), (b"{}", b"x" * 100_000), (bytes(5_000), os.urandom(70_000)), (os.urandom(70_000), b"[]")],
    ids=["empty", "packed answer", "packed request", "raw request"],
)
def test_the_size_is_that_of_both_bodies_unpacked(request_body, response_body):
    assert measured(record(request_body, response_body)) == (ID, len(request_body) + len(response_body))


@pytest.mark.parametrize("bad", [b"", b"\x00", b"junk", b"\x93\x01\x02\x03"])
def test_what_is_no_record_is_no_measure_either(bad):
    with pytest.raises(CorruptEventError):
        measured(bad)


def test_a_call_that_is_too_large_is_set_aside_without_being_unpacked():
    packed = record(bytes(300 << 20), bytes(300 << 20))
    tracemalloc.start()
    try:
        found = parse_record(packed, HistoryCache(), AT_ONCE)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found, ParseFailure)
    assert (found.event_id, "slow: its 629145600 bytes are more than" in str(found.error)) == (ID, True)
    assert most < 1 << 20
