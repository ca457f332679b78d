"""The cost of traces: the gateway and ingest with and without them, alternating, and of a span.

    python benchmarks/tracing.py [--calls 6000] [--rounds 15]

The gateway's CPU for a call is that of its own process, before a model server that answers at once (limit: 1.08 with
traces). Ingest stores the same calls in new databases: the CPU of its own thread, which makes the spans (limit: 1.15),
and of the whole process, whose other thread encodes them and sends them to a receiver in another process. Writes JSON
to benchmarks/results/tracing.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop
from _peers import Contender
from _postgres import temporary_postgres
from facts import records, store
from gateway import cpu_seconds, free_port, load, running

from regraft.infra.telemetry.span_exporter import TraceSettings
from regraft.infra.telemetry.tracer import exporter, exporting_spans
from regraft.presentation.gateway.app import serve
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings

RESULTS = Path(__file__).parent / "results"
GATEWAY_LIMIT, INGEST_LIMIT = 1.08, 1.15
SECONDS, CONCURRENCY = 1.0, 64
RECEIVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def serve_gateway(server_port: str, port: str, spool: str, nats_url: str, ratio: str) -> None:
    upstream = UpstreamSettings(base_url=f"http://127.0.0.1:{server_port}/v1")
    more = {"trace_ratio": float(ratio)} if ratio else {}
    serve(GatewaySettings(upstreams={"m": upstream}, spool=Path(spool), nats_url=nats_url, port=int(port), **more))


async def calls_of(one: Contender) -> float:
    """Microseconds of CPU that a call takes the gateway's own process."""
    before = cpu_seconds(one.pid, below=False)
    calls = len(await load(one, CONCURRENCY, SECONDS))
    return (cpu_seconds(one.pid, below=False) - before) / calls * 1e6


async def compare_gateways(contenders: list[Contender], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {one.name: [] for one in contenders}
    for one in contenders:
        await load(one, 8, SECONDS)
    for number in range(rounds):
        for one in contenders if number % 2 else contenders[::-1]:
            found[one.name].append(await calls_of(one))
    return found


@contextlib.contextmanager
def gateways() -> Iterator[list[Contender]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        nats_port, server_port = free_port(), free_port()
        config = Path(folder) / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{nats_port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{folder}/jetstream", sync_interval: always }}\n'
        )
        nats_server = str(Path(sys.executable).parent / "nats-server")
        stack.enter_context(running(nats_server, "-c", str(config), port=nats_port))
        benchmark = str(Path(__file__).with_name("gateway.py"))
        stack.enter_context(running(sys.executable, benchmark, "model-server", str(server_port), port=server_port))
        made = []
        for name, ratio in (("off", ""), ("on", "1.0")):
            port = free_port()
            arguments = (str(server_port), str(port), f"{folder}/{name}", f"nats://127.0.0.1:{nats_port}", ratio)
            pid = stack.enter_context(running(sys.executable, __file__, "gateway", *arguments, port=port))
            made.append(Contender(name, port, pid))
        yield made


def compare_ingest(calls: list[bytes], rounds: int) -> tuple[list[float], list[float], list[float]]:
    """CPU seconds of ingest's thread without and with traces, and what the process used more with them."""
    port = free_port()
    plain, traced, whole = [], [], []
    receiver = subprocess.Popen([sys.executable, "-c", RECEIVER, str(port)])
    try:
        with temporary_postgres() as server:
            store(server, calls)  # warm
            for _ in range(rounds):
                began = time.thread_time()
                of_process = store(server, calls)
                plain.append(time.thread_time() - began)
                with exporting_spans(TraceSettings(url=f"http://127.0.0.1:{port}/v1/traces"), "benchmark"):
                    began, all_began = time.thread_time(), time.process_time()
                    store(server, calls)
                    traced.append(time.thread_time() - began)
                    spans = exporter()
                    assert spans is not None
                    while spans.exported + spans.dropped < len(calls):
                        time.sleep(0.05)
                    assert spans.dropped == 0, f"{spans.dropped} spans were dropped"
                    whole.append(time.process_time() - all_began - of_process)
    finally:
        receiver.kill()
        receiver.wait()
    return plain, traced, whole


def main() -> None:
    if sys.argv[1:2] == ["gateway"]:
        serve_gateway(*sys.argv[2:])
        return
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--calls", type=int, default=6_000)
    arguments.add_argument("--rounds", type=int, default=15)
    options = arguments.parse_args()
    with gateways() as contenders:
        found = uvloop.run(compare_gateways(contenders, options.rounds))
    ratios = [on / off for on, off in zip(found["on"], found["off"], strict=True)]
    plain, traced, whole = compare_ingest(records(options.calls), max(3, options.rounds // 3))
    figures = {
        "gateway, us of CPU a call": statistics.median(found["off"]),
        "the same with traces": statistics.median(found["on"]),
        "gateway ratio": statistics.median(ratios),
        "gateway limit": GATEWAY_LIMIT,
        "ingest and graph, CPU s": statistics.median(plain),
        "the same with traces, CPU s": statistics.median(traced),
        "ingest ratio": statistics.median(traced) / statistics.median(plain),
        "ingest limit": INGEST_LIMIT,
        "us of CPU a span, with sending": statistics.median(whole) / options.calls * 1e6,
    }
    for name, value in figures.items():
        print(f"{name:<32} {value:>14,.3f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "tracing.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
