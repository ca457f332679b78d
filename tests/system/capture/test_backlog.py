"""Captured calls that are not stored yet are visible, with their age, wherever they wait."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from regraft.flows.capture.backlog import capture_backlog
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.spool.backlog import spool_backlog
from regraft.infra.spool.reader import SpoolReader
from regraft.infra.spool.writer import Spool


def test_a_folder_that_is_not_there_holds_no_backlog(tmp_path):
    assert spool_backlog(tmp_path / "none").bytes == 0
    assert capture_backlog(tmp_path / "none", None).seconds == 0.0


def test_a_spool_shows_its_bytes_until_they_are_delivered_and_for_how_long_nothing_was(tmp_path, calls):
    spool = Spool(tmp_path)
    spool.append_records([[encode_exchange(calls())]])
    spool.append_records([[encode_exchange(calls())]])
    reader = SpoolReader(spool.home)
    first = reader.read_pack(max_records=1)
    whole = spool_backlog(tmp_path).bytes
    reader.acknowledge(first)
    half = spool_backlog(tmp_path)
    assert 0 < half.bytes < whole
    os.utime(spool.home / "cursor", (time.time() - 300, time.time() - 300))
    assert 299 < capture_backlog(tmp_path, None).spool_seconds < 330
    reader.acknowledge(reader.read_pack())
    assert spool_backlog(tmp_path).bytes == 0
    assert capture_backlog(tmp_path, None).spool_seconds == 0.0


def test_a_call_that_comes_after_a_long_silence_is_no_stall(tmp_path, calls):
    spool = Spool(tmp_path)
    reader = SpoolReader(spool.home)
    spool.append_records([[encode_exchange(calls())]])
    reader.acknowledge(reader.read_pack())
    os.utime(spool.home / "cursor", (time.time() - 600, time.time() - 600))
    spool.append_records([[encode_exchange(calls())]])
    spool.append_records([[encode_exchange(calls())]])
    delivery = threading.Timer(0.2, lambda: reader.acknowledge(reader.read_pack(max_records=1)))
    delivery.start()
    found = capture_backlog(tmp_path, None)
    delivery.join()
    assert found.spool_bytes > 0
    assert found.spool_seconds < 60


def test_the_stream_shows_its_packs_their_age_and_how_many_came_again(tmp_path, nats_url, calls):
    async def publish(count):
        async with await CallStream.connect(nats_url) as stream:
            await stream.ensure()
            before = (await stream.progress()).packs
            for _ in range(count):
                await stream.publish_pack([encode_exchange(calls())])
            return before

    before = asyncio.run(publish(3))
    time.sleep(0.05)
    found = capture_backlog(tmp_path, nats_url)
    assert found.stream_packs == before + 3
    assert found.stream_seconds > 0.0

    async def store():
        async with await CallStream.connect(nats_url) as stream:
            for delivery in await stream.fetch(before + 3, 2.0):
                await delivery.ack()

    asyncio.run(store())
    assert capture_backlog(tmp_path, nats_url).stream_packs == 0


@pytest.mark.parametrize("url", ["nats://127.0.0.1:1"])
def test_a_stream_that_cannot_be_reached_is_no_figure(tmp_path, url):
    assert capture_backlog(tmp_path, url).stream_packs is None
