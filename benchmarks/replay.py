"""A replay of 1,000 jobs, 64 at once, against a model server that takes 50 ms: the time beside the least possible.

Least possible is jobs x latency / concurrency. Measured is all of it: the plan stored, calls captured through the
gateway, the stream and ingest, and every answer in the graph. Gateway and ingest are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import UUID

import uvloop
from gateway import ANSWER, RESULTS, free_port, running

from regraft.domain.replay import Variant
from regraft.flows import lineage, replay
from regraft.flows.arrival import wait_for
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import EmbeddedPostgres
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

JOBS, CONCURRENCY, LATENCY = 1000, 64, 0.05
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
TARGET = 1.2


class SlowServer(asyncio.Protocol):
    """Answers every POST after LATENCY, never twice the same."""

    answered = 0

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = b""

    def data_received(self, data):
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        self.buffer = b""
        asyncio.get_running_loop().call_later(LATENCY, self.answer)

    def answer(self):
        SlowServer.answered += 1
        body = ANSWER.replace(b"The quick", b"The %d. quick" % SlowServer.answered, 1)
        start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(start + body)


def slow_server(port):
    async def main():
        server = await asyncio.get_running_loop().create_server(SlowServer, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(main())


def asked_once(port, number):
    """A node to grow again."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"round {number}"}]})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        return UUID(response.headers["x-regraft-turn"])


def main():
    if sys.argv[1:2] == ["slow-server"]:
        slow_server(int(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o755)
        postgres, nats = EmbeddedPostgres(Path(folder) / "data"), EmbeddedNats(Path(folder) / "data")
        dsn, nats_url = postgres.start().dsn, nats.start().url
        stack.callback(postgres.stop)
        stack.callback(nats.stop)
        with connect(dsn, autocommit=True) as connection:
            migrate(connection)
        server_port, port = free_port(), free_port()
        stack.enter_context(running(sys.executable, __file__, "slow-server", str(server_port), port=server_port))
        gateway = (sys.executable, str(Path(__file__).with_name("gateway.py")), "gateway")
        stack.enter_context(running(*gateway, str(server_port), str(port), f"{folder}/spool", nats_url, port=port))
        environment = {
            **os.environ,
            "REGRAFT_DATA_DIR": folder,
            "REGRAFT_POSTGRES__DSN": dsn,
            "REGRAFT_NATS__URL": nats_url,
            "REGRAFT_UPSTREAMS": json.dumps({"m": {"base_url": f"http://127.0.0.1:{server_port}/v1"}}),
        }
        ingest = subprocess.Popen([sys.executable, "-m", "regraft", "ingest"], env=environment, cwd=folder)
        stack.callback(ingest.wait)
        stack.callback(ingest.terminate)
        ratios = []
        for number in range(ROUNDS):
            turn = asked_once(port, number)
            wait_for(dsn, [turn])
            lineage.build(dsn)
            with connect(dsn) as connection:
                rows = connection.execute("SELECT node_id FROM session_turn WHERE turn_id = %s", (turn,)).fetchall()
            planned = replay.prepare(dsn, [rows[0]["node_id"]], [Variant()], JOBS)
            counts = replay.run(dsn, f"http://127.0.0.1:{port}", planned, CONCURRENCY)
            assert (counts.ran, counts.failures) == (JOBS, []), counts.failures[:1]
            ratios.append(counts.seconds / (JOBS * LATENCY / CONCURRENCY))
            print(f"round {number}: {counts.seconds:.2f} s", flush=True)
    best = min(ratios)
    verdict = "met" if best <= TARGET else "MISSED"
    print(f"replay of {JOBS} jobs / least possible {best:.2f}   target <= {TARGET} {verdict}")
    RESULTS.mkdir(exist_ok=True)
    result = {"jobs": JOBS, "concurrency": CONCURRENCY, "latency_s": LATENCY, "ratios": ratios, "cpus": os.cpu_count()}
    (RESULTS / "replay.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
