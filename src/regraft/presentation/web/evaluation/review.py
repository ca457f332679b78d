"""Routes of human review: claim items of the queue, judge them blind, take back, and see how far everyone is."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request

from regraft.domain.evaluation.human_label import PLACES, Preference, Rating
from regraft.domain.evaluation.review_queue import SKIP_REASONS, QueueFilter
from regraft.flows.evaluation import adjudication as flow_disputes
from regraft.flows.evaluation import queue as flow
from regraft.flows.evaluation.adjudication import adjudicate, disputes
from regraft.flows.evaluation.desk import ReviewDesk
from regraft.flows.evaluation.desk_records import ShownItem
from regraft.flows.evaluation.queue_estimates import queue_status
from regraft.flows.evaluation.review_service import filter_of
from regraft.flows.evaluation.reviewer_agreement import themes_agreement
from regraft.flows.evaluation.reviewer_report import reviewer_reports
from regraft.presentation.web.answer import JsonReply
from regraft.presentation.web.evaluation.review_models import (
    Adjudicated,
    Agreements,
    CategoryMeaning,
    Claim,
    ClaimRequest,
    Dispute,
    Disputes,
    EstimateOfTheme,
    Estimates,
    FlagRequest,
    FlagState,
    Guidelines,
    ItemAct,
    ItemActs,
    Kind,
    LeaseState,
    MyProgress,
    QueuedItem,
    QueuedItems,
    RatingMeaning,
    RenewRequest,
    ReviewerReport,
    ReviewerReports,
    ReviewItem,
    ReviewProgress,
    ShareCount,
    SkipRequest,
    SubmitReply,
    SubmitRequest,
    ThemeAgreement,
    UndoReply,
    UndoRequest,
    WantedItems,
)
from regraft.presentation.web.evaluation.reviewer import RESPONSES, Desk, Reading, Service
from regraft.presentation.web.request import Limit, Truth, storable

router = APIRouter(prefix="/review", tags=["review"], responses=RESPONSES)

State = Annotated[
    Literal["open", "closed", "leased", "skipped", "flagged", "all"], Query(description="Which items are listed.")
]


@router.post("/claim", response_model=Claim)
def claim_review_items(desk: Desk, wanted: ClaimRequest) -> JsonReply:
    """Claim the next items. Each is held until its lease expires; renew it while it is being looked at."""
    found = desk.top_up(_filter(desk, wanted), limit=wanted.limit, known=frozenset(wanted.known))
    items = [_item(each) for each in found.items]
    return JsonReply(Claim(reviewer=desk.reviewer, leases=list(found.leases), items=items))


@router.post("/leases/{lease_id}/submit", response_model=SubmitReply)
def submit_review(lease_id: UUID, desk: Desk, answer: SubmitRequest) -> JsonReply:
    """Judge an item. Safe to repeat: the same judgement again changes nothing."""
    done = desk.submit(lease_id, _label(answer))
    return JsonReply(SubmitReply.from_record(done))


@router.post("/leases/{lease_id}/skip", response_model=LeaseState)
def skip_review_item(lease_id: UUID, desk: Desk, why: SkipRequest) -> JsonReply:
    """Do not judge an item: it goes to others. Safe to repeat."""
    desk.skip(lease_id, why.reason, why.note)
    return JsonReply(LeaseState(lease_id=lease_id, expires_at=None))


@router.post("/leases/{lease_id}/flag", response_model=FlagState)
def flag_review_item(lease_id: UUID, desk: Desk, flag: FlagRequest) -> JsonReply:
    """Mark an item for others to look at. It stays held."""
    return JsonReply(FlagState(lease_id=lease_id, flagged=desk.flag(lease_id, flag.note, on=flag.on)))


@router.post("/leases/{lease_id}/renew", response_model=LeaseState)
def renew_review_lease(lease_id: UUID, desk: Desk, renewal: RenewRequest) -> JsonReply:
    """Hold an item for longer, and keep a draft with it."""
    draft = renewal.draft.model_dump(exclude_none=True) if renewal.draft else None
    return JsonReply(LeaseState(lease_id=lease_id, expires_at=desk.renew(lease_id, draft)))


@router.post("/leases/{lease_id}/release", response_model=LeaseState)
def release_review_item(lease_id: UUID, desk: Desk) -> JsonReply:
    """Give an item back that may be claimed again, by the same reviewer too."""
    desk.release(lease_id)
    return JsonReply(LeaseState(lease_id=lease_id, expires_at=None))


@router.post("/undo", response_model=UndoReply)
def undo_review(desk: Desk, wanted: UndoRequest) -> JsonReply:
    """Take back the latest answer or skip. Labels are kept and do not count any more."""
    undone = desk.undo(wanted.lease_id)
    item = _item(undone.item) if undone.item else None
    return JsonReply(UndoReply(act=undone.act, item_id=undone.item_id, item=item))


@router.get("/progress", response_model=ReviewProgress)
def review_progress(
    request: Request,
    desk: Reading,
    truth: Truth,
    kind: Kind | None = None,
    theme: str | None = None,
    session: str | None = None,
    cluster: str | None = None,
    category: str | None = None,
) -> JsonReply:
    """How much the reviewer judged and what waits for them, and how far the whole queue is."""
    wanted = WantedItems(kind=kind, theme=theme, session=session, cluster=cluster, category=category)
    mine = desk.progress(_filter(desk, wanted))
    with truth.connection() as connection:
        shares = flow.queue_shares(connection, truth.scope)
    me = MyProgress.model_validate(
        {**_fields(mine), "may_judge": request.state.grant.reviews, "themes": [_fields(each) for each in mine.themes]}
    )
    return JsonReply(ReviewProgress(me=me, all=[ShareCount.from_record(each) for each in shares]))


@router.get("/estimates", response_model=Estimates)
def review_estimates(truth: Truth) -> JsonReply:
    """How common each category is, and the mean rating, from the random sample of paths."""
    with truth.connection() as connection:
        status = queue_status(connection, truth.scope)
    found = [{"theme": each.theme, "what": each.what, **_fields(each.estimate)} for each in status.estimates]
    return JsonReply(Estimates(estimates=EstimateOfTheme.from_rows(found)))


@router.get("/guidelines", response_model=Guidelines)
def review_guidelines(service: Service) -> JsonReply:
    """What reviewers go by, with every value that an answer may have."""
    found = service.setup.guidelines()
    meanings = {1: "worst", 5: "best"}
    return JsonReply(
        Guidelines(
            markdown=found.markdown,
            ratings=[RatingMeaning(rating=each, meaning=meanings.get(each, "")) for each in range(1, 6)],
            preferences=list(PLACES),
            categories=[CategoryMeaning.from_record(each) for each in found.categories],
            skip_reasons=list(SKIP_REASONS),
        )
    )


@router.get("/items", response_model=QueuedItems)
def review_items(
    desk: Reading,
    truth: Truth,
    state: State = "open",
    limit: Limit = 50,
    kind: Kind | None = None,
    theme: str | None = None,
    session: str | None = None,
    cluster: str | None = None,
    category: str | None = None,
) -> JsonReply:
    """Items by their place in the queue. Which of them are gold is not said."""
    wanted = WantedItems(kind=kind, theme=theme, session=session, cluster=cluster, category=category)
    with truth.connection() as connection:
        found = flow.queue_items(
            connection, _filter(desk, wanted), scope=truth.scope, state=state, limit=limit, blind=True
        )
    return JsonReply(QueuedItems(items=[QueuedItem.from_record(each) for each in found]))


@router.get("/items/{id}/acts", response_model=ItemActs)
def review_item_acts(id: str, truth: Truth) -> JsonReply:
    """What reviewers did with an item, in order; `id` is that of the item, of its path or of its pair."""
    with truth.connection() as connection:
        item = flow.resolve_item(connection, storable("id", id) or "", truth.scope)
        acts = flow.item_acts(connection, item)
    return JsonReply(ItemActs(item_id=item, acts=[ItemAct.from_record(each) for each in acts]))


@router.get("/agreement", response_model=Agreements)
def review_agreement(truth: Truth) -> JsonReply:
    """How far people agree on each theme, as it was last measured."""
    with truth.connection() as connection:
        found = themes_agreement(connection, truth.scope)
    return JsonReply(Agreements(themes=[ThemeAgreement.from_record(each) for each in found]))


@router.get("/reviewers", response_model=ReviewerReports)
def review_reviewers(truth: Truth) -> JsonReply:
    """What each reviewer did, how right they are on gold items, and how far they agree with the others."""
    with truth.connection() as connection:
        found = reviewer_reports(connection, truth.scope)
    reports = [ReviewerReport.from_record(each) for each in found]
    return JsonReply(ReviewerReports(reviewers=reports))


@router.get("/disputes", response_model=Disputes)
def review_disputes(desk: Reading, kind: Kind | None = None, theme: str | None = None, limit: Limit = 10) -> JsonReply:
    """What people differ on and no one has adjudicated."""
    found = disputes(desk, kind=kind, theme=storable("theme", theme), limit=limit)
    return JsonReply(Disputes(disputes=[Dispute.model_validate(_content(each)) for each in found]))


@router.post("/disputes/{subject_id}", response_model=Adjudicated)
def adjudicate_dispute(subject_id: UUID, desk: Desk, answer: SubmitRequest) -> JsonReply:
    """Decide for those who differ. A preference is by place, in the order that `disputes` shows this reviewer."""
    return JsonReply(Adjudicated(subject_id=subject_id, label_id=adjudicate(desk, subject_id, _label(answer))))


def _filter(desk: ReviewDesk, wanted: WantedItems) -> QueueFilter:
    return filter_of(
        desk,
        kind=wanted.kind,
        theme=storable("theme", wanted.theme),
        session=storable("session", wanted.session),
        cluster=storable("cluster", wanted.cluster),
        category=storable("category", wanted.category),
    )


def _label(answer: SubmitRequest) -> Rating | Preference:
    if answer.rating is None:
        assert answer.preference is not None
        return Preference(preference=answer.preference, note=answer.note, seconds=answer.seconds)
    for each in answer.categories:
        storable("categories", each)
    categories = tuple(dict.fromkeys(answer.categories))
    return Rating(rating=answer.rating, categories=categories, note=answer.note, seconds=answer.seconds)


def _item(shown: ShownItem) -> ReviewItem:
    return ReviewItem.model_validate(_content(shown))


def _content(shown: ShownItem | flow_disputes.Dispute) -> dict[str, Any]:
    return {
        **_fields(shown),
        "history": shown.history_json,
        "answers": list(shown.answers_json),
        "history_text": shown.history,
        "answer_texts": list(shown.answers),
    }


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
