"""Clusters of trajectories at size: a fit with its map, later units, a second fit, and how well a mixture is found.

    python benchmarks/clusters.py [--units 100000] [--clusters 60] [--dimensions 384]

Units are drawn around random directions, 5 % of them around none. Prints each step beside its target: the fit with its
map, the tables and the summaries in 180 s and 2 GiB, 1,000 later units in 1 s; the adjusted Rand index with the
clusters that were drawn at least 0.9; after 10 % more units and a new fit at least 95 % of the units that had a cluster
in one of the same id. Writes JSON to benchmarks/results/clusters.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa
from _postgres import temporary_postgres
from embedding import unit
from sklearn.metrics import adjusted_rand_score

from regraft.flows.evaluation.clusters import materialise_clusters
from regraft.flows.evaluation.trajectories import _UNITS
from regraft.infra.duckdb.evaluation.embeddings import Embeddings
from regraft.infra.duckdb.evaluation.workbench import Workbench

RESULTS = Path(__file__).parent / "results"
MODEL = "drawn"
LATER = 1_000
TARGETS = {"fit": 180.0, "later": 1.0, "ari": 0.9, "same_id": 0.95, "mib": 2_048}


class Mixture:
    """Unit vectors around random directions, with a mean cosine of 0.5 between two of one; and the direction of each,
    -1 for those of none."""

    def __init__(self, units: int, clusters: int, dimensions: int) -> None:
        random = np.random.default_rng(1)
        centers = random.normal(size=(clusters, dimensions))
        centers /= np.linalg.norm(centers, axis=1, keepdims=True)
        drawn = random.choice(clusters, size=units, p=random.dirichlet(np.full(clusters, 3.0)))
        vectors = (centers[drawn] + random.normal(size=(units, dimensions)) / dimensions**0.5).astype(np.float32)
        lost = random.random(units) < 0.05
        vectors[lost] = random.normal(size=(int(lost.sum()), dimensions))
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.drawn = np.where(lost, -1, drawn)


def add(bench: Path, mixture: Mixture, first: int, last: int) -> None:
    """Put units of the mixture and their vectors into the workbench."""
    for start in range(first, last, 10_000):
        numbers = range(start, min(start + 10_000, last))
        Workbench(bench).replace_units([], pa.Table.from_pylist([unit(n, 60) for n in numbers], schema=_UNITS))
        units = [{"unit_id": UUID(int=number), "text_hash": str(number)} for number in numbers]
        flat = pa.array(mixture.vectors[numbers.start : numbers.stop].ravel())
        offsets = pa.array(np.arange(len(numbers) + 1, dtype=np.int32) * mixture.vectors.shape[1])
        Embeddings(bench).add(MODEL, units, pa.ListArray.from_arrays(offsets, flat))


@dataclass(frozen=True)
class Step:
    """What one materialisation found, and what it took: seconds of wall and CPU, and MiB at most."""

    fitted: bool
    clusters: int
    trustworthiness: float | None
    wall: float
    cpu: float
    mib: float


def materialise(dsn: str, bench: Path, refit: bool = False) -> Step:
    """Bring the clusters up to the units."""
    began, busy = time.perf_counter(), time.process_time()
    done = materialise_clusters(dsn, bench, MODEL, refit=refit)
    taken = time.perf_counter() - began, time.process_time() - busy
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Step(done.fitted, done.clusters, done.trustworthiness, *taken, most)


def alone(dsn: str, bench: Path, refit: bool = False) -> Step:
    """The same in a separate process, so that its memory is what it needs."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return pool.submit(materialise, dsn, bench, refit).result()


def clusters_of(bench: Path) -> dict[int, UUID | None]:
    """By number of the unit its cluster at the default layer."""
    with duckdb.connect(str(bench)) as connection:
        rows = connection.execute(
            "SELECT unit_id, cluster_id FROM trajectory_clusters JOIN trajectory_cluster_run r USING (cluster_run_id)"
            " WHERE layer = r.default_layer"
        ).fetchall()
    return {unit_id.int: cluster for unit_id, cluster in rows}


def rand_index(mixture: Mixture, found: dict[int, UUID | None], count: int) -> float:
    """The adjusted Rand index of what was drawn and what was found."""
    return float(adjusted_rand_score(mixture.drawn[:count], [str(found[number]) for number in range(count)]))


def run(count: int, clusters: int, dimensions: int) -> dict[str, Any]:
    """All steps, each with what it found and took."""
    more = max(count // 10, 2 * LATER)
    mixture = Mixture(count + more, clusters, dimensions)
    with temporary_postgres() as server:
        dsn, bench = server.database(), server.folder / "workbench.duckdb"
        add(bench, mixture, 0, count)
        fit = alone(dsn, bench)
        before = clusters_of(bench)
        add(bench, mixture, count, count + LATER)
        # A process that has everything loaded, as a service or a run of several assets has.
        materialise(dsn, bench)
        add(bench, mixture, count + LATER, count + 2 * LATER)
        later = materialise(dsn, bench)
        add(bench, mixture, count + 2 * LATER, count + more)
        again = alone(dsn, bench, refit=True)
        after = clusters_of(bench)
    same = sum(before[number] == after[number] for number in before if before[number]) / sum(map(bool, before.values()))
    return {
        "units": count,
        "fit": asdict(fit),
        "later": asdict(later),
        "again": asdict(again),
        "ari": rand_index(mixture, before, count),
        "ari_again": rand_index(mixture, after, count + more),
        "same_id": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--clusters", type=int, default=60)
    parser.add_argument("--dimensions", type=int, default=384)
    given = parser.parse_args()
    found = run(given.units, given.clusters, given.dimensions)
    fit, later, again = found["fit"], found["later"], found["again"]
    print(f"{'':34}{'measured':>10}{'target':>10}{'ratio':>8}")
    for name, value, target in (
        (f"{given.units} units fitted and mapped, s", fit["wall"], TARGETS["fit"]),
        ("  the same, CPU s", fit["cpu"], TARGETS["fit"]),
        ("  the same, MiB", fit["mib"], TARGETS["mib"]),
        (f"{LATER} later units, s", later["wall"], TARGETS["later"]),
        ("  the same, CPU s", later["cpu"], TARGETS["later"]),
        ("10 % more units, fitted anew, s", again["wall"], TARGETS["fit"]),
    ):
        print(f"{name:34}{value:>10.2f}{target:>10g}{value / target:>8.2f}")
    ari, kept = TARGETS["ari"], TARGETS["same_id"]
    print(f"adjusted Rand index {found['ari']:.3f}, of the second fit {found['ari_again']:.3f} (at least {ari})")
    print(f"in a cluster of the same id after the second fit: {found['same_id']:.1%} (at least {kept:.0%})")
    print(f"clusters {fit['clusters']} of {given.clusters}; trustworthiness of the map {fit['trustworthiness']:.3f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "clusters.json").write_text(json.dumps({**found, "targets": TARGETS}, indent=2) + "\n")


if __name__ == "__main__":
    main()
