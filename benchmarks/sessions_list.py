"""The list of sessions over HTTP: 100,000 of them, first pages by sort and filter, deep pages, facets, search.

    python benchmarks/sessions_list.py [--sessions 100000]

Fills a separate PostgreSQL in a temporary folder, serves it by the web process's application on a socket, and asks
for it as a page does. Prints a table and writes JSON to benchmarks/results/sessions_list.json. A ratio above 1 misses.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import uvicorn
from _postgres import temporary_postgres

from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app

RESULTS = Path(__file__).parent / "results"
LARGE = Path(__file__).with_name("large_graph.sql")
LIMIT = 150.0  # milliseconds of a first page
LIMIT_OF_FACETS = 500.0  # which are shown when they come
ROUNDS = 7

# Models, themes, errors, replays and outcomes as a log of many months has them: few frequent values, many rare ones.
VARY = """
INSERT INTO seed_themes (theme_id, name, scope, created_at)
SELECT md5('theme ' || t)::uuid, 'theme ' || t, 'large', now() FROM generate_series(1, 40) AS t;
UPDATE conversation_sessions s SET theme_id = md5('theme ' || (1 + least(39, floor(-6 * ln(1 - v.a)))))::uuid,
    turns = 1 + floor(-8 * ln(1 - v.b)), errors = greatest(0, floor(3 * v.c - 1.9)),
    replays = CASE WHEN v.d < 0.1 THEN 4 ELSE 0 END,
    models = CASE WHEN v.d < 0.5 THEN ARRAY['large-model'] WHEN v.d < 0.999 THEN ARRAY['small-model', 'tiny-model']
                  ELSE ARRAY['rare-model'] END,
    purposes = CASE WHEN v.e < 0.2 THEN ARRAY['side:title'] ELSE ARRAY['chat'] END, is_side = v.e < 0.2,
    kinds = CASE WHEN v.d < 0.1 THEN ARRAY['model_variant', 'retry'] ELSE '{}' END,
    reward = CASE WHEN v.c < 0.6 THEN round(v.e::numeric, 2) END
FROM (SELECT session_id, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e
      FROM conversation_sessions) AS v WHERE v.session_id = s.session_id;
"""


def main() -> None:
    """Fill, serve, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    sessions = parser.parse_args().sessions
    with temporary_postgres() as postgres:
        dsn = postgres.database()
        with connect(dsn, autocommit=True) as connection:
            with connection.transaction():
                connection.execute(LARGE.read_text().format(prefix="b", sessions=sessions, turns=2).encode())
            connection.execute(VARY.encode())
            connection.execute("VACUUM ANALYZE")
        with _served(dsn) as port:
            figures = _measured(port)
    print(f"{'what is asked for':<44} {'ms':>8} {'limit':>7} {'ratio':>7}")
    for name, figure in figures.items():
        print(f"{name:<44} {figure['ms']:8.1f} {figure['limit_ms']:7.0f} {figure['ratio']:7.2f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sessions_list.json").write_text(json.dumps({"sessions": sessions, "figures": figures}, indent=1))


@contextmanager
def _served(dsn: str) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(dsn), log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _measured(port: int) -> dict[str, dict[str, float]]:
    client = http.client.HTTPConnection("127.0.0.1", port)
    figures: dict[str, dict[str, float]] = {}

    def ask(path: str, **query: object) -> dict[str, object]:
        client.request("GET", f"/api/{path}?{urlencode(query, doseq=True)}")
        reply = client.getresponse()
        body = reply.read()
        assert reply.status == 200, body
        return dict(json.loads(body))

    def note(name: str, path: str, **query: object) -> None:
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            ask(path, **query)
            times.append((time.perf_counter() - began) * 1e3)
        limit = LIMIT_OF_FACETS if path.endswith(("facets", "figures")) else LIMIT
        figures[name] = {"ms": median(times), "first_ms": times[0], "limit_ms": limit, "ratio": median(times) / limit}

    while True:
        try:
            ask("health")
            break
        except ConnectionRefusedError:
            client.close()
            time.sleep(0.1)
    for sort in ("recent", "started", "turns", "errors", "reward"):
        note(f"first page by {sort}", "sessions", limit=100, sort=sort)
    note("first page, worst outcome first", "sessions", limit=100, sort="reward", order="asc")
    note("first page, without side calls", "sessions", limit=100, side="false")
    note("first page of a rare model", "sessions", limit=100, model="rare-model")
    note(
        "first page of a theme with errors, by turns",
        "sessions",
        limit=100,
        theme="theme 3",
        errors="true",
        sort="turns",
    )
    note("first page of what no session is", "sessions", limit=100, model="none", sort="turns")
    note("first page of a rare word", "sessions", limit=100, text="question 4711")
    note("first page of a word of every session", "sessions", limit=100, text="question")
    cursor = None
    for _ in range(50):
        cursor = ask("sessions", limit=200, sort="turns", **({"before": cursor} if cursor else {}))["next"]
    note("page 51 by turns", "sessions", limit=200, sort="turns", before=cursor)
    note("facets of all", "sessions/facets")
    note("figures of themes (as the facets: apart)", "themes/figures")
    note("facets of a theme with errors", "sessions/facets", theme="theme 3", errors="true")
    return figures


if __name__ == "__main__":
    main()
