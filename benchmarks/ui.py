"""The budgets of the page, together: its first load, trees, the map, review and the list of sessions.

    python benchmarks/ui.py [--only first_load ui_tree]

Measures what the first page loads, in Chromium, and runs the benchmarks of the pages, each of which fills servers of
its own. Prints one table, of everything that has a limit, and writes JSON to benchmarks/results/ui.json. A ratio above
1 misses. Chromium is the one that REGRAFT_CHROMIUM names, or the system's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PROGRAMS = ("ui_tree", "ui_map", "ui_review", "sessions_list")
FIRST_LOAD = "first_load"
TREE_NODES = 3_000
FIRST_LOAD_KB = 200.0  # compressed, all files of the first page
PAGES = ("/", "/review", "/datasets", "/map")

Figures = dict[str, dict[str, float]]


def main() -> int:
    """Measure, print; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=(FIRST_LOAD, *PROGRAMS), default=(FIRST_LOAD, *PROGRAMS))
    only = parser.parse_args().only
    figures: Figures = {}
    if FIRST_LOAD in only:
        figures |= _first_load()
    for name in PROGRAMS:
        if name in only:
            subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=True)
            found = json.loads((RESULTS / f"{name}.json").read_text())
            figures |= {f"{name}: {what}": figure for what, figure in _figures(found) if _limit(figure)}
    print(f"\n{'what':<64} {'measured':>10} {'limit':>10} {'ratio':>7}")
    for what, figure in figures.items():
        figure["ratio"] = figure.get("ratio", figure.get("is", 0.0) / _limit(figure))
        print(f"{what:<64} {figure['ratio'] * _limit(figure):10.1f} {_limit(figure):10.1f} {figure['ratio']:7.2f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ui.json").write_text(json.dumps({"figures": figures}, indent=1))
    return int(any(figure["ratio"] > 1 for figure in figures.values()))


def _figures(found: Any) -> Iterable[tuple[str, dict[str, float]]]:
    """What a benchmark wrote: figures by name, or lines of a table, of which those of 3,000 nodes have a limit."""
    if isinstance(found, dict):
        return found["figures"].items()
    return ((line.pop("what"), line) for line in found if line.pop("nodes") == TREE_NODES)


def _limit(figure: dict[str, float]) -> float:
    """The limit of a figure; 0 where it has none."""
    return next((value for key, value in figure.items() if key.startswith("limit")), 0.0)


def _first_load() -> Figures:
    """Compressed kilobytes of the files that each page loads, as the first one in a fresh browser."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from _postgres import temporary_postgres
    from playwright.sync_api import sync_playwright

    from support.chromium import ARGUMENTS, find_chromium

    subprocess.run([sys.executable, str(HERE.parent / "ui" / "build.py")], check=True)
    figures: Figures = {}
    with (
        temporary_postgres() as postgres,
        _served(postgres.database()) as origin,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS)) as browser,
    ):
        for path in PAGES:
            size = _transferred(browser, origin, path) / 1000
            figures[f"first load of {path}, kB"] = {
                "kb": size,
                "limit_kb": FIRST_LOAD_KB,
                "ratio": size / FIRST_LOAD_KB,
            }
    return figures


def _transferred(browser: Any, origin: str, path: str) -> int:
    """Bytes of files, unchanged over the wire, without what the API said."""
    with browser.new_context() as context:
        page = context.new_page()
        watched = context.new_cdp_session(page)
        addresses: dict[str, str] = {}
        sizes: dict[str, int] = {}
        watched.on("Network.responseReceived", lambda e: addresses.update({e["requestId"]: e["response"]["url"]}))
        watched.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}))
        watched.send("Network.enable")
        page.goto(origin + path)
        page.get_by_role("heading", level=1).first.wait_for()
        page.wait_for_timeout(500)  # what is loaded ahead
        return sum(size for request, size in sizes.items() if not urlsplit(addresses[request]).path.startswith("/api/"))


@contextmanager
def _served(dsn: str) -> Iterator[str]:
    import socket

    import uvicorn

    from regraft.presentation.web.app import make_app

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(dsn), log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    sys.exit(main())
