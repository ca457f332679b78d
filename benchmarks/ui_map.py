"""The map in Chromium, without a graphics card: 20,000 points, cold, panned, zoomed, selected; and the API behind it.

    python benchmarks/ui_map.py [--points 20000] [--clusters 60]

Fills a workbench in a temporary folder, serves the built page (`make page`) and drives Debian's Chromium. Prints a
table and writes JSON to benchmarks/results/ui_map.json. A ratio above 1 misses its limit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import uvicorn
from _postgres import temporary_postgres
from playwright.sync_api import Page, sync_playwright

from regraft.infra.duckdb.evaluation.clusters import Clusters
from regraft.infra.duckdb.evaluation.embeddings import Embeddings
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.presentation.web.app import make_app

RESULTS = Path(__file__).parent / "results"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
COLD, FRAME, ANSWER = 2_000.0, 17.0, 300.0  # milliseconds
PACKED = 300_000.0  # bytes of the map over the wire

FILL = """
CREATE TEMP TABLE made AS
SELECT md5('unit ' || i)::UUID AS unit_id, md5('session ' || i // 3)::UUID AS session_id, i % {clusters} AS c,
    CASE WHEN i % 7 > 0 THEN md5('cluster ' || (i % {clusters}))::UUID END AS cluster_id,
    sqrt(-2 * ln(1 - hash(i) % 100000 / 100000.0)) AS far, hash(i + 1) % 100000 / 100000.0 * 6.2832 AS turn
FROM range({points}) AS t(i);
INSERT INTO trajectory_units BY NAME
SELECT unit_id, session_id, unit_id AS turn_id, 'theme ' || (c % 12) AS theme, 'chat' AS purpose, 'm' AS model,
    'ok' AS node_status, [unit_id] AS path_nodes, [unit_id] AS path_anchors, ['continuation'] AS kinds,
    ['stop'] AS finish_reasons, 3 AS turns, 0 AS tool_calls, 0 AS tool_errors, 0 AS repeated_calls,
    100 AS prompt_tokens, 50 AS completion_tokens, 2.0 AS seconds,
    false AS answer_empty, 200 AS answer_length, 1.0 AS relative_length,
    0.0 AS repetition, far / 6 AS quality, 'words' AS text, CASE WHEN c % 3 > 0 THEN turn / 6.2832 END AS outcome
FROM made;
INSERT INTO trajectory_clusters
SELECT md5('run')::UUID, unit_id, 0, cluster_id, 0.8, 'fit',
    greatest(-1, least(1, 0.75 * cos(c * 2.4) * sqrt((c + 1) / {clusters}) + 0.05 * far * cos(turn))),
    greatest(-1, least(1, 0.75 * sin(c * 2.4) * sqrt((c + 1) / {clusters}) + 0.05 * far * sin(turn)))
FROM made;
INSERT INTO trajectory_cluster_run BY NAME
SELECT md5('run')::UUID AS cluster_run_id, 'static' AS embedding_model, 'made' AS algorithm, '{{}}' AS parameters,
    1 AS seed, count(*) AS units, 0 AS noise, 1 AS layers, 0 AS default_layer, 0.97 AS trustworthiness,
    now() AS created_at
FROM made;
INSERT INTO trajectory_cluster_summaries BY NAME
SELECT md5('run')::UUID AS cluster_run_id, 0 AS layer, m.cluster_id,
    'subject ' || any_value(m.c) || ', of many' AS name,
    'words' AS name_source, ['a', 'b'] AS words, list(m.unit_id)[:5] AS prototypes, count(*) AS units,
    avg(u.outcome) AS outcome_rate, count(u.outcome) AS outcomes, 0.1 AS error_rate, avg(u.quality) AS quality,
    3.0 AS turns, 100.0 AS prompt_tokens, 50.0 AS completion_tokens, 2.0 AS seconds, avg(t.x) AS x, avg(t.y) AS y,
    '[]' AS over_represented
FROM made m JOIN trajectory_units u USING (unit_id) JOIN trajectory_clusters t USING (unit_id)
WHERE m.cluster_id IS NOT NULL GROUP BY m.cluster_id;
"""
# The time between frames while something is going on, as the page itself sees it.
WATCH = """() => { window.frames_ = []; let last = performance.now();
    const step = (now) => { window.frames_.push(now - last); last = now; window.going_ = requestAnimationFrame(step); };
    window.going_ = requestAnimationFrame(step); }"""
STOP = "() => { cancelAnimationFrame(window.going_); return window.frames_.slice(3); }"
PAINTED = """() => { const canvas = document.querySelector('canvas'); if (!canvas || !canvas.width) return false;
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set(); for (let i = 0; i < data.length; i += 4 * 97) seen.add(data[i] << 8 | data[i + 1]);
    return seen.size > 8; }"""


def main() -> None:
    """Fill, serve, look, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--clusters", type=int, default=60)
    given = parser.parse_args()
    with temporary_postgres() as postgres:
        bench = postgres.folder / "workbench.duckdb"
        _fill(bench, given.points, given.clusters)
        with _served(postgres.database(), bench) as origin:
            figures = {**_api(origin), **_page(origin, RESULTS)}
    for figure in figures.values():
        figure["ratio"] = figure["is"] / figure["limit"]
    print(f"{'what':<44} {'figure':>10} {'limit':>9} {'ratio':>7}")
    for name, figure in figures.items():
        print(f"{name:<44} {figure['is']:10.1f} {figure['limit']:9.0f} {figure['ratio']:7.2f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ui_map.json").write_text(json.dumps({"points": given.points, "figures": figures}, indent=1))


def _fill(path: Path, points: int, clusters: int) -> None:
    for kind in (Workbench, Embeddings):
        with kind(path)._open():
            pass
    with Clusters(path)._open() as connection:
        for statement in FILL.format(points=points, clusters=clusters).split(";\n"):
            if statement.strip():
                connection.execute(statement)


@contextmanager
def _served(dsn: str, bench: Path) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(dsn, workbench=bench), log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            while not server.started:
                time.sleep(0.05)
            yield origin
        finally:
            server.should_exit = True
            thread.join()


def _api(origin: str) -> dict[str, dict[str, float]]:
    asked = urllib.request.Request(f"{origin}/api/clusters/columns", headers={"Accept-Encoding": "gzip"})
    times, body = [], b""
    for _ in range(7):
        began = time.perf_counter()
        with urllib.request.urlopen(asked) as reply:
            body = reply.read()
        times.append((time.perf_counter() - began) * 1e3)
    assert json.loads(gzip.decompress(body))["map"]["points"] > 0
    return {
        "the map's columns, ms": {"is": median(times), "limit": ANSWER},
        "the map's columns, bytes packed": {"is": float(len(body)), "limit": PACKED},
    }


def _page(origin: str, folder: Path) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        cold = []
        for _ in range(3):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            began = time.perf_counter()
            page.goto(f"{origin}/map", wait_until="commit")
            page.wait_for_function(PAINTED, polling=20)
            cold.append((time.perf_counter() - began) * 1e3)
            context.close()
        figures["cold to painted, ms"] = {"is": median(cold), "limit": COLD}
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{origin}/map")
        page.wait_for_function(PAINTED, polling=20)
        page.wait_for_timeout(500)
        box = page.locator("[role=application]").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        figures["frames while panning, p95 ms"] = _frames(page, lambda: _drag(page, x, y))
        figures["frames while zooming, p95 ms"] = _frames(page, lambda: _zoom(page, x, y))
        page.keyboard.press("0")
        page.get_by_role("checkbox").first.check()
        page.wait_for_timeout(300)
        figures["frames while panning a selection, p95 ms"] = _frames(page, lambda: _drag(page, x, y))
        folder.mkdir(exist_ok=True)
        page.screenshot(path=str(folder / "ui_map.png"))
        browser.close()
    return figures


def _drag(page: Page, x: float, y: float) -> None:
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(x + (step % 40) * 4, y + (step % 30) * 3)
        page.wait_for_timeout(12)
    page.mouse.up()


def _zoom(page: Page, x: float, y: float) -> None:
    page.mouse.move(x, y)
    for step in range(60):
        page.mouse.wheel(0, -60 if step < 30 else 60)
        page.wait_for_timeout(16)


def _frames(page: Page, act: Any) -> dict[str, float]:
    page.evaluate(WATCH)
    act()
    frames = sorted(page.evaluate(STOP))
    return {"is": frames[int(len(frames) * 0.95)], "limit": FRAME, "median": median(frames), "frames": len(frames)}


if __name__ == "__main__":
    main()
