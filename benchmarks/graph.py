"""Ingest and graph build: turns a second from 100-turn conversations, bytes a turn, path and tree reading.

    python benchmarks/graph.py [--turns 20000]

Prints each figure beside its limit measured in the same run (COPY of the same rows, the messages' own bytes) and writes
JSON to benchmarks/results/graph.json. Starts a separate PostgreSQL in a temporary folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
from _postgres import temporary_postgres

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.lineage.history import session_by_name
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

RESULTS = Path(__file__).parent / "results"
TURNS_PER_CONVERSATION = 100
BATCH = 1000
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "while",
    "seven",
    "wizards",
    "box",
    "every",
    "jug",
    "of",
    "liquid",
    "with",
    "care",
]


def _text(seed: int, words: int) -> str:
    return " ".join(WORDS[(seed * 7 + at * 3) % len(WORDS)] for at in range(words)) + f" ({seed})"


def exchanges(turns: int, first: int = 0) -> Iterator[Exchange]:
    """Conversations of 100 turns with growing histories; every tenth turn is asked again, hotter.

    ``first`` is the number of the first conversation: others have other words.
    """
    conversation, made = first, first * 200
    last = made + turns
    while made < last:
        messages = [{"role": "system", "content": "You are brief."}]
        for turn in range(TURNS_PER_CONVERSATION):
            messages.append({"role": "user", "content": _text(conversation * 1000 + turn, 20)})
            for retry in range(2 if turn % 10 == 9 else 1):
                said = _text(conversation * 1000 + turn + 500 * (retry + 1), 40)
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
                answer = {
                    "id": "x",
                    "model": "m",
                    "choices": [choice],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 9},
                }
                asked = {"model": "m", "messages": messages, "temperature": 0.5 + retry}
                yield Exchange(
                    event_id=UUID(int=(7 << 76) | (2 << 62) | made),
                    scope="default",
                    endpoint="/v1/chat/completions",
                    upstream="bench",
                    upstream_pin="",
                    started_ns=1_700_000_000_000_000_000 + made * 1_000_000,
                    first_byte_ns=1_000_000,
                    duration_ns=5_000_000,
                    request_body=json.dumps(asked).encode(),
                    status=200,
                    response_type="application/json",
                    response_encoding="",
                    response_body=json.dumps(answer).encode(),
                    identity=Identity(session=f"bench-{conversation}"),
                )
                made += 1
                if retry == 0:
                    kept = said
            messages.append({"role": "assistant", "content": kept})
        conversation += 1


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20_000)
    turns = parser.parse_args().turns
    with temporary_postgres() as postgres:
        figures = measure(postgres.dsn, turns)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "graph.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:<44} {value:>14,.3f}" if isinstance(value, float) else f"{name:<44} {value:>14,}")


def measure(dsn: str, turns: int) -> dict[str, float | int]:
    """Fill, build, read; all figures of one run."""
    figures: dict[str, float | int] = {}
    with connect(dsn, autocommit=True) as connection:
        migrate(connection)
        stored, batch, spent, cpu, count, raw, messages = SeenIds(), [], 0.0, 0.0, 0, 0, 0
        conversations = set()
        for exchange in exchanges(turns):
            request = json.loads(exchange.request_body)
            new = request["messages"][-1:] if len(request["messages"]) > 2 else request["messages"]
            messages += len(request["messages"]) + 1
            raw += sum(len(json.dumps(message)) for message in new) + len(exchange.response_body)
            conversations.add(exchange.identity.session)
            batch.append(encode_exchange(exchange))
            if len(batch) == BATCH:
                began, cpu_began = time.perf_counter(), _cpu()
                ingest(connection, batch, stored)
                spent += time.perf_counter() - began
                cpu += _cpu() - cpu_began
                count += len(batch)
                batch = []
        figures["turns"] = count
        figures["ingest turns/s"] = count / spent
        figures["ingest messages/s"] = messages / spent
        figures["ingest client CPU us/turn"] = cpu / count * 1e6
        began = time.perf_counter()
        lineage.build(dsn)
        figures["build turns/s (target 5,000)"] = count / (time.perf_counter() - began)
        figures["build ratio to target"] = figures["build turns/s (target 5,000)"] / 5000
        connection.execute("VACUUM ANALYZE")
        log = ("message", "context", "request_part", "pipeline_event_inbox", "session_turn", "session_lineage")
        size = sum(_one(connection, f"SELECT pg_total_relation_size('{table}')") for table in log)
        figures["log bytes/turn"] = size / count
        tables = sum(_one(connection, f"SELECT pg_table_size('{table}')") for table in log)
        figures["of these the tables alone"] = tables / count
        figures["of these the index of words"] = _one(connection, "SELECT pg_relation_size('message_words')") / count
        figures["new raw bytes/turn"] = raw / count
        figures["log bytes over (1.1 x raw + 1 KiB)"] = (size / count) / (1.1 * raw / count + 1024)
        figures["tables alone over (1.1 x raw + 1 KiB)"] = (tables / count) / (1.1 * raw / count + 1024)
        last = session_by_name("default", sorted(conversations)[0])
        tree = reading.session_tree(connection, last)
        deepest = max(tree, key=lambda row: row["depth"])["node_id"]
        figures["nodes in the read session"] = len(tree)
        figures["path to root ms (limit 1.0)"] = _median_ms(lambda: reading.path(connection, deepest))
        figures["tree of a session ms"] = _median_ms(lambda: reading.session_tree(connection, last))
        figures["history of a node ms"] = _median_ms(lambda: reading.node(connection, deepest))
        began = time.perf_counter()
        lineage.rebuild(dsn)
        figures["rebuild turns/s"] = count / (time.perf_counter() - began)
    raw = ((each.event_id, each.request_body + each.response_body) for each in exchanges(count))
    figures["COPY of the raw bytes, turns/s"] = _copy_rate(dsn, raw)
    packed = ((each.event_id, encode_exchange(each)) for each in exchanges(count))
    figures["COPY of the compressed events, turns/s"] = _copy_rate(dsn, packed)
    for limit in ("raw bytes", "compressed events"):
        rate = figures[f"COPY of the {limit}, turns/s"]
        figures[f"ingest over COPY of the {limit}"] = figures["ingest turns/s"] / rate
    return figures


def _one(connection: psycopg.Connection, sql: str) -> int:
    row = connection.execute(sql.encode()).fetchone()
    return int(next(iter(row.values())))


def _median_ms(work) -> float:
    times = []
    for _ in range(21):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return sorted(times)[10] * 1e3


def _copy_rate(dsn: str, rows: Iterable[tuple[UUID, bytes]]) -> float:
    """Turns a second of a COPY that keeps bytes under their ids, a transaction a batch, as ingest does."""
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE bare (id uuid PRIMARY KEY, bytes bytea)")
        connection.execute("ALTER TABLE bare ALTER bytes SET STORAGE EXTERNAL")  # no one compresses it again
        connection.commit()
        spent, count = 0.0, 0
        while batch := list(itertools.islice(rows, BATCH)):
            began = time.perf_counter()
            with connection.cursor().copy("COPY bare FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["uuid", "bytea"])
                for row in batch:
                    copy.write_row(row)
            connection.commit()
            spent += time.perf_counter() - began
            count += len(batch)
        connection.execute("DROP TABLE bare")
        connection.commit()
        return count / spent


if __name__ == "__main__":
    main()
