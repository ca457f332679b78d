"""The stream between gateway and ingest: packs of captured calls in NATS JetStream, deleted when ingest acknowledged.

JetStream acknowledges before it fsyncs unless the server runs with ``sync_interval: always``: run it so. One message is
one pack. A record too large for a message is stored as parts on a second subject that no consumer reads; a manifest
that names them travels in the pack's place, so that any ingest process can put the record together.

Parts are deleted with the acknowledgement of their manifest. A publisher that dies before its manifest, or an ingest
process that dies after its acknowledgement, leaves parts that nothing names: ``sweep_parts`` finds and deletes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import TracebackType
from typing import Self

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RawStreamMsg,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError as StreamNotFoundError

from regraft.domain.errors import CorruptEventError, UnavailableError
from regraft.infra.nats.codec import decode_pack, encode_pack
from regraft.infra.nats.manifest import read_manifest
from regraft.infra.nats.servers import server_urls, without_passwords
from regraft.infra.nats.state import Replication, StreamProgress

STREAM = "REGRAFT_CALLS"
SUBJECT = "regraft.calls"
PART_SUBJECT = "regraft.parts"
CONSUMER = "ingest"
MAX_MESSAGE = 8 << 20
MESSAGE_MARGIN = 64 << 10  # headers, ours and the server's
PARTS_HEADER = "Regraft-Parts"
DUPLICATE_SECONDS = 120
ACK_SECONDS = 20.0  # a killed ingest process delays its packs by this much; a batch takes well under a second
MAX_ACK_PENDING = 512  # packs
_FETCH_BYTES = 64 << 20  # of calls, after which no more are given out at once
# A manifest follows its parts within this time, or never: a publisher that repeats a part within the duplicate window
# gets the old one, and then needs seconds for the rest. It must be longer than that window by far.
PART_GRACE = timedelta(hours=1)

_NATS_ERRORS = (nats.errors.Error, OSError, TimeoutError, asyncio.TimeoutError)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One pack to be stored. ``ack`` after the commit; ``nak`` to get it again at once; neither: again after 20 s."""

    records: list[bytes]
    _stream: CallStream
    _message: Msg
    _parts: tuple[int, ...] = ()

    async def ack(self) -> None:
        """The records are safe: the stream may forget them. Raises UnavailableError (they will come again then)."""
        with as_unavailable("acknowledge a pack"):
            await self._message.ack_sync(timeout=5.0)
        await self._stream.forget_parts(self._parts)

    async def nak(self, delay: float | None = None) -> None:
        """Ask for the pack again, after ``delay`` seconds."""
        with as_unavailable("refuse a pack"):
            await self._message.nak(delay=delay)


