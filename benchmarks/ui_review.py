"""A reviewer who judges pairs in Chromium by keyboard: the time until the next pair is shown, and pairs per hour.

    python benchmarks/ui_review.py [--pairs 100] [--think 0.2]

Fills a queue with pairs of answers of some 1,500 characters after five messages, opens /review, and presses `a`, `b`,
`e` or `x` once a pair was looked at for ``think`` seconds; of ten pairs one gets a comment, one is compared word by
word, and one is undone and judged again. A time is from the key's event until the next pair was painted. Prints their
median and 95th percentile beside 60 ms, and the pairs an hour beside 500. Writes JSON to
benchmarks/results/ui_review.json. Starts a PostgreSQL and a separate web process. Needs the built page and Chromium
(/usr/bin/chromium, or REGRAFT_CHROMIUM).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _postgres import temporary_postgres
from playwright.sync_api import Page, sync_playwright

from regraft.flows.access import AccessControl
from regraft.flows.capture.importing import import_files
from regraft.flows.evaluation.desk_records import ReviewPolicy
from regraft.flows.evaluation.queue import QueueSize, fill_queue
from regraft.flows.evaluation.review_service import ReviewSetup
from regraft.presentation.web.app import serve_web

RESULTS = Path(__file__).parent / "results"
LIMIT_MS, LIMIT_PAIRS = 60.0, 500
TOKEN = "benchmark"  # of a server that ends with this process
WORDS = "the of a tree path answer question tool city weather order price total check rain lamp stock late"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
# Of each change of the pair that is shown: milliseconds from the latest key to the frame after it.
WATCH = """
window.shown = [];
let pressed = 0;
addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
addEventListener("DOMContentLoaded", () => new MutationObserver((changes) => {
  if (!changes.some(({ attributeName }) => attributeName === "data-at")) return;
  const from = pressed;
  requestAnimationFrame(() => {
    const channel = new MessageChannel();  // comes after the frame was painted
    channel.port1.onmessage = () => window.shown.push(performance.now() - from);
    channel.port2.postMessage(0);
  });
}).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["data-at"] }));
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--think", type=float, default=0.2, help="seconds that a pair is looked at")
    given = parser.parse_args()
    with temporary_postgres() as postgres:
        dsn = postgres.database()
        bench = postgres.folder / "workbench.duckdb"
        write_pairs(dsn, postgres.folder, bench, given.pairs + 20)
        with serving(dsn, bench) as origin, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("REGRAFT_CHROMIUM", "/usr/bin/chromium"), args=list(ARGUMENTS)
            )
            context = browser.new_context(
                viewport={"width": 1600, "height": 900}, extra_http_headers={"Authorization": f"Bearer {TOKEN}"}
            )
            context.add_init_script(WATCH)
            page = context.new_page()
            page.goto(f"{origin}/review")
            page.wait_for_selector("[data-lease]:not([hidden])")
            started = time.monotonic()
            judge(page, given.pairs, given.think)
            took = time.monotonic() - started
            page.wait_for_function("document.querySelector('[data-at]') !== null")
            times: list[float] = page.evaluate("window.shown")
            time.sleep(2)  # answers are sent after the next item is shown: the last ones are still on their way
            submitted = ask(origin, "/api/review/progress")["me"]["submitted"]
            browser.close()
    times = times[-given.pairs :]
    median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    hourly = given.pairs / took * 3600
    figures = f"median {median:.1f} ms, p95 {p95:.1f} ms, worst {max(times):.1f} ms"
    print(f"{len(times)} pairs shown after a key: {figures}")
    print(f"of the limit of {LIMIT_MS:.0f} ms: median {median / LIMIT_MS:.2f}, p95 {p95 / LIMIT_MS:.2f}")
    rate = f"{hourly:,.0f} pairs an hour with {given.think:g} s to look at each"
    print(f"{rate}: {hourly / LIMIT_PAIRS:.1f} times {LIMIT_PAIRS}")
    print(f"{submitted} answers are saved of {given.pairs} that were given")
    RESULTS.mkdir(exist_ok=True)
    written: dict[str, object] = {
        "median_ms": median,
        "p95_ms": p95,
        "worst_ms": max(times),
        "pairs_an_hour": hourly,
        "saved": submitted,
    }
    written["figures"] = {
        "from a key to the next pair, p95 ms": {"is": p95, "limit": LIMIT_MS},
        "seconds a pair, all in all": {"is": took / given.pairs, "limit": 3600 / LIMIT_PAIRS},
    }
    (RESULTS / "ui_review.json").write_text(json.dumps(written, indent=2))


def judge(page: Page, pairs: int, think: float) -> None:
    """Judge so many pairs. Nothing but keys."""
    dice = random.Random(7)
    for number in range(pairs):
        if not page.locator("[data-lease]:not([hidden])").count():
            page.wait_for_selector("[data-lease]:not([hidden])", timeout=30_000)
        time.sleep(think)
        match number % 10:
            case 3:
                page.keyboard.press("c")
                page.keyboard.type("shorter and right")
                page.keyboard.press("Escape")
            case 5:
                page.keyboard.press("d")
                page.keyboard.press("d")
            case 7:
                page.keyboard.press("u")
        page.keyboard.press(dice.choice("abex"))
        if number % 10 == 7:  # the one that was undone is judged, and now the one that was shown
            page.keyboard.press(dice.choice("abex"))


def write_pairs(dsn: str, folder: Path, bench: Path, pairs: int) -> None:
    """Import conversations with two answers each, and put their pairs into the queue."""
    dice = random.Random(3)
    lines = []
    for number in range(pairs):
        asked: list[dict[str, Any]] = [
            {"role": role, "content": text(dice, 60)} for role in ("user", "assistant", "user", "assistant")
        ]
        asked.append({"role": "user", "content": f"Question {number}: {text(dice, 40)}"})
        common = text(dice, 120)
        for model in ("one", "two"):
            said = {"role": "assistant", "content": f"{common} {text(dice, 120)}"}
            lines.append({"messages": [*asked, said], "model": model})
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_files(dsn, [file])
    done = fill_queue(dsn, bench, QueueSize(size=pairs, overlap=0, random_share=0), kinds=["pair"])
    assert done.open >= pairs, done


def text(dice: random.Random, words: int) -> str:
    return " ".join(dice.choices(WORDS.split(), k=words)).capitalize() + "."


@contextmanager
def serving(dsn: str, bench: Path) -> Iterator[str]:
    """A web process; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(dsn, bench, port), daemon=True)
    process.start()
    origin = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                ask(origin, "/api/health")
                break
            except OSError:
                time.sleep(0.1)
        yield origin
    finally:
        process.terminate()
        process.join()


def serve(dsn: str, bench: Path, port: int) -> None:
    reviewing = ReviewSetup(policy=ReviewPolicy(random_share=0, gold_share=0))
    serve_web(dsn, "127.0.0.1", port, access=AccessControl(TOKEN), workbench=bench, reviewing=reviewing)


def ask(origin: str, path: str) -> Any:
    request = urllib.request.Request(f"{origin}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
