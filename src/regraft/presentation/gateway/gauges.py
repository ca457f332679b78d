"""The state of a gateway process as metrics: asked for on a scrape, so that no call pays for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regraft.infra.http.body_memory import BodyMemory
from regraft.infra.http.server import HttpServer
from regraft.infra.spool.writer import Spool
from regraft.infra.telemetry.metrics import (
    GATEWAY_BODY_MEMORY,
    GATEWAY_BODY_MEMORY_LIMIT,
    GATEWAY_CALLS_LIMIT,
    GATEWAY_CONNECTIONS,
    GATEWAY_IN_FLIGHT,
    GATEWAY_SPOOL_BYTES,
    GATEWAY_SPOOL_LIMIT,
    GATEWAY_SPOOL_SEGMENTS,
    GATEWAY_SPOOL_SYNC_FAILURES,
    GATEWAY_WAITING,
)
from regraft.infra.telemetry.numbers import Sample
from regraft.presentation.gateway.access import Access
from regraft.presentation.gateway.routing import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """What a gateway process consists of, as far as it can be measured."""

    router: Router
    access: Access | None
    spool: Spool
    server: HttpServer | None
    memory: BodyMemory | None

    def gauges(self) -> Iterator[Sample]:
        """The state now."""
        spool, server, memory = self.spool, self.server, self.memory
        yield Sample(GATEWAY_SPOOL_BYTES.name, spool.waiting_bytes)
        yield Sample(GATEWAY_SPOOL_LIMIT.name, spool.limit_bytes)
        yield Sample(GATEWAY_SPOOL_SEGMENTS.name, spool.segments)
        yield Sample(GATEWAY_SPOOL_SYNC_FAILURES.name, spool.sync_failures)
        if server is not None:
            yield Sample(GATEWAY_CONNECTIONS.name, len(server.connections))
            yield Sample(GATEWAY_IN_FLIGHT.name, server.in_flight)
        if memory is not None:
            yield Sample(GATEWAY_BODY_MEMORY.name, memory.held)
            yield Sample(GATEWAY_BODY_MEMORY_LIMIT.name, memory.most)
        for upstream in self.router.upstreams:
            if (limit := upstream.turnstile) is not None:
                yield Sample(GATEWAY_CALLS_LIMIT.name, limit.limit, (upstream.name,))
                yield Sample(GATEWAY_WAITING.name, limit.waiting, ("upstream", upstream.name))
        if self.access is not None:
            yield Sample(GATEWAY_WAITING.name, self.access.waiting, ("key", ""))
