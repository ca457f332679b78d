"""One captured call: the request of a client and the answer of a model, as raw bytes with metadata.

The gateway writes an Exchange and parses as little of it as possible; the bytes are interpreted later, outside the path
of the answer (``read_request``, ``assemble_answer``), so that a mistake there never costs a captured call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The call's ``X-Regraft-*`` request headers, and its client's own names for it; every field may be empty.

    ``variant`` is JSON text. ``replay_node`` is the node that this call replays. ``client_headers`` are the request
    headers that the table of clients names, a JSON object; the gateway keeps them, and ``client`` and what follows is
    read from them and from the body when the call is stored.
    """

    session: str | None = None
    parent_node: str | None = None
    replay_node: str | None = None
    theme: str | None = None
    task: str | None = None
    purpose: str = "chat"
    variant: str | None = None
    plan: str | None = None
    client_headers: str | None = None
    client: str | None = None
    client_session: str | None = None
    agent: str | None = None
    parent_agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call through the gateway.

    Bodies are the bytes that crossed the wire (``request_encoding`` and ``response_encoding`` name their content
    codings in the order in which they were applied); times are Unix nanoseconds and monotonic nanosecond spans. ``cut``
    says who ended a stream before its end: ``client``, ``upstream``, or empty when it was whole.

    A call that was tried more than once is one operation: its attempts share ``operation_id`` and count from 1, and
    only the last, ``final``, has the answer that the client got. ``operation_id`` is None when one attempt was all.
    ``request_body`` is what the model server was sent; ``asked_model`` is the client's name for the model where an
    alias replaced it, or where only the path named one.
    """

    event_id: UUID
    scope: str
    endpoint: str
    upstream: str
    upstream_pin: str
    started_ns: int
    first_byte_ns: int | None
    duration_ns: int
    request_body: bytes
    status: int
    response_type: str
    response_encoding: str
    response_body: bytes
    cut: str = ""
    error: str = ""
    identity: Identity = field(default_factory=Identity)
    gateway_version: str = ""
    operation_id: UUID | None = None
    attempt: int = 1
    final: bool = True
    traceparent: str = ""
    asked_model: str = ""
    request_encoding: str = ""
