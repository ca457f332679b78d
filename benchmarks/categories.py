"""Pivots and category labels of 100,000 paths: values, rules, the learned labeller, clusters.

    python benchmarks/categories.py [--units 100000] [--labels 500]

The workbench is made here: sessions of five answers to one context, two steps below their root, a third of them with
tool calls; 384-dimensional vectors of which one direction tells a category. Prints paths a second of each step, and the
ratio to what bounds it in the same run: reading the same columns as Python values, or multiplying the same matrices.
Writes JSON to benchmarks/results/categories.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from regraft.flows.evaluation import categories, learning
from regraft.flows.evaluation.pivots import _RATINGS, _found
from regraft.infra.duckdb.evaluation.categories import CategoryLabels
from regraft.infra.duckdb.evaluation.pivots import Pivots
from regraft.infra.files.taxonomies import default_taxonomy
from regraft.infra.queries import queries
from regraft.infra.statistics import labeller

RESULTS = Path(__file__).parent / "results"
DIMENSIONS = 384
ANSWERS = 5  # to each context
_UNITS = """
INSERT INTO trajectory_units BY NAME
SELECT md5('unit ' || n)::UUID AS unit_id, md5('session ' || n // 5)::UUID AS session_id,
       md5('turn ' || n)::UUID AS turn_id, md5('anchor ' || n // 5)::UUID AS anchor,
       'theme ' || (n // 5) % 9 AS theme, 'chat' AS purpose, 'small' AS model,
       'ok' AS node_status, [md5('root ' || n // 5), md5('step ' || n // 5), md5('unit ' || n)]::UUID[] AS path_nodes,
       [md5('r ' || n // 5), md5('s ' || n // 5), md5('anchor ' || n // 5)]::UUID[] AS path_anchors,
       ['continuation', 'continuation', 'retry'] AS kinds, ['stop', 'stop', 'stop'] AS finish_reasons, 3 AS turns,
       n % 3 AS tool_calls, n % 2 AS tool_errors, 0 AS repeated_calls, 0 AS recovered_calls, 900 AS prompt_tokens,
       90 AS completion_tokens, 2.5 AS seconds, false AS answer_empty, 100 + hash(n) % 4000 AS answer_length,
       0.5 + (hash(n) % 40) / 10 AS relative_length, 0.01 AS repetition, 0.9 AS quality,
       (hash(n + 1) % 2)::DOUBLE AS outcome, TIMESTAMP '2026-01-01' AS started_at,
       repeat('[user] a question [assistant] ', 60) || n AS text
FROM range($units) AS numbers (n)
"""


def made(bench: Path, units: int) -> None:
    """The workbench: units, vectors, clusters, and the answers of pivots with their tool calls."""
    tables = ("workbench", "embeddings", "pivots", "categories", "clusters")
    random = np.random.default_rng(1)
    vectors = random.standard_normal((units, DIMENSIONS)).astype(np.float32)
    vectors[:, 0] += np.where(np.arange(units) % 2 == 0, 6.0, -6.0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with duckdb.connect(str(bench)) as connection:
        for name in tables:
            connection.execute(queries(f"duckdb/evaluation/{name}")["schema"].decode())
        connection.execute(_UNITS, {"units": units})
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSIONS).cast(pa.list_(pa.float32()))
        connection.register("made", pa.table({"n": pa.array(range(units)), "vector": lists}))
        connection.execute(
            "INSERT INTO trajectory_embeddings SELECT md5('unit ' || n)::UUID, 'invented', md5('text ' || n), vector"
            " FROM made"
        )
        connection.execute(
            "INSERT INTO trajectory_clusters SELECT md5('run')::UUID, md5('unit ' || n)::UUID, 0,"
            " md5('cluster ' || n % 50)::UUID, 1, 'fit', 0, 0 FROM made"
        )
        connection.execute(
            "INSERT INTO pivot_answers SELECT anchor, 'outcome', session_id, unit_id, outcome, 1, tool_calls"
            " FROM trajectory_units"
        )


def rate(units: int, act: Callable[[], Any]) -> float:
    """Paths a second."""
    began = time.perf_counter()
    act()
    return units / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=500)
    asked = parser.parse_args()
    units, taxonomy = asked.units, default_taxonomy()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Path(folder) / "workbench.duckdb"
        made(bench, units)
        pivots, labels = Pivots(bench), CategoryLabels(bench)
        nobody = pa.Table.from_pylist([], schema=_RATINGS)

        def in_batches(sessions: list[str], act: Callable[[list[str]], Any]) -> None:
            for start in range(0, len(sessions), 5_000):
                act(sessions[start : start + 5_000])

        changed = list(pivots.changed(nobody))
        bare = rate(units, lambda: in_batches(changed, lambda batch: pivots.paths(batch, nobody)))
        found = rate(units, lambda: in_batches(changed, lambda batch: _found(pivots.paths(batch, nobody))))
        figures["pivots"] = {"per_second": found, "limit": bare}
        sessions = list(labels.changed("bare"))
        bare = rate(units, lambda: in_batches(sessions, lambda batch: labels.facts(batch, 640)))
        ruled = rate(units, lambda: categories._apply_rules(labels, taxonomy))
        figures["rules"] = {"per_second": ruled, "limit": bare}

        with duckdb.connect(str(bench)) as connection:
            connection.execute(
                "INSERT INTO unit_category_labels BY NAME SELECT md5('unit ' || n)::UUID AS unit_id,"
                " md5('session ' || n // 5)::UUID AS session_id, 'overlong' AS category, 'human' AS layer,"
                " 'people' AS maker, '' AS version, (n % 2 = 0)::DOUBLE AS value, n % 2 = 0 AS decided,"
                " 1 AS confidence, 1 AS votes, 0 AS unparseable, '[]' AS evidence FROM range($labels) AS numbers (n)",
                {"labels": asked.labels},
            )
        matrix = np.random.default_rng(2).standard_normal((units, DIMENSIONS)).astype(np.float32)
        with labeller.one_thread():
            bare = rate(units, lambda: labeller.probabilities(matrix, labeller.Model(np.ones(DIMENSIONS), 0.0)))
        learned = rate(units, lambda: learning.learn_labels(bench, taxonomy))
        assert next(row for row in learning.labellers(bench) if row["category"] == "overlong")["reason"] == ""
        figures["learned, trained and applied"] = {"per_second": learned, "limit": bare}
        nothing = rate(units, lambda: learning.learn_labels(bench, taxonomy))
        figures["learned, nothing new"] = {"per_second": nothing, "limit": bare}
        figures["clusters"] = {"per_second": rate(units, lambda: categories.label_clusters(bench)), "limit": bare}
    print(f"{'step':<30}{'paths/s':>12}{'seconds':>10}{'limit/s':>14}{'ratio':>8}")
    for name, each in figures.items():
        each["ratio"] = each["per_second"] / each["limit"]
        seconds = units / each["per_second"]
        print(f"{name:<30}{each['per_second']:>12,.0f}{seconds:>10.2f}{each['limit']:>14,.0f}{each['ratio']:>8.3f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "categories.json").write_text(json.dumps({"units": units, **figures}, indent=1))


if __name__ == "__main__":
    main()
