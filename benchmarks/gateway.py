"""The gateway against its limit and its peers, in one run: calls per CPU second, added latency, CPU per streamed chunk.

Capture is on and real: spool on disk, packs to a NATS server that fsyncs what it acknowledges. The model server is a
bare uvloop protocol; "added" is against the same load without a gateway. ``--peers`` measures other gateways beside.
Then the stream alone, and ingest against a bare COPY of the same bytes.
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
import uuid
from pathlib import Path

import uvloop
from _peers import PEERS, AbsentError, Contender
from _postgres import temporary_postgres
from _server import Answering, serve_forever

from regraft.domain.capture.exchange import Exchange
from regraft.domain.errors import UpstreamError
from regraft.domain.ids import time_ordered_uuid
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.infra.llm.upstream import UpstreamPool
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.pool import connect
from regraft.presentation.gateway.app import serve
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings

RESULTS = Path(__file__).parent / "results"
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CONCURRENCIES = (1, 16, 64)
STREAMS, CHUNKS, PACE = 64, 100, 0.02
RECORDS, PACK = 20_500, 64
PATIENCE = 90.0  # seconds for a round
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
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": TEXT * 20, "refusal": None},
            }
        ],
        "usage": {"prompt_tokens": 400, "completion_tokens": 200, "total_tokens": 600},
    }
).encode()
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":" fox"},"finish_reason":null}]}\n\n'
)


class ModelServer(Answering):
    """Answers every POST at once: about 1 KB, or CHUNKS events one write each."""

    def asked(self, head, body):
        if b'"stream":true' in body.replace(b" ", b""):
            self.task = asyncio.get_running_loop().create_task(self.stream())
            return
        self.say(ANSWER)

    async def stream(self):
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        piece = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
        for _ in range(CHUNKS):
            await asyncio.sleep(PACE)
            self.transport.write(piece)
        self.transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


def model_server(port):
    serve_forever(ModelServer, port)


def family(pid):
    """The process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(pid, below=True):
    """Processor time of a process and its children (or without them), to the nanosecond."""
    total = 0
    for each in family(pid) if below else [pid]:
        for task in Path(f"/proc/{each}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


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


async def load(one, concurrency, seconds, streaming=False):
    """Calls made and their latencies in milliseconds."""
    pool = UpstreamPool(f"http://127.0.0.1:{one.port}", max_idle=1024)
    body = (STREAMED if streaming else REQUEST).replace(b'"m"', b'"%b"' % one.model.encode(), 1)
    headers = HEADERS + one.headers
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def client():
        while (began := time.perf_counter()) < until:
            response = await pool.send("POST", one.path, headers, body)
            answer = await response.read()
            assert response.status == 200, answer[:300]
            assert not streaming or answer.count(b"data: ") >= CHUNKS, answer[:300]
            times.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(client() for _ in range(concurrency)))
    await pool.aclose()
    return times


async def once(one, direct):
    """One round: a row for each concurrency, and the cost of a streamed chunk."""
    found = {}
    for concurrency in CONCURRENCIES:
        bare = statistics.median(await load(direct, concurrency, SECONDS / 3))
        before, alone_before = cpu_seconds(one.pid), cpu_seconds(one.pid, below=False)
        times = await load(one, concurrency, SECONDS)
        spent, alone = cpu_seconds(one.pid) - before, cpu_seconds(one.pid, below=False) - alone_before
        tail = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
        found[f"calls_per_cpu_second_{concurrency}"] = len(times) / spent
        if one.name == "Regraft":
            found[f"calls_per_cpu_second_{concurrency}_without_drainer"] = len(times) / alone
        found[f"added_p50_ms_{concurrency}"] = statistics.median(times) - bare
        found[f"p99_ms_{concurrency}"] = tail
    if not one.streams:
        return {**found, "cpu_us_per_chunk": float("nan")}
    before = cpu_seconds(one.pid)
    streams = await load(one, STREAMS, SECONDS, streaming=True)
    found["cpu_us_per_chunk"] = (cpu_seconds(one.pid) - before) / (len(streams) * (CHUNKS + 1)) * 1e6
    return found


async def measure(contenders, direct):
    """Rounds in turn, so that the machine's moods fall on all alike; then the median of each figure."""
    rounds = {one.name: [] for one in contenders}
    for one in contenders:
        await load(one, 8, 1.0)
    for _ in range(ROUNDS):
        for one in contenders:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(PATIENCE):
                    rounds[one.name].append(await once(one, direct))
                print(f"measured {one.name} in {time.perf_counter() - began:.0f} s", flush=True)
            except (TimeoutError, UpstreamError) as error:
                print(f"{one.name} is left out of a round: {error!r}", flush=True)
    return {
        name: {key: round(statistics.median(each[key] for each in found), 3) for key in found[0]}
        for name, found in rounds.items()
        if found
    }


async def stream_rate(url, records):
    """Events a second that the stream acknowledges (and has fsynced), packed as the gateway packs them."""
    async with await CallStream.connect(url) as stream:
        await stream.ensure()
        began = time.perf_counter()
        for start in range(0, len(records), PACK):
            await stream.publish_pack(records[start : start + PACK])
        return len(records) / (time.perf_counter() - began)


