"""Filters of datasets against their budgets, on rows made from words.

    python benchmarks/dataset_filters.py [--rows 100000] [--only near_duplicates]

Near-duplicates of 100,000 rows should take less than 60 s; the other filters have no budget of their own. Prints for
each the seconds for 100,000 rows, and the share of the budget (below 1.0: within it), and writes JSON to
benchmarks/results/dataset_filters.json.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from regraft.domain.datasets.messages import message_of
from regraft.domain.datasets.recipe import Filters
from regraft.domain.datasets.rows import Row
from regraft.flows.datasets.filters import RowFilters

RESULTS = Path(__file__).parent / "results"
BUDGET = 60.0  # seconds for 100,000 rows
BEGINNINGS = ("con", "de", "in", "pre", "re", "sub", "un", "ex")
ENDS = ("act", "cede", "duct", "form", "ject", "late", "mit", "port", "scribe", "sist", "spect", "tain", "tend", "vert")
WORDS = [first + last for first in BEGINNINGS for last in ENDS]
SLOW = {"pii": 500}  # filters that are measured on fewer rows


def rows(count: int) -> Iterator[Row]:
    """Two turns of 300 words; every tenth row is a near-duplicate of one before, every tenth holds an address."""
    made = random.Random(1)
    before: list[str] = []
    for number in range(count):
        said = [" ".join(made.choices(WORDS, k=length)) for length in (60, 90, 30, 120)]
        if number % 10 == 9:
            said = [*before[:3], before[3] + " indeed"]
        if number % 10 == 5:
            said[1] += f" Write to Alice Johnson <alice{number}@example.com>, password=hunter{number}."
        before = said
        messages = tuple(message_of("user" if turn % 2 == 0 else "assistant", text) for turn, text in enumerate(said))
        yield Row(row_id=str(number), kind="sft", session_id=str(number), sources=(), messages=messages)


def main() -> None:
    """Measure each filter alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.txt"
        made = random.Random(2)
        prompts.write_text("\n".join(" ".join(made.choices(WORDS, k=40)) for _ in range(10_000)))
        wanted = {
            "near_duplicates": Filters(near_duplicates=0.8),
            "decontaminate": Filters(decontaminate=(str(prompts),)),
            "tokens": Filters(tokenizer="o200k"),
            "languages": Filters(languages=("en",)),
            "secrets": Filters(redact="secrets"),
            "pii": Filters(redact="pii"),
        }
        found = {
            name: measure(filters, min(asked.rows, SLOW.get(name, asked.rows)), Path(folder))
            for name, filters in wanted.items()
            if asked.only in ("", name)
        }
    for name, figures in found.items():
        budget = f", {figures['seconds_of_100k'] / BUDGET:.2f} of the budget" if name == "near_duplicates" else ""
        times = f"{figures['seconds_of_100k']:.1f} s ({figures['processor_seconds_of_100k']:.1f} s of a processor)"
        print(f"{name}: {times} for 100,000 rows, {figures['rows']} measured{budget}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dataset_filters.json").write_text(json.dumps(found, indent=1))


def measure(wanted: Filters, count: int, folder: Path) -> dict[str, Any]:
    """Seconds in the filter alone."""
    filters = RowFilters(wanted, folder)
    filters.check(next(rows(1)))
    seconds = processor = 0.0
    for row in rows(count):
        start, busy = time.perf_counter(), time.process_time()
        filters.check(row)
        seconds += time.perf_counter() - start
        processor += time.process_time() - busy
    start = time.perf_counter()
    report = filters.report()
    filters.links()
    seconds += time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    scale = 100_000 / count
    times = {"seconds_of_100k": seconds * scale, "processor_seconds_of_100k": processor * scale}
    return {"rows": count, **times, "peak_mb": peak, "report": report}


if __name__ == "__main__":
    main()
