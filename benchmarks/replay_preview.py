"""Estimates of a replay while its form is filled in, compared with an acceptable delay for typing.

    python benchmarks/replay_preview.py

Imports conversations of 50 turns (12,000 characters) into a separate PostgreSQL, and previews replays of their last
nodes: one context, twenty, two hundred. Prints a table and writes JSON to benchmarks/results/replay_preview.json.
A ratio above 1 misses its limit.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from uuid import UUID

from _postgres import temporary_postgres

from regraft.domain.replay.experiment import Experiment, grid
from regraft.domain.replay.job import Variant
from regraft.flows.capture.importing import import_files
from regraft.flows.lineage.build import build
from regraft.flows.replay.service import ReplayService, ReplaySetup
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

RESULTS = Path(__file__).parent / "results"
CONVERSATIONS, TURNS, WORDS = 10, 50, 20
ROUNDS = 7
TEMPERATURES = [place / 10 for place in range(10)]
CASES = (  # name, contexts, samples of each of ten variants, milliseconds
    ("1 context, 10 jobs", 1, 1, 150),
    ("20 contexts, 1,000 jobs", 20, 5, 500),
    ("200 contexts, 10,000 jobs", 200, 5, 5000),
)


def main() -> None:
    """Fill, preview, print."""
    with temporary_postgres() as postgres:
        file = postgres.folder / "conversations.jsonl"
        file.write_text("".join(json.dumps({"messages": conversation(one)}) + "\n" for one in range(CONVERSATIONS)))
        figures = measure(postgres.dsn, file)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "replay_preview.json").write_text(json.dumps(figures, indent=1))
    for name, figure in figures.items():
        print(f"{name:<32} {figure['ms']:>10.1f} ms {figure['limit_ms']:>8.0f} {figure['ratio']:>8.2f}")


def conversation(number: int) -> list[dict[str, str]]:
    """Questions and answers of a hundred-odd characters each."""
    said = f"words of conversation {number} " + "and more of them " * (WORDS // 4)
    return [{"role": role, "content": f"{said}{turn}"} for turn in range(TURNS) for role in ("user", "assistant")]


def measure(dsn: str, file: Path) -> dict[str, dict[str, float]]:
    """By what is previewed: median milliseconds, the limit, and their ratio."""
    with connect(dsn, autocommit=True) as connection:
        migrate(connection)
    import_files(dsn, [file])
    build(dsn)
    with connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        rows = connection.execute(
            "SELECT node_id FROM conversation_branch_nodes ORDER BY depth DESC, node_id LIMIT 200"
        ).fetchall()
    nodes: list[UUID] = [row["node_id"] for row in rows]
    service = ReplayService(dsn, ReplaySetup(gateway=lambda: GatewayEndpoint("")))
    figures: dict[str, dict[str, float]] = {}
    for name, contexts, samples, limit in CASES:
        variants = tuple(grid({"temperature": TEMPERATURES}, Variant(model="small")))
        asked = Experiment(nodes=tuple(map(str, nodes[:contexts])), variants=variants, samples=samples)
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            found = service.outlook(asked)
            times.append((time.perf_counter() - began) * 1e3)
        assert found.preview.jobs == contexts * len(TEMPERATURES) * samples, (name, found.preview.jobs)
        figures[name] = {"ms": median(times[1:]), "limit_ms": limit, "ratio": median(times[1:]) / limit}
    service.close()
    return figures


if __name__ == "__main__":
    main()
