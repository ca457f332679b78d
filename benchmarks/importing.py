"""Import speed against its limit: parsing the same file and COPYing the very rows that the import gives.

    python benchmarks/importing.py [--conversations 2000]

The limit is measured in the same run: the file is parsed, and all rows of the log's tables (taken from a first import)
are COPYed, ready-made and binary, into the same tables of an empty database, indexes and keys included. Prints the
ratio (1.0: as fast as the limit) and writes JSON to benchmarks/results/importing.json. Starts a separate PostgreSQL.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import time
from pathlib import Path

import psycopg
import zstandard
from _postgres import TemporaryPostgres, temporary_postgres

from regraft.domain.capture.importers.records import records
from regraft.flows.capture.importing import import_files
from regraft.infra.files.exports import opened, parts

RESULTS = Path(__file__).parent / "results"
ROUNDS = 3
TABLES = ("message", "context", "request_part", "session", "pipeline_event_inbox", "session_turn", "session_lineage")
TABLES += ("lineage_queue", "feedback")
TEXT = "a the quick brown fox jumps over lazy dog while seven wizards box every jug of liquid with care and then"
WORDS = TEXT.split()


def write(path: Path, conversations: int) -> None:
    """Four trials a task, ten turns each, with a reward: about 6 kB a conversation."""
    made = random.Random(1)

    def text(words: int) -> str:
        return " ".join(made.choices(WORDS, k=words))

    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as packed:
        for number in range(conversations):
            messages = [{"role": "system", "content": "You help. " * 40}]
            for _ in range(10):
                messages += [{"role": "user", "content": text(30)}, {"role": "assistant", "content": text(60)}]
            line = {"id": f"c{number}", "group": f"g{number // 4}", "model": "m", "messages": messages}
            packed.write(json.dumps({**line, "outcome": {"reward": number % 2}}).encode() + b"\n")


def rows(dsn: str) -> dict[str, bytes]:
    """Every table of the log as COPY writes it."""
    found = {}
    with psycopg.connect(dsn) as connection:
        for table in TABLES:
            held = io.BytesIO()
            with connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT BINARY)".encode()) as copy:
                for piece in copy:
                    held.write(piece)
            found[table] = held.getvalue()
    return found


def limit(dsn: str, path: Path, ready: dict[str, bytes]) -> tuple[float, float]:
    """Seconds to parse the file and to COPY its rows."""
    began = time.perf_counter()
    with opened(parts(path)[0]) as file:
        for _ in records(file.pieces):
            pass
    parsed = time.perf_counter()
    with psycopg.connect(dsn) as connection:
        for table, held in ready.items():
            with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.write(held)
    return parsed - began, time.perf_counter() - parsed


def measure(postgres: TemporaryPostgres, path: Path) -> dict[str, float]:
    """The figures of one run: medians of the rounds, taken in turns."""
    dsn = postgres.database()
    import_files(dsn, [path], build=False)
    ready = rows(dsn)
    parsing, copying, importing = [], [], []
    counts = None
    for _ in range(ROUNDS):
        parse, copy = limit(postgres.database(), path, ready)
        parsing.append(parse)
        copying.append(copy)
        dsn = postgres.database()
        began = time.perf_counter()
        counts = import_files(dsn, [path], build=False)
        importing.append(time.perf_counter() - began)
    began = time.perf_counter()
    import_files(dsn, [path], build=False)
    again = time.perf_counter() - began
    assert counts is not None
    spent = statistics.median(importing)
    return {
        "conversations": counts.conversations,
        "messages": counts.messages,
        "turns": counts.turns,
        "row_bytes": sum(map(len, ready.values())),
        "parse_s": statistics.median(parsing),
        "copy_s": statistics.median(copying),
        "import_s": spent,
        "import_again_s": again,
        "turns_per_second": counts.turns / spent,
        "speed_against_limit": (statistics.median(parsing) + statistics.median(copying)) / spent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=2_000)
    conversations = parser.parse_args().conversations
    with temporary_postgres() as postgres:
        path = postgres.folder / "conversations.jsonl.zst"
        write(path, conversations)
        figures = measure(postgres, path)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "importing.json").write_text(json.dumps(figures, indent=1) + "\n")
    for name, value in figures.items():
        print(f"{name:<24} {value:>14,.3f}" if isinstance(value, float) else f"{name:<24} {value:>14,}")


if __name__ == "__main__":
    main()
