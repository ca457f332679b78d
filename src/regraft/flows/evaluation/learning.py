"""The learned labeller: trained on people's labels, judged on labels that it was not trained on, and applied only where
it beats the majority class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from regraft.domain.datasets.splits import Members, components
from regraft.domain.evaluation.agreement import class_figures, cohens_kappa
from regraft.domain.evaluation.learned import LabellerFigures, hindrance, verdict
from regraft.domain.evaluation.taxonomy import DEFAULT_THRESHOLD, Taxonomy
from regraft.domain.ids import digest_json
from regraft.infra.duckdb.evaluation.categories import CategoryLabels
from regraft.infra.duckdb.evaluation.labellers import Labellers
from regraft.infra.statistics.labeller import one_thread

VERSION = 1  # of how labels are learned
_FIGURES = pa.schema(
    [
        *((name, pa.string()) for name in ("category", "version", "embedding_model", "reason")),
        *((name, pa.int64()) for name in ("labels", "positives", "components")),
        *((name, pa.float64()) for name in ("majority", "accuracy", "kappa", "precision", "recall", "f1", "auc")),
        *((name, pa.float64()) for name in ("certainty", "strength")),
    ]
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LearningCounts:
    """What one run did: whether anything was ``trained``, how many categories are decided by learning now, and of how
    many that cannot be said."""

    trained: bool
    deciding: int
    undecided: int


@dataclass(frozen=True, slots=True)
class _Units:
    ids: list[str]
    places: dict[str, int]
    rows: Any  # features, float32 (n, k)
    components: Any  # int (n,)
    model: str


def learn_labels(workbench: Path, taxonomy: Taxonomy) -> LearningCounts:
    """Train a labeller for each category that people labelled, and label every unit by those that beat the majority.

    Units, vectors and people's labels must be up to date. The same of all of them gives the same labels, and trains
    nothing again.
    """
    bench = Labellers(workbench)
    if not (CategoryLabels(workbench).measured() and bench.embedded()):
        return LearningCounts(False, 0, 0)
    CategoryLabels(workbench).coverage()  # its table is there from now on
    state = bench.state(f"{taxonomy.version}.{VERSION}")
    trained = state != bench.known_state()
    if trained:
        with one_thread():
            _train(bench, taxonomy, state)
    figures = bench.figures()
    deciding = sum(not row["reason"] for row in figures)
    return LearningCounts(trained, deciding, len(figures) - deciding)


def labellers(workbench: Path) -> list[Row]:
    """What each category's labeller is worth, by category."""
    return Labellers(workbench).figures()


def _train(bench: Labellers, taxonomy: Taxonomy, state: str) -> None:
    people = {
        category: [(row["unit_id"], row["holds"]) for row in rows]
        for category, rows in groupby(bench.people(), key=lambda row: str(row["category"]))
    }
    thresholds = taxonomy.thresholds()
    wanted = [*taxonomy.names, *sorted(people.keys() - thresholds.keys())]
    found: list[Row] = []
    tables: list[pa.Table] = []
    units = _units(bench.units()) if people else None
    for category in wanted:
        said = people.get(category, [])
        if units is None or not said:
            figures, values = (
                LabellerFigures(
                    category=category, labels=0, positives=0, components=0, majority=0.0, reason="too_few_labels"
                ),
                None,
            )
        else:
            figures, values = _learn(category, said, units)
        version = f"learned@{digest_json([VERSION, category, units.model if units else '', said]).hex()[:12]}"
        model = units.model if units else ""
        found.append({**asdict(figures), "version": version, "embedding_model": model})
        if units is not None and values is not None:
            tables.append(_labels(figures, version, units.ids, values, thresholds.get(category, DEFAULT_THRESHOLD)))
    bench.replace(state, pa.Table.from_pylist(found, schema=_FIGURES), tables)


def _units(table: pa.Table) -> _Units:
    from regraft.infra.statistics import labeller

    count = table.num_rows
    ids = table["unit_id"].to_pylist()

    def matrix(name: str) -> Any:
        return table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(count, -1)

    members = Members()
    keys = ("session_id", "task_key", "text_hash")
    for unit, session, task, text in zip(ids, *(table[name].to_pylist() for name in keys), strict=True):
        members.add(unit, session, [f"text {text}", *([f"task {task}"] if task else [])])
    import numpy as np

    return _Units(
        ids=ids,
        places={unit: place for place, unit in enumerate(ids)},
        rows=labeller.features(matrix("vector"), matrix("signals")),
        components=np.frombuffer(components(members), np.uint64),
        model=table["model"][0].as_py(),
    )


def _learn(category: str, said: Sequence[tuple[str, bool]], units: _Units) -> tuple[LabellerFigures, Any]:
    """The figures, and the probability of the category for each unit where they suffice: held out for labelled ones."""
    import numpy as np

    from regraft.infra.statistics import labeller

    places = np.array([units.places[unit] for unit, _ in said])
    labels = np.array([holds for _, holds in said])
    component = units.components[places]
    positives, related = int(labels.sum()), len(np.unique(component))
    majority = max(positives, len(said) - positives) / len(said)
    figures = LabellerFigures(
        category=category,
        labels=len(said),
        positives=positives,
        components=related,
        majority=majority,
        reason=hindrance(len(said), positives, related),
    )
    if figures.reason:
        return figures, None
    rows = units.rows[places]
    out = labeller.held_out(rows, labels, component)
    guessed = out.probabilities > DEFAULT_THRESHOLD
    right = guessed == labels
    sure = labeller.certainty(right, labels == (positives * 2 > len(said)), component)
    counts = [[int(np.sum((labels == a) & (guessed == b))) for b in (True, False)] for a in (True, False)]
    of_yes = class_figures(counts, 0)
    figures = replace(
        figures,
        accuracy=float(right.mean()),
        kappa=cohens_kappa(counts),
        precision=of_yes.precision,
        recall=of_yes.recall,
        f1=of_yes.f1,
        auc=labeller.auc_of(labels, out.probabilities),
        certainty=sure,
        strength=out.strength,
        reason=verdict(float(right.mean()), majority, sure),
    )
    if figures.reason:
        return figures, None
    values = labeller.probabilities(units.rows, labeller.fit(rows, labels, out.strength))
    values[places] = out.probabilities
    return figures, values


def _labels(figures: LabellerFigures, version: str, ids: list[str], values: Any, threshold: float) -> pa.Table:
    evidence = json.dumps(
        [f"right on {figures.accuracy:.2f} of {figures.labels} held-out labels, the majority on {figures.majority:.2f}"]
    )

    def always(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array([0] * len(ids), pa.int32()), pa.array([text]))

    return pa.table(
        {
            "unit_id": pa.array(ids, pa.string()),
            "category": always(figures.category),
            "version": always(version),
            "evidence": always(evidence),
            "value": pa.array(values, pa.float64()),
            "decided": pa.array(values >= threshold, pa.bool_()),
        }
    )
