"""The stream of facts: packs of JSON lines, kept for a day, read by Vector and by ``regraft metrics``.

It is apart from the stream of calls, so that telemetry can neither fill that one nor read from it. The oldest packs go
when it is full. Vector's source only binds (since 0.50): stream and durable consumers are made here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError as StreamNotFoundError

from regraft.infra.nats.connection import as_unavailable, close, connect
from regraft.infra.nats.messages import STREAM as CALLS

STREAM = "REGRAFT_FACTS"
SUBJECT = "regraft.facts"
VECTOR, BRIDGE = "vector", "bridge"  # durable consumers
_MOST_BYTES = 64 << 20
_OLDEST = timedelta(days=1)
_DUPLICATE_SECONDS = 120
_ACK_SECONDS = 30.0
# Vector never acknowledges a pack that it cannot decode.
_MOST_DELIVERIES = 3


class FactStream:
    """A connection to the stream of facts. Every method raises UnavailableError while NATS cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._context = client.jetstream(timeout=5.0)
        self._pull: JetStreamContext.PullSubscription | None = None

    @classmethod
    async def connect(cls, url: str) -> FactStream:
        """Connect, or raise UnavailableError within seconds."""
        return cls(await connect(url))

    async def ensure(self) -> None:
        """Create the stream and its two durable consumers, or bring them up to date.

        It is stored on as many servers of a cluster as the stream of calls.
        """
        config = StreamConfig(
            name=STREAM,
            subjects=[f"{SUBJECT}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_bytes=_MOST_BYTES,
            max_age=_OLDEST.total_seconds(),
            duplicate_window=_DUPLICATE_SECONDS,
            num_replicas=1,
        )
        with as_unavailable("create the stream of facts"):
            with contextlib.suppress(StreamNotFoundError):
                config.num_replicas = (await self._context.stream_info(CALLS)).config.num_replicas
            try:
                await self._context.stream_info(STREAM)
            except StreamNotFoundError:
                await self._context.add_stream(config)
            else:
                await self._context.update_stream(config)
            for name in (VECTOR, BRIDGE):
                await self._context.add_consumer(STREAM, _consumer(name))

    async def publish(self, room: str, lines: Sequence[bytes], pack_id: str) -> None:
        """Store a pack of facts of one room. Repeating it with the same id within 2 minutes is harmless."""
        with as_unavailable("publish facts"):
            await self._context.publish(
                f"{SUBJECT}.{room}", b"\n".join(lines) + b"\n", stream=STREAM, headers={"Nats-Msg-Id": pack_id}
            )

    async def fetch(self, batch: int, timeout: float) -> list[bytes]:
        """The lines of up to ``batch`` packs, acknowledged, or none after ``timeout`` seconds: for the bridge."""
        with as_unavailable("fetch facts"):
            if self._pull is None:
                self._pull = await self._context.pull_subscribe_bind(consumer=BRIDGE, stream=STREAM)
            try:
                messages = await self._pull.fetch(batch, timeout)
            except (TimeoutError, nats.errors.TimeoutError):
                if not self._client.is_connected:
                    raise
                return []
            for message in messages:
                await message.ack()
            return [line for message in messages for line in message.data.split(b"\n") if line]

    async def aclose(self) -> None:
        """Close the connection."""
        await close(self._client)


def _consumer(name: str) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=name,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=_ACK_SECONDS,
        max_deliver=_MOST_DELIVERIES,
        max_ack_pending=1_000,
        filter_subject=f"{SUBJECT}.>",
    )
