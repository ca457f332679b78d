"""Compare every judge with people, and keep the figures in the workbench."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from regraft.domain.capture.importers.conversation import Judgement
from regraft.domain.capture.judges import judge_of
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.evaluation.calibration import (
    PEOPLE,
    Calibrations,
    JudgeContrast,
    JudgeFigures,
    Requirement,
    family_of,
    standing,
)
from regraft.domain.evaluation.calibration import contrasts as contrasts_of
from regraft.domain.evaluation.imported import basis_of, place_of, scale_of
from regraft.domain.lineage.feedback import BEST_RATING, WORST_RATING
from regraft.infra.duckdb.evaluation.calibration import CalibrationTable, Comparison, compare
from regraft.infra.postgres.arrow import reading
from regraft.infra.statistics.judge_figures import JudgeFacts, judge_figures

TABLES = (
    "feedback",
    "preferences",
    "human_ratings",
    "judge_labels",
    "judge_ratings",
    "pair_votes",
    "versions",
    "answers",
)
_NAMING = ("suppression", "unlearning")  # kinds that ask which categories calibrated judges name
_SOURCES = ("source", "annotator", "given_by", "imported")


@dataclass(frozen=True, slots=True)
class CalibrationCounts:
    """``judges`` were compared with people on ``items``, which gave ``figures``; ``stale`` of them are outdated."""

    judges: int
    items: int
    figures: int
    stale: int


def calibrate(dsn: str, workbench: Path) -> CalibrationCounts:
    """Bring ``judge_calibration`` up to the truth: all judges, their own ones and those of imports, against people."""
    with reading(dsn, "postgres/evaluation/calibration") as truth:
        tables = {name: truth.table(name) for name in TABLES}
    figures, found = _compared(tables)
    CalibrationTable(workbench).replace(figures, found.items, contrasts_of(found.contrasts))
    return CalibrationCounts(
        judges=len({(one.judge, one.judge_version) for one in figures if one.judge != PEOPLE}),
        items=sum(one.items for one in figures if one.is_whole and one.judge != PEOPLE),
        figures=len(figures),
        stale=sum(bool(one.stale) for one in figures if one.is_whole),
    )


def _compared(tables: dict[str, pa.Table]) -> tuple[list[JudgeFigures], Comparison]:
    feedback = tables["feedback"]
    raters = [_rater(row) for row in _distinct(feedback, _SOURCES)]
    named = feedback.append_column("compared", pa.compute.not_equal(feedback["comparison"], ""))
    names = [_name(row) for row in _distinct(named, ("source", "name", "compared", "imported"))]
    models = {
        *tables["answers"]["model"].unique().to_pylist(),
        *tables["versions"]["model"].unique().to_pylist(),
        *(row["rater"] for row in raters),
    }
    families = [{"name": name, "family": family_of(_model_in(name))} for name in sorted(models)]
    found = compare(
        {
            **tables,
            "raters": pa.Table.from_pylist(raters, schema=_RATERS),
            "names": pa.Table.from_pylist([each for each in names if each], schema=_NAMES),
            "families": pa.Table.from_pylist(families, schema=_FAMILIES),
        }
    )
    facts = JudgeFacts(
        positions={row["judge_version"]: row for row in found.positions},
        versions={row["judge_version"]: row for row in tables["versions"].to_pylist()},
        prevalences={(row["judge_version"], row["category"], row["theme"]): row for row in found.prevalences},
    )
    return list(judge_figures(found.items, facts)), found


_TEXT = pa.string()
_RATERS = pa.schema(
    [
        *((name, _TEXT) for name in ("said_by", "annotator", "given_by", "rater", "kind", "source")),
        ("imported", pa.bool_()),
    ]
)
_NAMES = pa.schema(
    [
        *((name, _TEXT) for name in ("said_by", "name", "basis")),
        ("place", pa.int64()),
        *((name, pa.float64()) for name in ("low", "high")),
        *((name, pa.bool_()) for name in ("compared", "imported")),
    ]
)
_FAMILIES = pa.schema([("name", _TEXT), ("family", _TEXT)])


def _distinct(table: pa.Table, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(columns).group_by(list(columns)).aggregate([]).to_pylist()
    return rows


def _rater(row: dict[str, Any]) -> dict[str, Any]:
    """Who gave a judgement, and whether that is a person or a model."""
    source, annotator = row["source"], row["annotator"]
    return {
        "said_by": source,
        "annotator": annotator,
        "given_by": row["given_by"],
        "imported": row["imported"],
        "rater": f"{source}: {annotator}" if annotator else source,
        "kind": row["given_by"] if row["imported"] else row["given_by"] or judge_of(source, annotator),
        "source": "imported" if row["imported"] else "reported",
    }


def _name(row: dict[str, Any]) -> dict[str, Any] | None:
    """How a judgement of this name decides; None where it is not known which end of its scale is better."""
    comparison = "one" if row["compared"] else ""
    basis = basis_of(Judgement(name=row["name"], value=0.0, source=row["source"], comparison=comparison))
    if basis is None:
        return None
    ours = (float(WORST_RATING), float(BEST_RATING)) if row["name"] == "rating" and not row["imported"] else None
    low, high = scale_of(row["name"]) or ours or (None, None)
    return {
        "said_by": row["source"],
        "name": row["name"],
        "compared": row["compared"],
        "imported": row["imported"],
        "basis": basis,
        "place": place_of(row["name"]),
        "low": low,
        "high": high,
    }


def _model_in(name: str) -> str:
    """The model that a rater's name may be: what follows the source."""
    return name.rpartition(": ")[2]


