"""The stream between gateway and ingest, and the format of what travels on it: nothing lost, nothing left over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from datetime import timedelta
from uuid import UUID

import pytest

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.errors import CorruptEventError, UnavailableError
from regraft.infra.nats.codec import decode_exchange, decode_pack, encode_exchange, encode_pack
from regraft.infra.nats.messages import STREAM, SUBJECT
from regraft.infra.nats.record_parts import PARTS_HEADER
from regraft.infra.nats.stream import CallStream
from support.gateways import CHAT, abandoned


def exchange_of(**changes):
    values = {
        "event_id": UUID(int=7),
        "scope": "default",
        "endpoint": CHAT,
        "upstream": "u",
        "upstream_pin": "",
        "started_ns": 1,
        "first_byte_ns": None,
        "duration_ns": 2,
        "request_body": b"{}",
        "status": 200,
        "response_type": "application/json",
        "response_encoding": "",
        "response_body": b"",
    }
    return Exchange(**{**values, **changes})


def test_exchanges_come_back_as_they_were():
    for exchange in (
        exchange_of(),
        exchange_of(request_body=b"a" * 10_000, response_body=os.urandom(10_000), first_byte_ns=5),
        exchange_of(request_body=os.urandom(600), response_body=b"b" * 600, cut="client", error="é"),
        exchange_of(
            identity=Identity(session="s", purpose="judge"), response_encoding="gzip", response_body=b"c" * 999
        ),
    ):
        assert decode_exchange(encode_exchange(exchange)) == exchange
    assert len(encode_exchange(exchange_of(request_body=b"a" * 10_000))) < 300


@pytest.mark.parametrize(
    "damage", [b"", b"\x00", b"nonsense", b"\x93\x01\x02\x03", encode_exchange(exchange_of())[:-3]]
)
def test_a_damaged_event_is_a_corrupt_event(damage):
    with pytest.raises(CorruptEventError):
        decode_exchange(damage)


def test_packs():
    records = [b"", b"a", os.urandom(1000)]
    assert decode_pack(encode_pack(records)) == records
    for damage in (b"", b"RGP1\x01", b"RGP1\x05\x00\x00\x00abc"):
        if damage:
            with pytest.raises(CorruptEventError):
                decode_pack(damage)


async def all_of(stream, records):
    """The deliveries of these very records, each once; they may come in several fetches."""
    found = []
    while sum(len(each.records) for each in found) < len(records):
        fetched = await stream.fetch(10, 10)
        assert fetched
        found += fetched
    digests = sorted(hashlib.sha256(record).hexdigest() for each in found for record in each.records)
    assert digests == sorted(hashlib.sha256(record).hexdigest() for record in records)
    return found


def test_the_stream_keeps_packs_until_acknowledged_and_takes_any_size(nats_server):
    async def main():
        async with await CallStream.connect(nats_server.url) as stream:
            await stream.ensure()
            await stream.ensure()
            large = os.urandom(20 << 20)
            records = [b"a", os.urandom(5 << 20), os.urandom(5 << 20), large, b"z"]
            await stream.publish_pack(records)
            await stream.publish_pack(records)  # within the window: once
            first = await all_of(stream, records)
            for delivery in first:
                await delivery.nak()
            again = await all_of(stream, records)
            for delivery in again:
                await delivery.ack()
            assert await stream.waiting() == 0
            assert await stream.fetch(1, 0.2) == []

    asyncio.run(main())


def test_a_foreign_message_reaches_the_quarantine_as_its_bytes(nats_server):
    async def main():
        async with await CallStream.connect(nats_server.url) as stream:
            await stream.ensure()
            await stream._context.publish("regraft.calls", b"what is this")
            (delivery,) = await stream.fetch(10, 2)
            assert delivery.records == [b"what is this"]
            await delivery.ack()

    asyncio.run(main())


def test_no_nats_is_one_clear_error():
    with pytest.raises(UnavailableError, match=r"^NATS at nats://127\.0\.0\.1:1 cannot be reached: "):
        asyncio.run(CallStream.connect("nats://user:password@127.0.0.1:1"))


# Parts of large records


def test_parts_of_a_publisher_that_died_are_swept_and_those_of_a_waiting_record_are_not(nats_server):
    async def main():
        await abandoned(nats_server.url)
        async with await CallStream.connect(nats_server.url) as stream:
            left = await stream.waiting()
            assert await stream.sweep_parts() == 0, "the publisher may live yet"
            await asyncio.sleep(3.2)
            large = os.urandom(20 << 20)
            await stream.publish_pack([large])
            await asyncio.sleep(3.2)
            # Every part is older than the grace by now, but the large record's manifest waits.
            assert await stream.sweep_parts(timedelta(seconds=3)) == left
            (delivery,) = await stream.fetch(10, 5)
            assert delivery.records == [large]
            await delivery.ack()
            assert await stream.waiting() == 0

    asyncio.run(main())


def test_parts_whose_manifest_was_acknowledged_by_a_process_that_died_then_are_swept(nats_server):
    async def main():
        async with await CallStream.connect(nats_server.url) as stream:
            await stream.ensure()
            await stream.publish_pack([os.urandom(20 << 20)])
            (delivery,) = await stream.fetch(10, 5)
            await delivery._message.ack_sync(timeout=5.0)
            assert await stream.waiting() == 3
            assert await stream.sweep_parts(timedelta(0)) == 3
            assert await stream.waiting() == 0

    asyncio.run(main())


def test_a_publisher_that_comes_back_goes_on_with_the_parts_that_are_there(nats_server):
    async def main():
        record = await abandoned(nats_server.url)
        async with await CallStream.connect(nats_server.url) as stream:
            await stream.publish_pack([record])
            assert await stream.waiting() == -(-len(record) // stream.max_message) + 1, "no part is there twice"
            (delivery,) = await stream.fetch(10, 5)
            assert delivery.records == [record]
            await delivery.ack()
            assert await stream.waiting() == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    "manifest",
    [
        b"no JSON",
        b"[1, 2]",
        b"null",
        b"[" * 100_000,
        b'{"parts": [%(parts)s]}',
        b'{"record": "%(record)s", "parts": [%(parts)s]}',
        b'{"record": "%(record)s", "bytes": %(bytes)d}',
        b'{"record": "%(record)s", "bytes": %(bytes)d, "parts": []}',
        b'{"record": "%(record)s", "bytes": %(bytes)d, "parts": [%(parts)s, %(other)d]}',
        b'{"record": "%(record)s", "bytes": %(bytes)d, "parts": [%(parts)s, %(parts)s]}',
        b'{"record": "%(record)s", "bytes": %(bytes)d, "parts": ["%(parts)s"]}',
        b'{"record": "%(record)s", "bytes": 7, "parts": [%(parts)s]}',
        b'{"record": "../%(record)s", "bytes": %(bytes)d, "parts": [%(parts)s]}',
        b'{"record": "%(record)s", "bytes": %(bytes)d, "parts": [%(parts)s, 999999]}',
        b'{"record": "%(wrong)s", "bytes": %(bytes)d, "parts": [%(other)d]}',
    ],
)
def test_a_wrong_manifest_is_given_out_as_it_is_and_deletes_nothing(nats_server, manifest):
    async def main():
        async with await CallStream.connect(nats_server.url) as stream:
            await stream.ensure()
            record = os.urandom(10 << 20)
            await stream.publish_pack([record])
            (large,) = await stream.fetch(1, 5)
            await stream.publish_pack([b"another call"])
            other = (await stream._context.stream_info(STREAM)).state.last_seq
            known = json.loads(large._message.data)
            named = {
                b"record": known["record"].encode(),
                b"bytes": known["bytes"],
                b"parts": ", ".join(map(str, known["parts"])).encode(),
                b"other": other,
                b"wrong": hashlib.blake2b(b"another", digest_size=32).hexdigest().encode(),
            }
            wrong = manifest % named
            await stream._context.publish(SUBJECT, wrong, headers={PARTS_HEADER: "1"})
            deliveries = {delivery.records[0]: delivery for delivery in await stream.fetch(5, 5)}
            assert deliveries.keys() == {b"another call", wrong}
            await deliveries[wrong].ack()
            await large.nak()
            (again,) = [each for each in await stream.fetch(5, 5) if each.records == [record]]
            await again.ack()
            await deliveries[b"another call"].ack()
            assert await stream.waiting() == 0

    asyncio.run(main())
