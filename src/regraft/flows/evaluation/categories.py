"""Categories of paths: what rules, judges and people say of each, side by side in the workbench."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.evaluation.calibration import standing
from regraft.domain.evaluation.category_rules import (
    QUESTION_LENGTH,
    VERSION,
    Counterfactual,
    RuleLabel,
    UnitFacts,
    rule_labels,
)
from regraft.domain.evaluation.taxonomy import DEFAULT_THRESHOLD, SIGNAL_NAMES, Layer, SignalName, Taxonomy
from regraft.flows.evaluation.calibration import calibrate, calibrations
from regraft.flows.evaluation.pivots import materialise_pivots
from regraft.infra.duckdb.evaluation.categories import CategoryLabels
from regraft.infra.duckdb.evaluation.cluster_categories import ClusterCategories
from regraft.infra.postgres.arrow import reading

_BATCH = 5_000  # sessions in memory at a time
_LAST_ANSWER = "[assistant]\n"
_TEXT = pa.string()
LABELS = pa.schema(
    [
        *((name, _TEXT) for name in ("unit_id", "category", "layer", "maker", "version", "evidence", "model_snapshot")),
        *((name, pa.float64()) for name in ("value", "confidence")),
        ("decided", pa.bool_()),
        *((name, pa.int64()) for name in ("votes", "unparseable")),
    ]
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """What one run did: sessions that rules looked at again, and how many labels each layer has now."""

    taxonomy: str
    sessions: int
    labels: dict[str, int]


def label_units(dsn: str, workbench: Path, taxonomy: Taxonomy) -> CategoryCounts:
    """Update ``unit_category_labels``: rules where units or pivots changed, people and judges as they count today.

    The units must be up to date; pivots are brought up to them.
    """
    bench = CategoryLabels(workbench)
    materialise_pivots(dsn, workbench)
    sessions = _apply_rules(bench, taxonomy) if bench.measured() else 0
    if bench.measured():
        bench.forget_vanished()
        with reading(dsn, "postgres/evaluation/categories") as truth:
            people = [_person(row) for row in truth.rows("people", list(taxonomy.names))]
            judges = [_judge(row, taxonomy.thresholds()) for row in truth.rows("judges")]
        bench.replace_layer("human", _table(people))
        bench.replace_layer("model", _table(judges))
        if judges:
            calibrate(dsn, workbench)
    counts: dict[str, int] = {}
    for row in bench.coverage():
        counts[row["layer"]] = counts.get(row["layer"], 0) + row["labels"]
    return CategoryCounts(taxonomy.version, sessions, counts)


def _apply_rules(bench: CategoryLabels, taxonomy: Taxonomy) -> int:
    version = f"{taxonomy.version}.{VERSION}"
    changed = bench.changed(version)
    sessions = list(changed)
    for start in range(0, len(sessions), _BATCH):
        batch = sessions[start : start + _BATCH]
        found = bench.facts(batch, QUESTION_LENGTH + len(_LAST_ANSWER) + 1)
        labels = _table(_rule(label, version) for row in found for label in rule_labels(taxonomy, _unit(row)))
        bench.replace_rules({one: changed[one] for one in batch}, labels)
    return len(changed)


def _unit(row: Row) -> UnitFacts:
    signals: dict[SignalName, float] = {name: row[name] for name in SIGNAL_NAMES if row[name] is not None}
    return UnitFacts(
        unit_id=row["unit_id"],
        node_status=row["node_status"],
        finish_reason=row["finish_reason"],
        answer_empty=row["answer_empty"],
        signals=signals,
        tail=row["tail"].rpartition(_LAST_ANSWER)[2],
        sibling_outcomes=row["sibling_outcomes"],
        counterfactuals=[Counterfactual(**each) for each in row["counterfactuals"]],
    )


def _table(rows: Iterable[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=LABELS)


def _rule(label: RuleLabel, version: str) -> Row:
    return {
        "unit_id": label.unit_id,
        "category": label.category,
        "layer": "rules",
        "maker": "rules",
        "version": version,
        "value": label.finding.value,
        "decided": label.decided,
        "confidence": label.finding.confidence,
        "votes": 1,
        "unparseable": 0,
        "evidence": json.dumps([label.finding.evidence]),
    }


def _person(row: Row) -> Row:
    """The majority of the raters decides; where as many named a category as did not, it does not hold."""
    return {
        **row,
        "layer": "human",
        "maker": "people",
        "version": "",
        "decided": row["value"] > DEFAULT_THRESHOLD,
        "confidence": max(row["value"], 1.0 - row["value"]),
        "unparseable": 0,
    }


def _judge(row: Row, thresholds: dict[str, float]) -> Row:
    value = row["value"]
    threshold = thresholds.get(row["category"], DEFAULT_THRESHOLD)
    return {
        **{name: row[name] for name in ("unit_id", "category", "value", "votes", "unparseable", "evidence")},
        "layer": "model",
        "maker": row["judge"],
        "version": row["judge_version"],
        "model_snapshot": row["model_snapshot"],
        "decided": value is not None and value >= threshold,
        "confidence": 0.0 if value is None else max(value, 1.0 - value),
    }


@dataclass(frozen=True, slots=True)
class LayerCoverage:
    """How many of all ``units`` a layer says something of; the layer '' is any of them."""

    layer: Layer | str
    labelled: int
    units: int


def coverage(workbench: Path) -> list[LayerCoverage]:
    """Coverage by layer, that of any layer first."""
    found = CategoryLabels(workbench).covered()
    return [LayerCoverage(row["layer"], row["labelled"], row["units"]) for row in found]


def by_category(workbench: Path, sessions: list[str] | None = None) -> list[Row]:
    """By category, layer and maker: labels, of these sessions alone or of all, and how many decide that it holds.

    ``standing`` of a judge is ``calibrated``, or ``uncalibrated`` with the reason; '' of others.
    """
    return _with_standing(workbench, CategoryLabels(workbench).coverage(sessions))


def _with_standing(workbench: Path, rows: list[Row], layer: str = "layer") -> list[Row]:
    known = calibrations(workbench) if any(row[layer] == "model" for row in rows) else None

    def of(row: Row) -> str:
        if known is None or row[layer] != "model":
            return ""
        return standing(known.figures(row["maker"], row["version"], "categories", row["category"]))

    return [{**row, "standing": of(row)} for row in rows]


def labels(
    workbench: Path,
    *,
    category: str | None = None,
    layer: str | None = None,
    maker: str | None = None,
    theme: str | None = None,
    unit: UUID | None = None,
    decided: bool | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Labels that meet each condition given: those that decide first, then by value. ``evidence`` is parsed;
    ``standing`` is as in ``by_category``."""
    found = CategoryLabels(workbench).labels(
        category=category, layer=layer, maker=maker, theme=theme, unit=unit, decided=decided, limit=limit
    )
    return _with_standing(workbench, [{**row, "evidence": json.loads(row["evidence"])} for row in found])


@dataclass(frozen=True, slots=True)
class ClusterLabelCounts:
    """How many ``labels`` of how many ``clusters`` there are."""

    labels: int
    clusters: int


def label_clusters(workbench: Path) -> ClusterLabelCounts:
    """Bring ``cluster_category_labels`` up to the clusters and the labels of their paths."""
    bench = ClusterCategories(workbench)
    bench.label()
    return ClusterLabelCounts(**bench.count())


def cluster_labels(
    workbench: Path,
    *,
    category: str | None = None,
    source: str | None = None,
    layer: int | None = None,
    cluster: UUID | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Labels of clusters, the most telling first: by the least lift that the interval of the share allows."""
    found = ClusterCategories(workbench).labels(
        category=category, source=source, layer=layer, cluster=cluster, limit=limit
    )
    return _with_standing(workbench, found, "source")
