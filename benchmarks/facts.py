"""The cost of telemetry: ingest with and without facts, the cost of emitting one, and the number counted per second.

    python benchmarks/facts.py [--calls 6000] [--rounds 5]

The same calls are stored in new databases by turns, with and without a publisher on a real NATS that fsyncs; medians of
CPU seconds of this process are compared (limit: 1.05). Writes JSON to benchmarks/results/facts.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from _postgres import TemporaryPostgres, temporary_postgres

from regraft.domain.capture.exchange import Exchange
from regraft.domain.ids import time_ordered_uuid
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage.build import build
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.fact_stream import BRIDGE, STREAM, FactStream
from regraft.infra.postgres.pool import connect
from regraft.infra.telemetry.emitter import emit, publishing_facts
from regraft.infra.telemetry.fact_counts import FactCounts
from regraft.infra.telemetry.fact_publisher import FactPublisher
from regraft.infra.telemetry.facts import CallStored, decode_fact, encode_fact

RESULTS = Path(__file__).parent / "results"
BATCH = 500
LIMIT = 1.05
FACT = CallStored(
    operation="chat",
    provider="main",
    model="small",
    purpose="chat",
    client="",
    error="",
    duration_seconds=1.5,
    first_chunk_seconds=0.2,
    input_tokens=1_000,
    output_tokens=100,
)


def records(calls: int) -> list[bytes]:
    """So many calls of 20 turns each, growing histories of short messages."""
    made = []
    for number in range(calls):
        conversation, turn = divmod(number, 20)
        history = []
        for before in range(turn):
            history += [
                {"role": "user", "content": f"question {before} of {conversation}"},
                {"role": "assistant", "content": f"answer {before} of {conversation}"},
            ]
        history.append({"role": "user", "content": f"question {turn} of {conversation}"})
        reply = {
            "choices": [{"index": 0, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4},
        }
        reply["choices"][0]["message"] = {"role": "assistant", "content": f"answer {turn} of {conversation}"}
        at = 1_700_000_000_000 + number
        made.append(
            encode_exchange(
                Exchange(
                    event_id=time_ordered_uuid(at, number.to_bytes(10, "big")),
                    scope="default",
                    endpoint="/v1/chat/completions",
                    upstream="main",
                    upstream_pin="",
                    started_ns=at * 1_000_000,
                    first_byte_ns=1_000_000,
                    duration_ns=5_000_000,
                    request_body=json.dumps({"model": "small", "messages": history}).encode(),
                    status=200,
                    response_type="application/json",
                    response_encoding="",
                    response_body=json.dumps(reply).encode(),
                )
            )
        )
    return made


def store(server: TemporaryPostgres, calls: list[bytes]) -> float:
    """CPU seconds of storing the calls and placing them in the graph."""
    dsn, seen = server.database(), SeenIds()
    began = time.process_time()
    with connect(dsn, autocommit=True) as connection:
        for start in range(0, len(calls), BATCH):
            ingest(connection, calls[start : start + BATCH], seen)
    build(dsn)
    return time.process_time() - began


@contextlib.contextmanager
def nats(folder: Path) -> Iterator[str]:
    server = EmbeddedNats(folder / "nats")
    try:
        yield server.start().url
    finally:
        server.stop()


async def drained(url: str) -> int:
    """Read all facts of the stream; how many."""
    stream = await FactStream.connect(url)
    try:
        await stream.ensure()
        found = 0
        while lines := await stream.fetch(64, 0.5):
            found += len(lines)
        return found
    finally:
        await stream.aclose()


def wait_until_published(publisher: FactPublisher, facts: int) -> None:
    """Return once so many facts are acknowledged. Fails after half a minute."""
    deadline = time.monotonic() + 30
    while publisher.published < facts:
        assert time.monotonic() < deadline, f"{publisher.published} of {facts} facts were published"
        time.sleep(0.05)


def per_second(work: int, seconds: float) -> float:
    return work / seconds if seconds else float("inf")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--calls", type=int, default=6_000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    calls = records(options.calls)
    plain, told = [], []
    with temporary_postgres() as server, nats(server.folder) as url:
        store(server, calls)  # warm
        for _ in range(options.rounds):
            plain.append(store(server, calls))
            with publishing_facts(lambda: url) as publisher:
                emit(FACT)  # connects
                wait_until_published(publisher, 1)
                began = time.process_time()
                store(server, calls)
                wait_until_published(publisher, options.calls)
                told.append(time.process_time() - began)  # with what the publisher's thread used
        assert asyncio.run(drained(url)) >= options.calls * options.rounds, f"{STREAM} lost facts of {BRIDGE}"

    with publishing_facts(lambda: None):
        began = time.process_time()
        for _ in range(10_000):
            emit(FACT)
        emitted = (time.process_time() - began) / 10_000 * 1e9
    line = encode_fact(FACT, time.time())
    counts, number = FactCounts(), 50_000
    began = time.process_time()
    counts.add(fact for _ in range(number) if (fact := decode_fact(line)) is not None)
    counted = per_second(number, time.process_time() - began)

    ratio = statistics.median(told) / statistics.median(plain)
    figures = {
        "calls": options.calls,
        "ingest and graph, CPU s": statistics.median(plain),
        "the same with facts, CPU s": statistics.median(told),
        "ratio": ratio,
        "limit": LIMIT,
        "telling a fact, ns": emitted,
        "facts counted a CPU-second": counted,
        "bytes of a fact": len(line),
    }
    for name, value in figures.items():
        print(f"{name:<32} {value:>14,.3f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "facts.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
