"""W3C Trace Context, and ids of spans that follow from calls."""

from __future__ import annotations

import os
from uuid import UUID

import pytest

from regraft.domain.capture.trace_context import (
    TraceContext,
    context_of_call,
    read_traceparent,
    span_of_placement,
    span_of_step,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALL, OTHER = bytes(range(16)), bytes(range(16, 32))


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_a_valid_header_names_a_span(header, sampled):
    assert read_traceparent(header) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "00",
            "-",
            f"00-{TRACE}-{SPAN}",
            f"00-{TRACE}-{SPAN}-1",
            f"00-{TRACE}-{SPAN}-001",
            f"00-{TRACE}-{SPAN}-01-",
        ),
        *(f"00-{TRACE}-{SPAN}-01-more", f"ff-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01.more", f"0-{TRACE}-{SPAN}-01"),
        *(f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE[1:]}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01"),
        *(f"00-{TRACE}-{'0' * 16}-01", f" 00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n", f"00-{TRACE}-{SPAN}-0x"),
        f"00-{TRACE[:-1]}\u0664-{SPAN}-01",
    ],
)
def test_an_invalid_header_is_ignored(header):
    assert read_traceparent(header) is None
    assert context_of_call(CALL, b"", header, 1.0) == context_of_call(CALL, b"", "", 1.0)


def test_a_call_is_in_the_clients_trace_and_follows_its_flag():
    for sampled in ("01", "00"):
        for ratio in (0.0, 1.0):
            found = context_of_call(CALL, b"", f"00-{TRACE}-{SPAN}-{sampled}", ratio)
            assert (found.trace_id, found.sampled) == (TRACE, sampled == "01")
            assert found.span_id == context_of_call(CALL, b"", "", 1.0).span_id != SPAN


def test_the_header_of_a_context_is_read_as_that_context():
    found = context_of_call(CALL, b"", "", 1.0)
    assert read_traceparent(found.header()) == found


def test_attempts_of_one_operation_are_one_trace_that_the_first_of_them_begins():
    first, second = context_of_call(CALL, b"", "", 1.0), context_of_call(OTHER, CALL, "", 1.0)
    assert first == context_of_call(CALL, CALL, "", 1.0)
    assert second.trace_id == first.trace_id
    assert second.span_id != first.span_id


def test_the_share_of_traces_is_the_ratio_and_a_larger_ratio_holds_those_of_a_smaller():
    calls = [number.to_bytes(16, "big") for number in range(4000)]
    few = {call for call in calls if context_of_call(call, b"", "", 0.1).sampled}
    some = {call for call in calls if context_of_call(call, b"", "", 0.5).sampled}
    assert 300 < len(few) < 500
    assert 1800 < len(some) < 2200
    assert few < some
    assert not any(context_of_call(call, b"", "", 0.0).sampled for call in calls)
    assert all(context_of_call(call, b"", "", 1.0).sampled for call in calls)


def test_steps_and_places_have_spans_of_their_own():
    plan = UUID(bytes=os.urandom(16))
    spans = {span_of_step(plan, step) for step in ("plan", "s1", "s2", "synthesis", "\ud800")}
    spans |= {span_of_placement(plan), context_of_call(plan.bytes, b"", "", 1.0).span_id}
    assert len(spans) == 7
    assert all(len(each) == 16 and int(each, 16) for each in spans)
