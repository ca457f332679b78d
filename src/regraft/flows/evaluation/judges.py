"""Which judges there are, what they were asked, and how far each is reliable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.calibration import PEOPLE, JudgeFigures, standing
from regraft.flows.evaluation.calibration import calibrate, figures
from regraft.flows.evaluation.judging import judge_versions
from regraft.infra.files.judges import ListedJudge, as_judge, listed_judges
from regraft.infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSummary:
    """A judge on one task and category. ``source`` is judge, imported, reported or people; of its answers ``votes`` are
    counted, ``unparseable`` of them without a value. ``status`` is ``calibrated``, or says why it is not."""

    judge: str
    judge_version: str
    source: str
    given_by: str
    model: str
    task: str
    category: str
    votes: int
    unparseable: int
    items: int
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None
    agreement: float | None
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReport:
    """All about one judge: what its file says (None: it has none), its versions, and all of its figures."""

    judge: str
    definition: dict[str, Any] | None
    versions: list[dict[str, Any]]
    figures: list[JudgeFigures]


def judge_summaries(settings: Settings, dsn: str, workbench: Path, *, local_model: str = "") -> list[JudgeSummary]:
    """Every judge: those of files, those that were ever run, and those whose judgements were imported or reported."""
    calibrate(dsn, workbench)
    known = [one for one in figures(workbench) if one.theme is None]
    versions = judge_versions(dsn)
    found = [*_of_versions(versions, known)]
    run = {row["judge_version"] for row in versions if row["current"]}
    for name, listed in sorted(listed_judges(settings).items()):
        found += _of_file(settings, name, listed, run, local_model)
    found += [_summary(one, 0, 0) for one in known if one.source != "judge"]
    return sorted(
        found, key=lambda one: (one.judge == PEOPLE, one.source != "judge", one.judge, one.task, one.category)
    )


def _of_versions(versions: list[dict[str, Any]], known: list[JudgeFigures]) -> Iterator[JudgeSummary]:
    by_version: dict[str, dict[str, JudgeFigures]] = {}
    for one in known:
        by_version.setdefault(one.judge_version, {})[one.category] = one
    for row in versions:
        for category in (row["categories"] or [""]) if row["current"] else ():
            found = by_version.get(row["judge_version"], {}).get(category)
            if found is not None:
                yield _summary(found, row["votes"], row["unparseable"])
                continue
            same = ("judge", "judge_version", "model", "task", "votes", "unparseable")
            yield _unknown(**{name: row[name] for name in same}, category=category)


def _of_file(
    settings: Settings, name: str, listed: ListedJudge, run: set[str], local_model: str
) -> Iterator[JudgeSummary]:
    """A judge whose file is not what was last run."""
    try:
        judge = as_judge(settings, listed, local_model=local_model)
    except UsageError:  # a built-in judge that has no model yet
        yield _never_run(name, "", "", listed.file.task)
        return
    ran = any(version.partition("@")[0] == name for version in run)
    if judge.version in run or (ran and not listed.file.model):  # it may have been given another model
        return
    yield _never_run(name, judge.version, judge.model, judge.task)


def _never_run(judge: str, version: str, model: str, task: str) -> JudgeSummary:
    return _unknown(judge=judge, judge_version=version, model=model, task=task, category="", votes=0, unparseable=0)


def _unknown(**given: Any) -> JudgeSummary:
    return JudgeSummary(
        source="judge",
        given_by="model",
        items=0,
        kappa=None,
        kappa_low=None,
        kappa_high=None,
        agreement=None,
        status=standing(None) if given["votes"] else "uncalibrated: never run",
        **given,
    )


def _summary(one: JudgeFigures, votes: int, unparseable: int) -> JudgeSummary:
    same = {
        name: getattr(one, name) for name in JudgeSummary.__slots__ if name not in ("votes", "unparseable", "status")
    }
    status = "people among themselves" if one.judge == PEOPLE else standing(one)
    return JudgeSummary(votes=votes, unparseable=unparseable, status=status, **same)


def judge_report(settings: Settings, dsn: str, workbench: Path, name: str) -> JudgeReport:
    """All about one judge, by its name. Raises NotFoundError where there is no such judge."""
    calibrate(dsn, workbench)
    listed = listed_judges(settings).get(name)
    versions = [row for row in judge_versions(dsn) if row["judge"] == name]
    found = [one for one in figures(workbench) if one.judge == name]
    if listed is None and not versions and not found:
        raise NotFoundError(f"There is no judge {name}. `regraft judges list` shows them.")
    definition = listed.file.model_dump() if listed else None
    return JudgeReport(judge=name, definition=definition, versions=versions, figures=found)


def as_record(report: JudgeReport) -> dict[str, Any]:
    """The same for programs."""
    found = [{**asdict(one), "status": standing(one)} for one in report.figures]
    return {"judge": report.judge, "definition": report.definition, "versions": report.versions, "figures": found}
