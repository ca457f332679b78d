"""The page of a tree in Chromium: time to the first picture, and frame times while it is moved and zoomed.

    python benchmarks/ui_tree.py [--nodes 3000 20000]

Fills a separate PostgreSQL in a temporary folder with trees of branching_tree.sql, serves them with the built page
(`make page`), and opens them in Debian's Chromium without a GPU. Prints a table and writes JSON to
benchmarks/results/ui_tree.json. A ratio above 1 misses its limit. The limits are for 3,000 nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from _postgres import temporary_postgres
from playwright.sync_api import Browser, Page, sync_playwright

from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app

RESULTS = Path(__file__).parent / "results"
TREE = Path(__file__).with_name("branching_tree.sql")
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
COLD_MS, FRAME_MS = 1000, 17
COLD_ROUNDS = 5
SECONDS = 4
_WATCH = """() => {
    window.frames_ = []; window.work_ = []; let last = performance.now();
    const original = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (does) => original((now) => {
        const began = performance.now(); does(now); window.work_.push(performance.now() - began); });
    const tick = (now) => { window.frames_.push(now - last); last = now; original(tick); };
    original(tick);
}"""


def main() -> None:
    """Fill, serve, open, move, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3_000, 20_000])
    sizes = parser.parse_args().nodes
    with temporary_postgres() as postgres:
        dsn = postgres.database()
        with connect(dsn, autocommit=True) as connection:
            for nodes in sizes:
                with connection.transaction():
                    connection.execute(TREE.read_text().format(name=f"tree{nodes}", nodes=nodes).encode())
            connection.execute("VACUUM ANALYZE")
        with served(dsn, postgres.folder) as origin, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
            figures = [figure_of("frame at p95 of an empty page", 0, idle(browser), FRAME_MS)]
            figures += [figure for nodes in sizes for figure in measure(browser, origin, nodes)]
            browser.close()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ui_tree.json").write_text(json.dumps(figures, indent=1))
    print(f"{'what':<44} {'nodes':>7} {'ms':>8} {'limit':>7} {'ratio':>6}")
    for each in figures:
        print(
            f"{each['what']:<44} {each['nodes']:>7} {each['ms']:>8.1f} {each['limit_ms']:>7.0f} {each['ratio']:>6.2f}"
        )


@contextmanager
def served(dsn: str, folder: Path) -> Iterator[str]:
    """The web process in a thread, on its own port."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = make_app(dsn, workbench=folder / "workbench.duckdb")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def idle(browser: Browser) -> float:
    """The 95th percentile of the times between frames of a page that draws nothing: what this machine gives now."""
    page = browser.new_page()
    page.evaluate(_WATCH)
    page.wait_for_timeout(SECONDS * 1000)
    frames: list[float] = page.evaluate("window.frames_.slice(2)")
    page.close()
    return p95(frames)


def measure(browser: Browser, origin: str, nodes: int) -> list[dict[str, Any]]:
    """Figures of one tree: cold start (the best and the median), frames while panning whole, closer, and zooming."""
    cold = sorted(first_picture(browser, origin, nodes) for _ in range(COLD_ROUNDS))
    figures = [
        figure_of("cold, to the first picture (median)", nodes, cold[len(cold) // 2], COLD_MS),
        figure_of("cold, to the first picture (best)", nodes, cold[0], COLD_MS),
    ]
    page = open_tree(browser, origin, nodes)
    page.wait_for_timeout(1500)
    for name, keys in (("whole tree", "0"), ("marks", "0" + "+" * 4), ("words", "0" + "+" * 8)):
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(250)
        before = cpu_ms()
        frames, work = pan(page)
        used = (cpu_ms() - before) / max(len(frames), 1)
        figures.append(figure_of(f"frame at p95 while panning, {name}", nodes, p95(frames), FRAME_MS))
        figures.append(figure_of(f"CPU of the browser a frame, {name}", nodes, used, FRAME_MS))
        figures.append(figure_of(f"script in a frame at p95, {name}", nodes, p95(work), FRAME_MS))
    page.context.close()
    return figures


def figure_of(what: str, nodes: int, ms: float, limit: float) -> dict[str, Any]:
    """A line of the table."""
    return {"what": what, "nodes": nodes, "ms": ms, "limit_ms": limit, "ratio": ms / limit}


def open_tree(browser: Browser, origin: str, nodes: int) -> Page:
    """A new window, with nothing cached, that shows the tree."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{origin}/sessions/tree{nodes}", wait_until="commit")
    page.wait_for_selector("canvas[data-painted]")
    return page


def first_picture(browser: Browser, origin: str, nodes: int) -> float:
    """Milliseconds from the start of the navigation to the first picture."""
    page = open_tree(browser, origin, nodes)
    painted = float(page.get_attribute("canvas[data-painted]", "data-painted") or "nan")
    page.context.close()
    return painted


def pan(page: Page) -> tuple[list[float], list[float]]:
    """Drag the picture to and fro; times between frames, and of the script in each."""
    box = page.locator("canvas[data-painted]").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(_WATCH)
    page.mouse.move(x, y)
    page.mouse.down()
    ends, step = time.monotonic() + SECONDS, 0
    while time.monotonic() < ends:
        step += 1
        page.mouse.move(x + 120 * ((step // 8) % 2) + step % 8 * 5, y + 60 * ((step // 16) % 2) + step % 16 * 3)
    page.mouse.up()
    frames, work = page.evaluate("[window.frames_.slice(2), window.work_]")
    return frames, work


def cpu_ms() -> float:
    """CPU milliseconds that the processes below this one took so far: the browser's, and what drives it."""
    stats = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        stats[int(folder.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    below, ticks = {os.getpid()}, 0
    for process, (parent, used) in sorted(stats.items()):
        if parent in below and process not in below:
            below.add(process)
            ticks += used
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def p95(times: list[float]) -> float:
    """The 95th percentile."""
    return sorted(times)[int(len(times) * 0.95)] if times else float("nan")


if __name__ == "__main__":
    main()