def figures(workbench: Path, scope: str | None = None) -> list[JudgeFigures]:
    """The figures of the last comparison: over all tenants, or over the items of one."""
    return CalibrationTable(workbench).figures(scope)


def failing_judges(workbench: Path, asked: Requirement) -> list[JudgeFigures]:
    """Of the last comparison: judges in use whose model changed since, and those that agree too little on items enough
    to know it. One of an old rubric is used no longer."""
    return [
        one
        for one in judges_in_use(workbench)
        if one.stale or (one.items >= asked.judged and not one.is_calibrated(asked.agreement, asked.judged))
    ]


def judges_in_use(workbench: Path) -> list[JudgeFigures]:
    """Of the last comparison: our own judges over all themes, those of an old rubric left out."""
    found = [one for one in figures(workbench) if one.theme is None and one.source == "judge"]
    return [one for one in found if one.stale != "rubric"]


def contrasts(workbench: Path, scope: str | None = None) -> list[JudgeContrast]:
    """Each two judges of the same items, of all tenants or of one, as of the last comparison; those that differ most
    first."""
    return CalibrationTable(workbench).contrasts(scope)


def calibrations(workbench: Path) -> Calibrations:
    """The same, by what labels say of themselves."""
    return Calibrations(figures(workbench))


def known_judges(recipe: Recipe, dsn: str, workbench: Path) -> Calibrations:
    """How well models agree with people now, for a recipe that lets a model decide; nothing where it lets none."""
    if not set(recipe.labels) & {"model", "imported"} and recipe.kind not in _NAMING:
        return Calibrations(())
    calibrate(dsn, workbench)
    return calibrations(workbench)


def status_of(known: Calibrations, deciders: str | None) -> str:
    """Whether the models that decided a pair (the column ``deciders``) are ``calibrated`` or ``uncalibrated``, all of
    them; '' where no model did."""
    named: list[list[str]] = json.loads(deciders or "[]")
    found = [known.figures(judge, version, "preference") for judge, version, *_ in named]
    if not found:
        return ""
    return "calibrated" if all(standing(one) == "calibrated" for one in found) else "uncalibrated"


def disagreements(
    workbench: Path,
    n: int,
    *,
    judge: str | None = None,
    theme: str | None = None,
    category: str | None = None,
    scope: str | None = None,
) -> list[dict[str, Any]]:
    """At most ``n`` items on which a judge and people differ, the latest first."""
    table = CalibrationTable(workbench)
    return table.disagreements(n, judge=judge, theme=theme, category=category, scope=scope)
