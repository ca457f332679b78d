"""Routes of who looks after the review queue: fill it, put items first, open them again, and gold items."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Request

from regraft.flows.background import Background, BackgroundJob, Work
from regraft.flows.evaluation import gold as gold_flow
from regraft.flows.evaluation import queue as flow
from regraft.flows.evaluation.queue_estimates import queue_samples
from regraft.flows.evaluation.queue_selection import Selected, queue_again, queue_pairs, queue_units
from regraft.flows.evaluation.reviewer_agreement import refresh_agreement
from regraft.presentation.web.answer import JsonReply
from regraft.presentation.web.evaluation.queue_models import (
    AgreementMeasured,
    FillDefaults,
    FillRequest,
    GoldItem,
    GoldMade,
    GoldRequest,
    Queued,
    QueueFilled,
    QueueFilling,
    QueueRequest,
    QueueState,
    RandomSample,
    Requeued,
    RequeueRequest,
)
from regraft.presentation.web.evaluation.reviewer import RESPONSES, Desk, Reading, Service
from regraft.presentation.web.request import Admin, Truth, Workbench, storable

router = APIRouter(prefix="/review", tags=["review"], responses=RESPONSES)
FILLING = "fill the review queue"


@router.get("/queue", response_model=QueueState)
def review_queue(request: Request, service: Service, truth: Truth) -> JsonReply:
    """What filling the queue goes by, its random samples, and for an admin its items of known answer."""
    with truth.connection() as connection:
        samples = queue_samples(connection, truth.scope)
        gold = gold_flow.gold_items(connection, truth.scope) if request.state.grant.changes else None
    filling = request.app.state.background.jobs(FILLING, truth.scope)
    return JsonReply(
        QueueState(
            defaults=FillDefaults.from_record(service.setup.size),
            samples=[RandomSample.from_record(each) for each in samples],
            may_fill=request.state.grant.changes,
            gold=None if gold is None else [GoldItem.from_record(each) for each in gold],
            filling=_filling(filling[0]) if filling else None,
        )
    )


@router.post("/queue/fill", response_model=QueueFilling, status_code=202)
def fill_review_queue(
    request: Request, service: Service, truth: Truth, admin: Admin, workbench: Workbench, wanted: FillRequest
) -> JsonReply:
    """Fill the queue up, and put what is in it in order again, in the background: `/api/review/queue` says how far it
    is. Reviewers may continue meanwhile. While it is being filled nothing else is started."""
    with truth.connection():  # the token holds
        pass
    given = wanted.model_dump(include={"size", "reviewers", "overlap", "random_share"}, exclude_none=True)
    size, kinds, refresh = replace(service.setup.size, **given), tuple(dict.fromkeys(wanted.kinds)), wanted.refresh

    def fill(work: Work) -> flow.Filled:
        return flow.fill_queue(service.dsn, workbench, size, kinds=kinds, scope=admin.scope, refresh=refresh)

    background: Background = request.app.state.background
    job = background.start(FILLING, fill, key=f"{FILLING} {admin.scope or ''}", scope=admin.scope)
    return JsonReply(_filling(job), 202)


def _filling(job: BackgroundJob) -> QueueFilling:
    filled = QueueFilled.from_record(job.result) if job.state == "done" else None
    return QueueFilling(job_id=job.job_id, state=job.state, error=job.error, started_at=job.created_at, filled=filled)


@router.post("/items", response_model=Queued)
def queue_review_items(request: Request, desk: Desk, wanted: QueueRequest) -> JsonReply:
    """Put paths and pairs first in the queue. Those that exist already are asked for again."""
    done = [queue_units(desk, wanted.nodes, reviewers=wanted.reviewers)] if wanted.nodes else []
    if wanted.pairs:
        bench = request.app.state.workbench
        pairs = [(each.node_id, each.other_node_id) for each in wanted.pairs]
        done.append(
            queue_pairs(desk, bench, pairs, reviewers=wanted.reviewers)
            if bench
            else Selected(queued=0, again=0, unknown=len(wanted.pairs))
        )
    return JsonReply(
        Queued(
            queued=sum(each.queued for each in done),
            again=sum(each.again for each in done),
            unknown=sum(each.unknown for each in done),
        )
    )


@router.post("/items/{id}/requeue", response_model=Requeued)
def requeue_review_item(id: str, desk: Desk, wanted: RequeueRequest) -> JsonReply:
    """Open an item again and ask more people; `id` is that of the item, of its path or of its pair."""
    item = queue_again(desk, storable("id", id) or "", more=wanted.more, note=wanted.note)
    return JsonReply(Requeued(item_id=item))


@router.post("/agreement", response_model=AgreementMeasured)
def measure_review_agreement(service: Service, desk: Desk) -> JsonReply:
    """Measure how far people agree on each theme, where labels changed since it was last measured."""
    setup = service.setup
    return JsonReply(AgreementMeasured(measured=refresh_agreement(service.dsn, setup.min_agreement, setup.min_judged)))


@router.put("/items/{id}/gold", response_model=GoldMade)
def make_review_gold(id: str, service: Service, desk: Reading, admin: Admin, answer: GoldRequest) -> JsonReply:
    """Make an item gold: every reviewer gets it sooner or later, without a mark."""
    item = _item(id, desk)
    known = gold_flow.KnownAnswer(
        preference=answer.preference, rating_low=answer.rating_low, rating_high=answer.rating_high
    )
    made = gold_flow.add_gold(service.dsn, item, known, desk.reviewer, scope=admin.scope, note=answer.note)
    return JsonReply(GoldMade(gold_id=made, item_id=item))


@router.delete("/items/{id}/gold", response_model=Requeued)
def withdraw_review_gold(id: str, service: Service, desk: Reading, admin: Admin) -> JsonReply:
    """Stop giving out an item of known answer. What people answered stays."""
    item = _item(id, desk)
    gold_flow.withdraw_gold(service.dsn, item, desk.reviewer, scope=admin.scope)
    return JsonReply(Requeued(item_id=item))


def _item(text: str, desk: Reading) -> UUID:
    with desk.transaction() as connection:
        return flow.resolve_item(connection, storable("id", text) or "", desk.scope)