class CallStream:
    """A connection to the stream. Every method raises UnavailableError while NATS cannot be reached."""

    def __init__(self, client: Client, context: JetStreamContext) -> None:
        self._client = client
        self._context = context
        self._pull: JetStreamContext.PullSubscription | None = None
        self._fetched: deque[Msg] = deque()

    @classmethod
    async def connect(cls, url: str, *, timeout: float = 2.0, reconnect: bool = False) -> Self:
        """Connect to any of the servers, or raise UnavailableError within ``timeout`` seconds for each of them.

        Without ``reconnect`` a lost connection stays lost, and the caller connects again at its own pace; of several
        servers that is to one that answers.
        """
        return cls(*await cls.connect_client(url, timeout=timeout, reconnect=reconnect))

    @staticmethod
    async def connect_client(
        url: str, *, timeout: float = 2.0, reconnect: bool = False
    ) -> tuple[Client, JetStreamContext]:
        """The client of a connection, and its JetStream context: for other streams."""
        client = Client()
        try:
            servers = server_urls(url)
        except ValueError as error:
            raise UnavailableError(f"NATS cannot be reached: {error}") from error
        said: list[Exception] = []

        async def note(error: Exception) -> None:
            said[:] = [error]
            log.debug("nats: %s", error)

        try:
            async with asyncio.timeout(timeout * len(servers)):
                await client.connect(
                    servers,
                    name="regraft",
                    allow_reconnect=reconnect,
                    max_reconnect_attempts=1,  # with 0 or less the first connect would try for ever
                    reconnect_time_wait=1 if reconnect else 0,
                    connect_timeout=max(1, int(timeout)),
                    ping_interval=20,
                    error_cb=note,
                )
        except _NATS_ERRORS as error:
            with contextlib.suppress(*_NATS_ERRORS):
                await client.close()
            why = _reason(said[0] if said else error)
            raise UnavailableError(f"NATS at {without_passwords(url)} cannot be reached: {why}") from error
        if reconnect:
            client.options["max_reconnect_attempts"] = -1
        return client, client.jetstream(timeout=5.0)

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
                await self._publish(SUBJECT, encode_pack(pack), {}, _name(pack))
                pack, size = [], 4
            if size + need > room:
                await self._publish_parts(record, room)
            else:
                pack.append(record)
                size += need
        if pack:
            await self._publish(SUBJECT, encode_pack(pack), {}, _name(pack))

    async def fetch(self, batch: int, timeout: float) -> list[Delivery]:
        """Up to ``batch`` packs, or none after ``timeout`` seconds.

        A message that is no readable pack is given out as a single record, its bytes, for the quarantine.
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
                oldest = await self._next(SUBJECT, 0)
            except StreamNotFoundError:
                return StreamProgress(packs=0, oldest=None, redelivered=0)
            redelivered = 0
            with contextlib.suppress(StreamNotFoundError):  # the consumer: ingest never ran
                redelivered = (await self._context.consumer_info(STREAM, CONSUMER)).num_redelivered or 0
        return StreamProgress(
            packs=(state.subjects or {}).get(SUBJECT, 0),
            oldest=_time(oldest) if oldest is not None else None,
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
        """Delete parts that no manifest names any more, or ever will; returns how many. Safe beside everything else.

        A part is named by a manifest that came at most ``grace`` after it. So it is left over when it is older than
        that, and when the oldest message that waits for ingest came more than ``grace`` after it: its manifest was
        acknowledged or never written. Clocks of this machine and the server may differ by less than ``grace``.
        """
        deleted = 0
        with as_unavailable("sweep parts of large records"):
            waiting = await self._context.stream_info(STREAM, subjects_filter=PART_SUBJECT)
            if not (waiting.state.subjects or {}).get(PART_SUBJECT):
                return 0
            now = datetime.now(UTC)  # before the look at what waits: a manifest written after it has younger parts
            oldest = await self._next(SUBJECT, 0)
            limit = now - grace if oldest is None else min(now, _time(oldest)) - grace
            sequence = 0
            while part := await self._next(PART_SUBJECT, sequence):
                if part.seq is None or _time(part) >= limit:
                    break
                sequence = part.seq
                with contextlib.suppress(StreamNotFoundError):
                    await self._context.delete_msg(STREAM, sequence)
                    deleted += 1
        return deleted

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

    async def forget_parts(self, parts: tuple[int, ...]) -> None:
        with as_unavailable("delete the parts of a large record"):
            for sequence in parts:
                with contextlib.suppress(StreamNotFoundError):
                    await self._context.delete_msg(STREAM, sequence)

    async def aclose(self) -> None:
        """Close the connection."""
        with contextlib.suppress(*_NATS_ERRORS):
            await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, str], message_id: str) -> int:
        headers["Nats-Msg-Id"] = message_id
        with as_unavailable("publish a pack"):
            acknowledged = await self._context.publish(subject, payload, stream=STREAM, headers=headers)
        return acknowledged.seq

    async def _publish_parts(self, record: bytes, room: int) -> None:
        name = hashlib.blake2b(record, digest_size=32).hexdigest()
        parts = [
            await self._publish(PART_SUBJECT, record[start : start + room], {}, f"{name}-{room}-{start}")
            for start in range(0, len(record), room)
        ]
        manifest = json.dumps({"record": name, "bytes": len(record), "parts": parts}).encode()
        await self._publish(SUBJECT, manifest, {PARTS_HEADER: str(len(parts))}, name)

    async def _next(self, subject: str, sequence: int) -> RawStreamMsg | None:
        """The first message of a subject behind a sequence."""
        try:
            return await self._context.get_msg(STREAM, seq=sequence + 1, subject=subject, next=True, direct=True)
        except StreamNotFoundError:
            return None

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_SECONDS,
            max_ack_pending=MAX_ACK_PENDING,
            filter_subject=SUBJECT,
        )
        return await self._context.pull_subscribe(SUBJECT, durable=CONSUMER, stream=STREAM, config=config)

    async def _delivery(self, message: Msg) -> Delivery:
        if message.headers and PARTS_HEADER in message.headers:
            return await self._assembled(message)
        try:
            return Delivery(decode_pack(message.data), self, message)
        except CorruptEventError:
            return Delivery([message.data], self, message)

    async def _assembled(self, message: Msg) -> Delivery:
        """The record that a manifest names; a manifest that is wrong in any way is given out itself, for quarantine.

        Only parts that were published for this very record are deleted with its acknowledgement.
        """
        unreadable = Delivery([message.data], self, message)
        manifest = read_manifest(message.data)
        if manifest is None:
            return unreadable
        record = BytesIO()  # gives its bytes without another copy of them
        for sequence in manifest.parts:
            try:
                part = await self._context.get_msg(STREAM, sequence, direct=True)
            except StreamNotFoundError:
                return unreadable
            published_as = (part.headers or {}).get("Nats-Msg-Id", "")
            if part.subject != PART_SUBJECT or not published_as.startswith(f"{manifest.record}-"):
                return unreadable
            record.write(part.data or b"")
            if record.tell() > manifest.bytes:
                return unreadable
        whole = record.getvalue()
        if len(whole) != manifest.bytes or hashlib.blake2b(whole, digest_size=32).hexdigest() != manifest.record:
            return unreadable
        return Delivery([whole], self, message, manifest.parts)


def _name(pack: list[bytes]) -> str:
    """The message id of a pack: of its records' beginnings, where each has an id of its own, and their lengths."""
    hasher = hashlib.blake2b(digest_size=32)
    for record in pack:
        hasher.update(b"%d:%b" % (len(record), record[:64]))
    return hasher.hexdigest()


def _time(message: RawStreamMsg) -> datetime:
    assert message.time is not None  # the server always says it
    return message.time


@contextlib.contextmanager
def as_unavailable(what: str) -> Iterator[None]:
    """Raise a fault of NATS as UnavailableError: "NATS did not ``what``"."""
    try:
        yield
    except _NATS_ERRORS as error:
        raise UnavailableError(f"NATS did not {what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