def made(number):
    """A captured call whose history is new."""
    at = time.time_ns()
    request = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"{number} {TEXT * 43}"}]}).encode()
    return encode_exchange(
        Exchange(
            event_id=time_ordered_uuid(at // 1_000_000, os.urandom(10)),
            scope="default",
            endpoint="/v1/chat/completions",
            upstream="m",
            upstream_pin="",
            started_ns=at,
            first_byte_ns=1,
            duration_ns=2,
            request_body=request,
            status=200,
            response_type="application/json",
            response_encoding="",
            response_body=ANSWER,
        )
    )


def ingest_rate(records):
    """Calls a second that ingest stores, and rows a second of a bare COPY of the same bytes."""
    with temporary_postgres() as postgres, connect(postgres.database(), autocommit=True) as connection:
        stored = SeenIds()
        ingest(connection, records[:500], stored)
        began = time.perf_counter()
        for start in range(500, len(records), 1000):
            ingest(connection, records[start : start + 1000], stored)
        rate = (len(records) - 500) / (time.perf_counter() - began)
        connection.execute("CREATE TABLE bare (id uuid PRIMARY KEY, body bytea)")
        began = time.perf_counter()
        for start in range(500, len(records), 1000):
            with connection.cursor().copy("COPY bare FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["uuid", "bytea"])
                for record in records[start : start + 1000]:
                    copy.write_row((uuid.uuid4(), record))
        return rate, (len(records) - 500) / (time.perf_counter() - began)


def show(found):
    columns = [f"calls_per_cpu_second_{each}" for each in CONCURRENCIES]
    columns += [f"{name}_{each}" for each in CONCURRENCIES for name in ("added_p50_ms", "p99_ms")] + [
        "cpu_us_per_chunk"
    ]
    short = [name.replace("calls_per_cpu_second_", "/CPU-s@").replace("added_p50_ms_", "+p50@") for name in columns]
    short = [name.replace("p99_ms_", "p99@").replace("cpu_us_per_chunk", "us/chunk") for name in short]
    print(f"{'':<11}" + "".join(f"{name:>11}" for name in short))
    for name, row in found.items():
        print(f"{name:<11}" + "".join(f"{row[column]:>11.{0 if row[column] >= 1000 else 2}f}" for column in columns))
    ours = found["Regraft"].get("calls_per_cpu_second_64_without_drainer")
    print(f"Regraft records every call; the others record none. Without the drainer's CPU: {ours:.0f} /CPU-s@64")


def verdicts(result):
    """Each figure against its target: (what, figure, target, whether it is met)."""
    found, ours = result["gateways"], result["gateways"]["Regraft"]
    rate, added = "calls_per_cpu_second_64", "added_p50_ms_1"
    rows = [("added p50 at 1, ms", ours[added], "<= 0.3", ours[added] <= 0.3)]
    rows.append(("CPU per streamed chunk, us", ours["cpu_us_per_chunk"], "<= 30", ours["cpu_us_per_chunk"] <= 30))
    for name, times in (("TensorZero", 5), ("LiteLLM", 100), ("nginx", 0.5)):
        if name in found:
            ratio = ours[rate] / found[name][rate]
            rows.append((f"calls per CPU-second / {name}", round(ratio, 2), f">= {times}", ratio >= times))
    if "TensorZero" in found:
        ratio = ours[added] / found["TensorZero"][added]
        rows.append(("added p50 at 1 / TensorZero", round(ratio, 2), "< 1", ratio < 1))
    rows.append(("stream, acked events/s", round(result["stream"]), ">= 25000", result["stream"] >= 25_000))
    ratio = result["ingest"] / result["copy"]
    rows.append(("ingest / bare COPY", round(ratio, 2), ">= 0.6", ratio >= 0.6))
    return rows


def main():
    if sys.argv[1:2] == ["model-server"]:
        model_server(int(sys.argv[2]))
        return
    if sys.argv[1:2] == ["gateway"]:
        server_port, port, spool, nats_url = sys.argv[2:]
        upstream = UpstreamSettings(base_url=f"http://127.0.0.1:{server_port}/v1")
        serve(GatewaySettings(upstreams={"m": upstream}, spool=Path(spool), nats_url=nats_url, port=int(port)))
        return
    peers = PEERS if "--peers" in sys.argv else {}
    records = [made(number) for number in range(RECORDS)]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o755)
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
        own = (*myself, "gateway", str(server_port), str(gateway_port), f"{folder}/spool", nats_url)
        pid = stack.enter_context(running(*own, port=gateway_port))
        contenders = [Contender("Regraft", gateway_port, pid)]
        for name, peer in peers.items():
            try:
                contenders.append(stack.enter_context(peer(server_port, free_port(), REQUEST)))
            except AbsentError as absent:
                print(f"{name} is left out: {absent}")
        direct = Contender("direct", server_port, server_pid)
        result = {"gateways": uvloop.run(measure(contenders, direct))}
        result["stream"] = uvloop.run(stream_rate(nats_url, records))
        result["ingest"], result["copy"] = ingest_rate(records)
    result["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    show(result["gateways"])
    for what, figure, target, met in verdicts(result):
        print(f"{what:<34} {figure:>10}   target {target:<9} {'met' if met else 'MISSED'}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gateway.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
