"""The overhead of orchestration: ``python benchmarks/orchestrate.py [--steps 12] [--calls 20]``.

A scripted model server answers each call after 50 ms. An orchestrated call with no cost of its own would take the
latencies on its critical path: the plan, each level of steps, the answer. What it takes beyond that, and the CPU that
the gateway spends, is divided by the subtasks. The gateway runs in a separate process, capture on and fsynced; the
limit is a plain loop over the same model server, without gateway and without capture, making the same calls. Writes
JSON to benchmarks/results/orchestrate.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))
from regraft.domain.orchestration.orchestration import Orchestrator
from regraft.infra.files.rules import rule_of
from regraft.infra.llm.upstream import UpstreamPool
from regraft.infra.settings import Settings

RESULTS = Path(__file__).parent / "results"
LATENCY = 0.050  # seconds that the model server takes
BUDGET_MS = 10.0  # a subtask
HEADERS = [(b"content-type", b"application/json")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The model server


class Model(asyncio.Protocol):
    """Answers every call after LATENCY: a plan where one is asked for, a word else."""

    def __init__(self, plan: bytes) -> None:
        self._plan = plan

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        said = self._plan if b'"response_format"' in self._body else b"done"
        asyncio.get_running_loop().call_later(LATENCY, self._answer, said)

    def _answer(self, said: bytes) -> None:
        message = {"role": "assistant", "content": said.decode()}
        body = json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1},
            }
        ).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


def serve_model(port: int, plan: bytes) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Model(plan), "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(main())


def plan_of(steps: int, width: int) -> tuple[bytes, int]:
    """A plan of levels of ``width`` steps, each step needing all of the level before; and the number of levels."""
    made: dict[str, Any] = {}
    level: list[str] = []
    levels = 0
    while len(made) < steps:
        here = [f"s{len(made) + number + 1}" for number in range(min(width, steps - len(made)))]
        for name in here:
            made[name] = {
                "instruction": f"do {name}",
                "inputs": ["prompt", *level],
                "worker": "w",
                "acceptance": "good",
            }
        level, levels = here, levels + 1
    return json.dumps(made).encode(), levels


# The gateway


def serve_gateway(port: int, model: int, folder: str, steps: int, width: int) -> None:
    from regraft.presentation.gateway.app import serve
    from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings

    rule = rule_of(Settings(), "default")
    one = Orchestrator(
        name="bench",
        model="m",
        rule=type(rule)(name="bench", instructions=rule.instructions, repair=rule.repair, max_subtasks=64),
        workers={"w": "m"},
        max_steps=steps,
        concurrency=width,
        timeout=30.0,
    )
    serve(
        GatewaySettings(
            upstreams={"m": UpstreamSettings(base_url=f"http://127.0.0.1:{model}/v1")},
            spool=Path(folder) / "spool",
            nats_url="nats://127.0.0.1:1",
            port=port,
            orchestrators={"bench": one},
        )
    )


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_up(port: int) -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


# The measures


async def orchestrated(port: int, calls: int, steps: int) -> list[float]:
    """Wall seconds of each call, one after another."""
    pool = UpstreamPool(f"http://127.0.0.1:{port}/v1")
    body = json.dumps({"model": "orchestrator/bench", "messages": [{"role": "user", "content": "go"}]}).encode()
    walls = []
    for _ in range(calls):
        began = time.perf_counter()
        response = await pool.send("POST", "/chat/completions", HEADERS, body)
        answer = json.loads(await response.read())
        walls.append(time.perf_counter() - began)
        done = [step["status"] for step in answer["regraft"]["steps"]]
        assert done == ["done"] * steps, answer
    await pool.aclose()
    return walls


async def bare(port: int, calls: int, steps: int, width: int) -> list[float]:
    """The same calls to the model server by a plain loop."""
    pool = UpstreamPool(f"http://127.0.0.1:{port}/v1")
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "go"}]}).encode()

    async def one() -> None:
        response = await pool.send("POST", "/chat/completions", HEADERS, body)
        json.loads(await response.read())

    walls = []
    for _ in range(calls):
        began = time.perf_counter()
        await one()
        left = steps
        while left > 0:
            await asyncio.gather(*(one() for _ in range(min(width, left))))
            left -= width
        await one()
        walls.append(time.perf_counter() - began)
    await pool.aclose()
    return walls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--width", type=int, default=4, help="steps at the same time")
    parser.add_argument("--calls", type=int, default=20)
    given = parser.parse_args()
    plan, levels = plan_of(given.steps, given.width)
    critical = (levels + 2) * LATENCY
    model, port = free_port(), free_port()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="regraft-bench-") as folder:
        upstream = context.Process(target=serve_model, args=(model, plan), daemon=True)
        upstream.start()
        gateway = context.Process(target=serve_gateway, args=(port, model, folder, given.steps, given.width))
        gateway.start()
        try:
            uvloop.run(until_up(model))
            uvloop.run(until_up(port))
            uvloop.run(orchestrated(port, 3, given.steps))
            before = cpu_seconds(gateway.pid or 0)
            walls = uvloop.run(orchestrated(port, given.calls, given.steps))
            cpu = (cpu_seconds(gateway.pid or 0) - before) / given.calls
            limit = uvloop.run(bare(model, given.calls, given.steps, given.width))
        finally:
            gateway.terminate()
            gateway.join(20)
            upstream.terminate()
            upstream.join(20)
    wall, least = statistics.median(walls), statistics.median(limit)
    figures = {
        "steps": given.steps,
        "levels": levels,
        "calls": given.calls,
        "latency_ms": LATENCY * 1000,
        "critical_path_ms": critical * 1000,
        "bare_ms": round(least * 1000, 2),
        "orchestrated_ms": round(wall * 1000, 2),
        "overhead_ms_per_subtask": round((wall - critical) * 1000 / given.steps, 3),
        "bare_overhead_ms_per_subtask": round((least - critical) * 1000 / given.steps, 3),
        "ratio_to_bare": round(wall / least, 3),
        "gateway_cpu_ms_per_subtask": round(cpu * 1000 / given.steps, 3),
        "budget_ms_per_subtask": BUDGET_MS,
    }
    for name, value in figures.items():
        print(f"{name:<32}{value:>12}")
    within = figures["overhead_ms_per_subtask"] < BUDGET_MS
    print("within the budget" if within else "BEYOND the budget")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "orchestrate.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
