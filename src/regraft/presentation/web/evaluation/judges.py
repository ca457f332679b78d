"""Routes of judges: how well each agrees with people, where they differ, and their judgements of a node."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from regraft.domain.evaluation.calibration import JudgeContrast as JudgeContrastRecord
from regraft.domain.evaluation.calibration import JudgeFigures, standing
from regraft.flows.evaluation import calibration, judging
from regraft.flows.lineage import reading
from regraft.presentation.web.answer import JsonReply, Model, fields_of
from regraft.presentation.web.request import Admin, Limit, Truth, Workbench, storable

router = APIRouter(tags=["evaluation"])


class JudgeFiguresShown(Model):
    """The agreement of a judge with people on one task, category and theme (null: all of them).

    ``status`` is ``calibrated``, or says why it is not. ``confusion`` counts items by people's label (rows) and the
    judge's (columns), in the order of ``labels``. ``stale`` is ``rubric`` or ``model`` where that changed since.
    """

    judge: str
    judge_version: str
    source: str
    given_by: str
    model: str
    task: str
    category: str
    theme: str | None
    status: str
    stale: str
    items: int
    components: int
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None
    agreement: float | None
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    f1_low: float | None
    f1_high: float | None
    labels: list[str]
    confusion: list[list[int]]
    flips: float | None
    first_share: float | None
    longer_share: float | None
    people_longer_share: float | None
    own_pairs: int
    own_share: float | None
    people_own_share: float | None
    judged: int | None
    prevalence: float | None
    corrected_prevalence: float | None
    kappa_early: float | None
    kappa_late: float | None
    snapshots: list[str]


class Judges(Model):
    """The figures of all judges, as they were last compared with people."""

    judges: list[JudgeFiguresShown]


class JudgeVersion(Model):
    """A version of a judge with what it was asked (``definition``). ``current``: it is the one in use. Of its ``votes``
    on ``items``, ``unparseable`` could not be read."""

    judge: str
    judge_version: str
    task: str
    model: str
    categories: list[str]
    definition: Any
    current: bool
    votes: int
    unparseable: int
    items: int
    first_used: datetime
    last_used: datetime


class JudgeVersions(Model):
    """Every version of every judge, by judge, the one last used first."""

    versions: list[JudgeVersion]


@fields_of(JudgeContrastRecord, without={"scope"})
class JudgeContrast(Model):
    """Two judges on the ``items`` that both judged: Cohen's kappa, null where it is not defined, and the share of items
    with the ``same`` label."""

    task: str


class JudgeContrasts(Model):
    """Each two judges of the same items, those that differ most first."""

    contrasts: list[JudgeContrast]


class Calibrated(Model):
    """Judges were compared with people again."""

    calibrated: bool


class Disagreement(Model):
    """An item on which a judge and people differ: a path (``node_id``), or two answers."""

    judge: str
    judge_version: str
    source: str
    task: str
    category: str
    theme: str
    session_id: UUID
    node_id: UUID
    other_node_id: UUID | None
    people: str
    said: str
    judged_at: datetime | None


class Disagreements(Model):
    """The latest disagreements first."""

    disagreements: list[Disagreement]


class JudgeVote(Model):
    """One answer of a judge about a path that ends at the node, or about a pair of which it is a side.

    ``value`` is a number by category, a rating or a preference, null where the answer could not be read: then
    ``problem`` says why. ``evidence`` are the judge's reasons.
    """

    judge: str
    judge_version: str
    current: bool
    task: str
    pair_id: UUID | None
    node_a: UUID | None
    node_b: UUID | None
    shown_first: str
    vote_index: int
    value: dict[str, Any] | None
    evidence: dict[str, str]
    problem: str
    model_snapshot: str
    turn_id: UUID | None
    created_at: datetime


class JudgeVotes(Model):
    """All votes of judges on a node, by judge and time."""

    node_id: UUID
    votes: list[JudgeVote]


@router.get("/judges", response_model=Judges)
def judges(
    truth: Truth,
    workbench: Workbench,
    judge: Annotated[str | None, Query(description="Only this judge.")] = None,
    theme: Annotated[str | None, Query(description="Only the figures of this theme.")] = None,
) -> JsonReply:
    """How well judges agree with people: of each in all, then by theme."""
    with truth.connection():  # the token holds
        found = calibration.figures(workbench, truth.scope)
    wanted = [one for one in found if judge in (None, one.judge) and theme in (None, one.theme)]
    return JsonReply(Judges(judges=[_shown(one) for one in wanted]))


def _shown(one: JudgeFigures) -> JudgeFiguresShown:
    fields = {name: getattr(one, name) for name in JudgeFiguresShown.model_fields if name != "status"}
    return JudgeFiguresShown.model_validate({**fields, "status": standing(one)})


@router.get("/judges/versions", response_model=JudgeVersions)
def judge_versions(truth: Truth) -> JsonReply:
    """Every judge that was ever run, with what it was asked, also where no person judged the same items."""
    with truth.connection() as connection:
        found = judging.judge_versions(connection, truth.scope)
    return JsonReply(JudgeVersions(versions=JudgeVersion.from_rows(found)))


@router.get("/judges/contrasts", response_model=JudgeContrasts)
def judge_contrasts(truth: Truth, workbench: Workbench) -> JsonReply:
    """Judges beside one another on the items that both judged, as they were last compared."""
    with truth.connection():  # the token holds
        found = calibration.contrasts(workbench, truth.scope)
    return JsonReply(JudgeContrasts(contrasts=[JudgeContrast.from_record(one) for one in found]))


@router.post("/judges/calibrate", response_model=Calibrated)
def calibrate_judges(request: Request, truth: Truth, admin: Admin, workbench: Workbench) -> JsonReply:
    """Compare all judges with people again."""
    with truth.connection():  # the token holds
        pass
    calibration.calibrate(request.app.state.review.dsn, workbench)
    return JsonReply(Calibrated(calibrated=True))


@router.get("/judges/disagreements", response_model=Disagreements)
def disagreements(
    truth: Truth,
    workbench: Workbench,
    limit: Limit = 50,
    judge: Annotated[str | None, Query(description="Only this judge's.")] = None,
    theme: Annotated[str | None, Query(description="Only of this theme.")] = None,
    category: Annotated[str | None, Query(description="Only on this category.")] = None,
) -> JsonReply:
    """Items on which a judge and people differ, the latest first."""
    with truth.connection():  # the token holds
        found = calibration.disagreements(
            workbench, limit, judge=judge, theme=theme, category=category, scope=truth.scope
        )
    return JsonReply(Disagreements(disagreements=Disagreement.from_rows(found)))


@router.get("/nodes/{id}/votes", response_model=JudgeVotes)
def votes(id: str, truth: Truth) -> JsonReply:
    """Judgements of a node: of the path that ends there, and of the node beside its siblings."""
    storable("id", id)
    with truth.connection() as connection:
        node = reading.node_id(connection, id, truth.scope)
        found = judging.votes_on(connection, node)
    return JsonReply(JudgeVotes(node_id=node, votes=JudgeVote.from_rows(found)))
