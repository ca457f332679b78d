"""A NATS cluster of three under load, with three ingest processes: what is killed loses no call and doubles none."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from regraft.domain.errors import UnavailableError
from regraft.flows.capture.backlog import capture_backlog
from regraft.flows.connections import check_stream
from regraft.infra.nats.fact_stream import FactStream
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.pool import connect
from support.gateways import BODY, CHAT, GATEWAY_PROCESS, Upstream, free_port
from support.nats_cluster import NatsCluster
from support.scripted_upstream import plain
from support.waiting import until

ANSWER = b'{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"}}]}'
# Arguments: the database, the stream.
INGEST_PROCESS = """
import asyncio, signal, sys
from regraft.flows.capture.consume import consume
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await consume(sys.argv[1], sys.argv[2], stop, replicas=3)
asyncio.run(main())
"""


@pytest.fixture
def cluster(tmp_path):
    with NatsCluster(tmp_path) as servers:
        yield servers


class Load:
    """A gateway process and clients that call it until told to stop."""

    def __init__(self, arguments):
        self.port = free_port()
        command = [sys.executable, "-c", GATEWAY_PROCESS, *arguments, str(self.port)]
        self.process = subprocess.Popen(command)
        self.answered = []
        self.stopping = threading.Event()
        self.clients = [threading.Thread(target=self._talk) for _ in range(4)]

    def _talk(self):
        while not self.stopping.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            with suppress(ConnectionRefusedError):  # it has not started yet
                while not self.stopping.is_set():
                    connection.request("POST", CHAT, BODY)
                    response = connection.getresponse()
                    response.read()
                    self.answered.append(response.headers["x-regraft-turn"])
                    time.sleep(0.005)
            connection.close()

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.quiet()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    def more(self, calls):
        wanted = len(self.answered) + calls
        until(lambda: len(self.answered) >= wanted, 60)

    def quiet(self):
        self.stopping.set()
        for client in self.clients:
            client.join()


def ingesting(dsn, url):
    return subprocess.Popen([sys.executable, "-c", INGEST_PROCESS, dsn, url])


@contextmanager
def under_load(cluster, dsn, folder):
    """The load, and three processes that store it."""
    asyncio.run(make_stream(cluster.url))
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream(lambda seen: plain(200, ANSWER)))
        ingests = [ingesting(dsn, cluster.url) for _ in range(3)]
        stack.callback(end, ingests)
        load = stack.enter_context(Load([upstream.base_url, str(folder / "spool"), cluster.url]))
        load.more(100)
        until(lambda: stored(dsn))
        yield load, ingests


async def make_stream(url):
    async with await CallStream.connect(url) as stream:
        await stream.ensure(replicas=3)


def end(processes):
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(30)


def stored(dsn):
    """The turns that were stored, each as often as it was."""
    with connect(dsn, autocommit=True) as connection:
        return [str(row["event_id"]) for row in connection.execute("SELECT event_id FROM pipeline_event_inbox")]


def all_are_stored_once(dsn, load):
    load.quiet()
    until(lambda: len(stored(dsn)) >= len(load.answered), 120)
    found = stored(dsn)
    assert sorted(found) == sorted(load.answered)
    with connect(dsn, autocommit=True) as connection:
        turns = connection.execute("SELECT count(*) AS turns FROM session_turn").fetchone()["turns"]
    assert turns == len(load.answered)


def test_the_leader_and_an_ingest_process_are_killed_under_load(cluster, truth, tmp_path):
    with under_load(cluster, truth, tmp_path) as (load, ingests):
        leader = cluster.leader()
        leader.kill()
        load.more(300)
        ingests[0].kill()
        assert cluster.leader() is not leader
        load.more(300)
        leader.start()
        cluster.until_healthy()
        load.more(100)
        all_are_stored_once(truth, load)
        until(lambda: capture_backlog(tmp_path / "spool", cluster.url).stream_packs == 0)


def test_a_second_server_that_is_killed_stops_storing_until_one_is_back(cluster, truth, tmp_path):
    with under_load(cluster, truth, tmp_path) as (load, _):
        leader = cluster.leader()
        first, second = (server for server in cluster.servers if server is not leader)
        first.kill()
        load.more(200)
        second.kill()
        with pytest.raises(UnavailableError):
            asyncio.run(publish(cluster.url))
        load.more(200)
        before = len(stored(truth))
        load.more(200)
        assert len(stored(truth)) == before
        assert before < len(load.answered)
        first.start()
        all_are_stored_once(truth, load)


async def publish(url):
    """Raises UnavailableError where the cluster cannot store a pack."""
    async with await CallStream.connect(url) as stream:
        await stream.publish_pack([os.urandom(8)])


def test_a_stream_of_one_server_spreads_over_the_cluster_and_stays_there(cluster):
    async def alone():
        async with await CallStream.connect(cluster.url) as stream:
            await stream.ensure()
            assert (await stream.replication()).replicas == 1
            await stream.publish_pack([b"a"])

    async def spread():
        async with await CallStream.connect(cluster.url) as stream:
            await stream.ensure(replicas=3)
            await stream.ensure()
            assert (await stream.replication()).replicas == 3

    async def facts():
        stream = await FactStream.connect(cluster.url)
        try:
            await stream.ensure()
            assert (await stream._context.stream_info("REGRAFT_FACTS")).config.num_replicas == 3
        finally:
            await stream.aclose()

    for work in (alone, spread, facts):
        patiently(work)
    until(lambda: answered(cluster.url).stored.complete == 3)
    cluster.leader().kill()
    assert cluster.leader().process  # another one, once it was elected
    check = answered(cluster.url)
    assert (check.servers, len(check.away)) == (3, 1)
    assert "pass" not in check.away[0]

    async def rest():
        async with await CallStream.connect(cluster.url) as stream:
            (delivery,) = await stream.fetch(1, 5)
            assert delivery.records == [b"a"]
            await delivery.ack()

    patiently(rest)


def patiently(work):
    """Run a coroutine function, again while the servers elect who leads."""
    done = []

    def attempt():
        with suppress(UnavailableError, TimeoutError):
            asyncio.run(work())
            done.append(True)
        return done

    until(attempt)


def answered(url):
    """The state of the stream, once its servers have elected who leads."""
    found = []

    def ask():
        with suppress(UnavailableError):
            found.append(check_stream(url))
        return found

    until(ask)
    return found[0]


def is_behind(url):
    """Whether one of the servers lacks calls; not known while they elect who leads."""
    with suppress(UnavailableError):
        return check_stream(url).stored.behind


def test_doctor_says_which_server_is_away_and_where_calls_are_stored(cluster, truth, tmp_path):
    def findings():
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")},
            "REGRAFT_NATS__URL": cluster.url,
            "REGRAFT_POSTGRES__DSN": truth,
            "REGRAFT_DATA_DIR": str(tmp_path / "data"),
        }
        command = [sys.executable, "-m", "regraft", "doctor", "--json"]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "pass,word" not in done.stdout + done.stderr
        return {each["what"]: each["level"] for each in json.loads(done.stdout)}

    async def main():
        async with await CallStream.connect(cluster.url) as stream:
            await stream.ensure()

    asyncio.run(main())
    assert findings()["Captured calls in the stream are stored on only one server of the cluster."] == "warning"
    asyncio.run(make_stream(cluster.url))
    until(lambda: answered(cluster.url).stored.complete == 3)
    leader = cluster.leader()
    assert findings()[f"the stream of nats.url answers and is stored on 3 servers, led by {leader.name}"] == "ok"
    away = next(server for server in cluster.servers if server is not leader)
    away.kill()
    until(lambda: is_behind(cluster.url))
    found = findings()
    assert found[f"1 of 3 servers do not have all captured calls: {away.name}."] == "warning"
    assert any(f"NATS at nats://127.0.0.1:{away.port} cannot be reached" in what for what in found)
