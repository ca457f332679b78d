"""The stream between gateway and ingest: packs of captured calls in NATS JetStream, deleted when ingest acknowledged.

JetStream acknowledges before it fsyncs unless the server runs with ``sync_interval: always``: run it so. One message is
one pack. A record too large for a message is stored in parts: see ``record_parts``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError as StreamNotFoundError

from regraft.domain.errors import CorruptEventError
from regraft.infra.nats.codec import decode_pack, encode_pack
from regraft.infra.nats.connection import as_unavailable, close, connect
from regraft.infra.nats.messages import PART_SUBJECT, STREAM, SUBJECT, message_after, publish, stored_at
from regraft.infra.nats.record_parts import PART_GRACE, RecordParts, is_manifest
from regraft.infra.nats.state import Replication, StreamProgress

CONSUMER = "ingest"
MAX_MESSAGE = 8 << 20
MESSAGE_MARGIN = 64 << 10  # headers, ours and the server's
DUPLICATE_SECONDS = 120
ACK_SECONDS = 20.0  # a killed ingest process delays its packs by this much; a batch takes well under a second
MAX_ACK_PENDING = 512  # packs
_FETCH_BYTES = 64 << 20  # of calls, after which no more are given out at once


@dataclass(frozen=True, slots=True)
class Delivery:
    """One pack to be stored. ``ack`` after the commit; ``nak`` to get it again at once; neither: again after 20 s."""

    records: list[bytes]
    _message: Msg
    _sequences: tuple[int, ...] = ()  # of the parts of a large record
    _parts: RecordParts | None = None

    async def ack(self) -> None:
        """The records are safe: the stream may forget them. Raises UnavailableError (they will come again then)."""
        with as_unavailable("acknowledge a pack"):
            await self._message.ack_sync(timeout=5.0)
        if self._parts is not None:
            with as_unavailable("delete the parts of a large record"):
                await self._parts.forget(self._sequences)

    async def nak(self, delay: float | None = None) -> None:
        """Ask for the pack again, after ``delay`` seconds."""
        with as_unavailable("refuse a pack"):
            await self._message.nak(delay=delay)


class CallStream:
    """A connection to the stream. Every method raises UnavailableError while NATS cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._context = client.jetstream(timeout=5.0)
        self._parts = RecordParts(self._context)
        self._pull: JetStreamContext.PullSubscription | None = None
        self._fetched: deque[Msg] = deque()

    @classmethod
    async def connect(cls, url: str, *, timeout: float = 2.0, reconnect: bool = False) -> Self:
        """Connect, or raise UnavailableError within ``timeout`` seconds for each server: see ``connection.connect``."""
        return cls(await connect(url, timeout=timeout, reconnect=reconnect))

    @property
    def connected(self) -> bool:
        return self._client.is_connected

    @property
    def max_message(self) -> int:
        """The payload bytes that fit into one message of this server."""
        return min(self._client.max_payload, MAX_MESSAGE) - MESSAGE_MARGIN

    async def ensure(self, max_bytes: int = -1, replicas: int | None = None) -> None:
        """Create the stream, or bring it up to date. A full stream refuses new packs; it never drops old ones.

        ``replicas``: on how many servers of a cluster each pack is stored before it is acknowledged (by most of them).
        None: as many as the stream has, and 1 for a new one.
        """
        config = StreamConfig(
            name=STREAM,
            subjects=[SUBJECT, PART_SUBJECT],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_bytes=max_bytes,
            duplicate_window=DUPLICATE_SECONDS,
            allow_direct=True,
        )
        with as_unavailable("create the stream"):
            try:
                found = await self._context.stream_info(STREAM)
            except StreamNotFoundError:
                config.num_replicas = replicas or 1
                await self._context.add_stream(config)
            else:
                config.num_replicas = replicas or found.config.num_replicas
                await self._context.update_stream(config)

    async def publish_pack(self, records: list[bytes]) -> None:
        """Store the records; returns when all are acknowledged. Repeating it within 2 minutes is harmless."""
        room = self.max_message
        pack: list[bytes] = []
        size = 4
        for record in records:
            need = 4 + len(record)
            if pack and size + need > room:
                await self._publish(pack)
                pack, size = [], 4
            if size + need > room:
                with as_unavailable("publish a large record"):
                    await self._parts.publish(record, room)
            else:
                pack.append(record)
                size += need
        if pack:
            await self._publish(pack)

    async def fetch(self, batch: int, timeout: float) -> list[Delivery]:
        """Up to ``batch`` packs, or none after ``timeout`` seconds.

        A message that is not a readable pack is given out as a single record (its bytes) for the quarantine.
        """
        with as_unavailable("fetch packs"):
            if self._pull is None:
                self._pull = await self._subscribe()
            if not self._fetched:
                try:
                    self._fetched.extend(await self._pull.fetch(batch, timeout))
                except (TimeoutError, nats.errors.TimeoutError):
                    if not self._client.is_connected:
                        raise
                    return []
            deliveries: list[Delivery] = []
            size = 0
            while self._fetched and len(deliveries) < batch and size < _FETCH_BYTES:
                delivery = await self._delivery(self._fetched.popleft())
                size += sum(map(len, delivery.records))
                deliveries.append(delivery)
            return deliveries

    async def waiting(self) -> int:
        """Messages in the stream that ingest has not acknowledged."""
        with as_unavailable("ask for the stream's state"):
            return (await self._context.stream_info(STREAM)).state.messages

    async def progress(self) -> StreamProgress:
        """How far ingest is; all zero before anything was captured."""
        with as_unavailable("ask for the stream's state"):
            try:
                state = (await self._context.stream_info(STREAM, subjects_filter=SUBJECT)).state
                oldest = await message_after(self._context, SUBJECT, 0)
            except StreamNotFoundError:
                return StreamProgress(packs=0, oldest=None, redelivered=0)
            redelivered = 0
            with contextlib.suppress(StreamNotFoundError):  # the consumer: ingest never ran
                redelivered = (await self._context.consumer_info(STREAM, CONSUMER)).num_redelivered or 0
        return StreamProgress(
            packs=(state.subjects or {}).get(SUBJECT, 0),
            oldest=stored_at(oldest) if oldest is not None else None,
            redelivered=redelivered,
        )

    async def replication(self) -> Replication:
        """Where the stream is stored. Raises UnavailableError when most of these servers are away."""
        with as_unavailable("ask for the stream's servers"):
            try:
                info = await self._context.stream_info(STREAM)
            except StreamNotFoundError:
                return Replication(replicas=0, leader="", complete=0, behind=())
        cluster = info.cluster
        peers = (cluster.replicas or []) if cluster else []
        behind = [peer.name or "?" for peer in peers if peer.offline or not peer.current]
        return Replication(
            replicas=info.config.num_replicas or 1,
            leader=(cluster.leader or "") if cluster else "",
            complete=1 + len(peers) - len(behind),
            behind=tuple(sorted(behind)),
        )

    async def sweep_parts(self, grace: timedelta = PART_GRACE) -> int:
        """Delete parts of large records that no manifest names any more, or ever will; returns how many."""
        with as_unavailable("sweep parts of large records"):
            return await self._parts.sweep(grace)

    async def drop_acknowledged(self, patience: float = 20.0) -> bool:
        """Have the server remove the bytes of what was acknowledged, which stay in its files until a block is full.

        That takes a moment in which nothing waits: what arrives meanwhile is never touched. False if none came.
        """
        deadline = asyncio.get_running_loop().time() + patience
        with as_unavailable("remove acknowledged packs"):
            while True:
                try:
                    before = (await self._context.stream_info(STREAM)).state
                    if not before.messages:
                        await self._context.purge_stream(STREAM, seq=before.last_seq + 1)
                        after = (await self._context.stream_info(STREAM)).state
                        if not after.messages and after.last_seq == before.last_seq:
                            return True
                except StreamNotFoundError:
                    return True
                if asyncio.get_running_loop().time() > deadline:
                    return False
                await asyncio.sleep(0.1)

    async def aclose(self) -> None:
        """Close the connection."""
        await close(self._client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _publish(self, pack: list[bytes]) -> None:
        with as_unavailable("publish a pack"):
            await publish(self._context, SUBJECT, encode_pack(pack), _name(pack))

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_SECONDS,
            max_ack_pending=MAX_ACK_PENDING,
            filter_subject=SUBJECT,
        )
        return await self._context.pull_subscribe(SUBJECT, durable=CONSUMER, stream=STREAM, config=config)

    async def _delivery(self, message: Msg) -> Delivery:
        if is_manifest(message):
            found = await self._parts.record(message.data)
            if found is None:
                return Delivery([message.data], message)
            return Delivery([found.record], message, found.parts, self._parts)
        try:
            return Delivery(decode_pack(message.data), message)
        except CorruptEventError:
            return Delivery([message.data], message)


def _name(pack: list[bytes]) -> str:
    """The message id of a pack: of its records' beginnings, where each has its own id, and their lengths."""
    hasher = hashlib.blake2b(digest_size=32)
    for record in pack:
        hasher.update(b"%d:%b" % (len(record), record[:64]))
    return hasher.hexdigest()
