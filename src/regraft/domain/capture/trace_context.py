"""Where a call is in a distributed trace: W3C Trace Context, and the ids of spans that are made from calls.

The ids are computed from the call's id, so that the gateway, which sends them to the model server, and ingest, which
exports the span later, get the same ones. Source: https://www.w3.org/TR/trace-context/"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1
_WHOLE = 1 << 64


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span: 32 and 16 lower-case hexadecimal digits, and whether it is exported."""

    trace_id: str
    span_id: str
    sampled: bool

    def header(self) -> str:
        """The value of ``traceparent``."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def read_traceparent(header: str) -> TraceContext | None:
    """The span that a ``traceparent`` names; None for one that the standard calls invalid, which is ignored."""
    found = _HEADER.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def context_of_call(event_id: bytes, operation_id: bytes, traceparent: str, ratio: float) -> TraceContext:
    """The span of a call with these ids (16 bytes; ``operation_id`` empty: there was one attempt).

    It is in the trace that the client named, and is exported if the client's span is. Without one it begins a trace,
    of which the share ``ratio`` is exported.
    """
    own = blake2b(event_id, digest_size=24).hexdigest()
    if traceparent and (parent := read_traceparent(traceparent)) is not None:
        return TraceContext(parent.trace_id, own[32:], parent.sampled)
    trace = blake2b(operation_id, digest_size=24).hexdigest() if operation_id else own
    sampled = ratio >= 1 or int(trace[16:32], 16) < ratio * _WHOLE
    return TraceContext(trace[:32], own[32:], sampled)


def span_of_step(taskification_id: UUID, step: str) -> str:
    """The span id of a step of an orchestrated call."""
    return blake2b(taskification_id.bytes + step.encode("utf-8", "replace"), digest_size=8).hexdigest()


def span_of_placement(turn_id: UUID) -> str:
    """The id of the span for adding a turn to the conversation graph."""
    return blake2b(turn_id.bytes + b"placed", digest_size=8).hexdigest()
