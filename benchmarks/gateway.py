"""The gateway against its limit, in one run: calls per CPU second, added latency, CPU per streamed chunk.

Capture is on and real: spool on disk, packs to a NATS server that fsyncs what it acknowledges. The model server is a
bare uvloop protocol; "direct" is the same load without the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from regraft.infra.llm.upstream import UpstreamPool
from regraft.infra.nats.stream import CallStream
from regraft.presentation.gateway.app import serve
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings

RESULTS = Path(__file__).parent / "results"
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
CHUNKS = 200
PATH = "/chat/completions"
TEXT = "The quick brown fox jumps over the lazy dog. "
REQUEST = json.dumps({"model": "m", "messages": [{"role": "user", "content": TEXT * 43}]}).encode()
STREAMED = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": TEXT * 43}]}).encode()
HEADERS = [
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"authorization", b"Bearer sk-0123456789"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 2.0"),
    (b"x-regraft-session", b"bench"),
]
ANSWER = json.dumps({"id": "c", "object": "chat.completion", "choices": [{"message": {"content": TEXT * 20}}]}).encode()
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" fox"}}]}\n\n'


class ModelServer(asyncio.Protocol):
    """Answers every POST at once: about 1 KB, or CHUNKS events one write each."""

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = b""

    def data_received(self, data):
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        self.buffer = b""
        if b'"stream"' in body[:40]:
            self.task = asyncio.get_running_loop().create_task(self.stream())
            return
        start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
        self.transport.write(start + ANSWER)

    async def stream(self):
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        piece = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
        for _ in range(CHUNKS):
            await asyncio.sleep(0.002)
            self.transport.write(piece)
        self.transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


def model_server(port):
    async def main():
        server = await asyncio.get_running_loop().create_server(ModelServer, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(main())


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(*command, port):
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(400):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


async def load(port, concurrency, seconds, body=REQUEST):
    """Calls made and their latencies in milliseconds."""
    pool = UpstreamPool(f"http://127.0.0.1:{port}/v1", max_idle=1024)
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def client():
        while (began := time.perf_counter()) < until:
            response = await pool.send("POST", PATH, HEADERS, body)
            await response.read()
            times.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(client() for _ in range(concurrency)))
    await pool.aclose()
    return times


async def measure(server_pid, server_port, gateway_pid, gateway_port):
    await load(gateway_port, 16, 1.0)
    rows = []
    for concurrency in (1, 16, 64):
        direct = await load(server_port, concurrency, SECONDS / 2)
        before, began = cpu_seconds(gateway_pid), time.perf_counter()
        through = await load(gateway_port, concurrency, SECONDS)
        spent, wall = cpu_seconds(gateway_pid) - before, time.perf_counter() - began
        rows.append(
            {
                "concurrency": concurrency,
                "calls_per_cpu_second": round(len(through) / spent),
                "calls_per_second": round(len(through) / wall),
                "p50_ms": round(statistics.median(through), 3),
                "direct_p50_ms": round(statistics.median(direct), 3),
                "added_p50_ms": round(statistics.median(through) - statistics.median(direct), 3),
            }
        )
    before = cpu_seconds(gateway_pid)
    streams = await load(gateway_port, 16, SECONDS, STREAMED)
    spent = cpu_seconds(gateway_pid) - before
    return {"calls": rows, "cpu_us_per_streamed_chunk": round(spent / (len(streams) * (CHUNKS + 1)) * 1e6, 1)}


async def captured(url):
    async with await CallStream.connect(url) as stream:
        return await stream.waiting()


def main():
    if sys.argv[1:2] == ["model-server"]:
        model_server(int(sys.argv[2]))
        return
    if sys.argv[1:2] == ["gateway"]:
        server_port, port, spool, nats_url = sys.argv[2:]
        upstream = UpstreamSettings(base_url=f"http://127.0.0.1:{server_port}/v1")
        serve(GatewaySettings(upstreams={"m": upstream}, spool=Path(spool), nats_url=nats_url, port=int(port)))
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        nats_port, server_port, gateway_port = free_port(), free_port(), free_port()
        config = Path(folder) / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{nats_port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{folder}/jetstream", sync_interval: always }}\n'
        )
        nats_server = str(Path(sys.executable).parent / "nats-server")
        nats_url = f"nats://127.0.0.1:{nats_port}"
        stack.enter_context(running(nats_server, "-c", str(config), port=nats_port))
        myself = (sys.executable, __file__)
        server_pid = stack.enter_context(running(*myself, "model-server", str(server_port), port=server_port))
        gateway_pid = stack.enter_context(
            running(
                *myself, "gateway", str(server_port), str(gateway_port), f"{folder}/spool", nats_url, port=gateway_port
            )
        )
        result = uvloop.run(measure(server_pid, server_port, gateway_pid, gateway_port))
        result["packs_in_stream"] = uvloop.run(captured(nats_url))
    result["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    print(f"{'concurrency':>11} {'calls/CPU-s':>12} {'calls/s':>9} {'p50 ms':>8} {'direct ms':>10} {'added ms':>9}")
    for row in result["calls"]:
        print(
            f"{row['concurrency']:>11} {row['calls_per_cpu_second']:>12} {row['calls_per_second']:>9} "
            f"{row['p50_ms']:>8} {row['direct_p50_ms']:>10} {row['added_p50_ms']:>9}"
        )
    print(f"CPU per streamed chunk: {result['cpu_us_per_streamed_chunk']} us")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gateway.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
