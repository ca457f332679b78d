"""Routes of human review: claim items of the queue, judge them blind, take back, and see how far everybody is."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from regraft.domain.errors import ForbiddenError, UsageError
from regraft.domain.evaluation.human_label import PLACES, Preference, Rating
from regraft.domain.evaluation.review_queue import SKIP_REASONS, QueueFilter
from regraft.flows.evaluation import queue as flow
from regraft.flows.evaluation.desk import MAX_CLAIM, ReviewDesk, ShownItem
from regraft.flows.evaluation.review_service import ReviewService, filter_of
from regraft.presentation.web.answer import FailedReply, JsonReply, Model, StoredJson
from regraft.presentation.web.request import Limit, Truth, storable

router = APIRouter(
    prefix="/review",
    tags=["review"],
    responses={
        403: {"model": FailedReply, "description": "This token may not judge, or not under that name."},
        409: {"model": FailedReply, "description": "What happened meanwhile contradicts the request."},
        413: {"model": FailedReply, "description": "The body is too long."},
    },
)

Kind = Literal["unit", "pair"]
Place = Literal["first", "second", "equal", "both_bad"]
Stars = Annotated[int, Field(ge=1, le=5, description="1 is worst, 5 is best.")]
Note = Annotated[str, Field(max_length=10_000, description="Why.")]
Category = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[float, Field(ge=0, le=86_400, description="Seconds that were spent on the item.")]


class _Body(BaseModel):
    """What a client sends. An unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WantedItems(_Body):
    """Which items a reviewer wants; a field that is missing narrows nothing."""

    kind: Kind | None = Field(None, description="`unit`: rate a path; `pair`: prefer one of two answers.")
    theme: str | None = Field(None, max_length=1000)
    session: str | None = Field(None, max_length=1000, description="Id, start of an id, or name.")
    cluster: str | None = Field(None, max_length=100, description="Id of a cluster.")
    category: str | None = Field(None, max_length=100)


class ClaimRequest(WantedItems):
    """Claims items. What is held already comes first, so a page that was reloaded shows the same item again."""

    limit: int = Field(1, ge=1, le=MAX_CLAIM, description="Items to hold: 2 fetches the next one ahead.")


class AnswerBody(_Body):
    """An answer, or the draft of one. A path has a rating, and categories; of a pair an answer is preferred by its
    place, which says nothing of whose it is."""

    rating: Stars | None = None
    categories: list[Category] = Field([], max_length=50, description="Categories that hold; others do not.")
    preference: Place | None = None
    note: Note = ""
    seconds: Seconds | None = None


class SubmitRequest(AnswerBody):
    """A judgement. The same one again changes nothing; another one corrects the first, which is kept."""

    @model_validator(mode="after")
    def _one_judgement(self) -> SubmitRequest:
        if (self.rating is None) == (self.preference is None):
            raise ValueError("needs a rating or a preference, and not both")
        return self


class SkipRequest(_Body):
    """Gives an item to others for good."""

    reason: Literal["unclear", "too_long", "not_qualified", "broken", "sensitive", "other"]
    note: Note = ""


class FlagRequest(_Body):
    """Marks an item for others to look at; with ``on`` false the reviewer's mark is taken away."""

    on: bool = True
    note: Note = ""


class RenewRequest(_Body):
    """Holds an item for longer, and keeps a draft that the next claim shows, on another device too."""

    draft: AnswerBody | None = None


class UndoRequest(_Body):
    """Takes back the reviewer's latest answer or skip, of a lease if one is given."""

    lease_id: UUID | None = None


class ReviewItem(Model):
    """An item as its reviewer sees it, without models. ``answers`` are the last answer of a path, or both answers of a
    pair in the order shown; null is an empty answer. ``history`` is the conversation before, as captured. The texts
    are the same, rendered."""

    lease_id: UUID
    item_id: UUID
    kind: Kind
    theme: str
    cluster_id: str | None
    category: str | None
    expires_at: datetime
    flagged: bool
    draft: AnswerBody | None
    history: StoredJson
    answers: list[StoredJson]
    history_text: str
    answer_texts: list[str]


class Claim(Model):
    """Items that the reviewer holds now; fewer than asked for when there are no more."""

    reviewer: str
    items: list[ReviewItem]


class RevealedAnswer(Model):
    """Whose answer it was, once the item is judged."""

    node_id: UUID
    turn_id: UUID
    model: str
    purpose: str
    branch_kind: str


class SubmitReply(Model):
    """The label that was made. ``changed``: it corrects an earlier one. ``revealed`` is in the order shown."""

    label_id: UUID
    item_id: UUID
    changed: bool
    revealed: list[RevealedAnswer]


class LeaseState(Model):
    """How a lease is after what was done. ``expires_at`` is null when the item is not held any more."""

    lease_id: UUID
    expires_at: datetime | None


class FlagState(Model):
    """Whether the reviewer marks the item."""

    lease_id: UUID
    flagged: bool


class UndoReply(Model):
    """What was taken back: `submitted`, `changed` or `skipped`. ``item`` is held again with the former answer as its
    draft; null when a correction was taken back, so that the answer before it counts again."""

    act: str
    item_id: UUID
    item: ReviewItem | None


class ThemeCount(Model):
    """Items of a kind and a theme that wait for the reviewer."""

    kind: Kind
    theme: str
    waiting: int


class MyProgress(Model):
    """What the reviewer did, today (UTC) and ever, and what waits for them."""

    reviewer: str
    may_judge: bool
    submitted: int
    submitted_today: int
    skipped: int
    flagged: int
    held: int
    waiting: int
    themes: list[ThemeCount]


class ShareCount(Model):
    """Items of a kind, theme and share (`priority`, `random` or `gold`) with their judgements."""

    scope: str
    kind: Kind
    theme: str
    share: str
    items: int
    open: int
    complete: int
    skipped: int
    judgements: int
    leased: int
    oldest_open: datetime | None


class Progress(Model):
    """How far the reviewer is, and how far everybody is."""

    me: MyProgress
    all: list[ShareCount]


class EstimateOfTheme(Model):
    """How common a category is among the paths of a theme (null: all themes), or their mean rating (``what`` is
    `rating`), with a 95 % interval. It comes from the random sample: ``judged`` paths stand for ``population``."""

    theme: str | None
    what: str
    mean: float
    low: float
    high: float
    judged: int
    population: float


class Estimates(Model):
    """What the random sample says of the whole log."""

    estimates: list[EstimateOfTheme]


class RatingMeaning(Model):
    """A rating, and whether it is the worst or the best."""

    rating: int
    meaning: str


class CategoryMeaning(Model):
    """A category that a path may be of."""

    name: str
    definition: str
    examples: list[str]
    counter_examples: list[str]


class Guidelines(Model):
    """What reviewers go by. ``markdown`` is text from a file: render it through a sanitiser."""

    markdown: str
    ratings: list[RatingMeaning]
    preferences: list[str]
    categories: list[CategoryMeaning]
    skip_reasons: list[str]


class QueuedItem(Model):
    """An item of the queue. ``subject_id`` is the last node of a path, or the id of a pair."""

    item_id: UUID
    kind: Kind
    subject_id: UUID
    session_id: UUID
    theme: str
    cluster_id: str | None
    category: str | None
    needed: int
    done: int
    leased: int
    skips: int
    flags: int
    created_at: datetime
    closed_at: datetime | None
    closed_because: str | None


class QueuedItems(Model):
    """Items by their place in the queue: those that are next first."""

    items: list[QueuedItem]


class ItemAct(Model):
    """What a reviewer did with an item."""

    act: str
    reviewer: str
    label_id: UUID | None
    reason: str | None
    note: str
    undone: bool
    at: datetime


class ItemActs(Model):
    """What was done with an item, in order."""

    item_id: UUID
    acts: list[ItemAct]


async def _service(request: Request) -> ReviewService:
    service: ReviewService = request.app.state.review
    return service


Service = Annotated[ReviewService, Depends(_service)]
Named = Annotated[
    str | None,
    Header(
        alias="X-Regraft-Reviewer",
        max_length=200,
        description="Who judges, where the token is nobody's; the user who runs the server if not given.",
    ),
]


def _reader_desk(request: Request, service: Service, named: Named = None) -> ReviewDesk:
    """The desk of whoever asks, for looking at it."""
    grant = request.state.grant
    if not grant.holds():
        raise UsageError("This token is no longer valid. Ask for a new one.")
    name = storable("X-Regraft-Reviewer", named)
    if grant.name is not None and name not in (None, grant.name):
        raise ForbiddenError(f"This token judges as {grant.name}.")
    return service.desk(grant.name or name or _user(), grant.scope)


def _desk(request: Request, desk: Annotated[ReviewDesk, Depends(_reader_desk)]) -> ReviewDesk:
    """The desk of a reviewer."""
    if not request.state.grant.reviews:
        raise ForbiddenError(
            "This token reads only. `regraft web-token create NAME --review` makes one that may judge."
        )
    return desk


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "reviewer"


Reading = Annotated[ReviewDesk, Depends(_reader_desk)]
Desk = Annotated[ReviewDesk, Depends(_desk)]
State = Annotated[
    Literal["open", "closed", "leased", "skipped", "flagged", "all"], Query(description="Which items are listed.")
]


@router.post("/claim", response_model=Claim)
def claim_review_items(desk: Desk, wanted: ClaimRequest) -> JsonReply:
    """Claim the next items. Each is held until its lease expires; renew it while it is being looked at."""
    items = desk.claim(_filter(desk, wanted), limit=wanted.limit)
    return JsonReply(Claim(reviewer=desk.reviewer, items=[_item(each) for each in items]))


@router.post("/leases/{lease_id}/submit", response_model=SubmitReply)
def submit_review(lease_id: UUID, desk: Desk, answer: SubmitRequest) -> JsonReply:
    """Judge an item. Safe to repeat: the same judgement again changes nothing."""
    done = desk.submit(lease_id, _label(answer))
    return JsonReply(SubmitReply.model_validate(done, from_attributes=True))


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


@router.get("/progress", response_model=Progress)
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
    return JsonReply(Progress(me=me, all=[ShareCount.model_validate(each, from_attributes=True) for each in shares]))


@router.get("/estimates", response_model=Estimates)
def review_estimates(truth: Truth) -> JsonReply:
    """How common each category is, and the mean rating, from the random sample of paths."""
    with truth.connection() as connection:
        status = flow.queue_status(connection, truth.scope)
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
            categories=[CategoryMeaning.model_validate(each, from_attributes=True) for each in found.categories],
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
        found = flow.queue_items(connection, _filter(desk, wanted), scope=truth.scope, state=state, limit=limit)
    return JsonReply(QueuedItems(items=[QueuedItem.model_validate(each, from_attributes=True) for each in found]))


@router.get("/items/{id}/acts", response_model=ItemActs)
def review_item_acts(id: str, truth: Truth) -> JsonReply:
    """What reviewers did with an item, in order; `id` is that of the item, of its path or of its pair."""
    with truth.connection() as connection:
        item = flow.resolve_item(connection, storable("id", id) or "", truth.scope)
        acts = flow.item_acts(connection, item)
    return JsonReply(ItemActs(item_id=item, acts=[ItemAct.model_validate(each, from_attributes=True) for each in acts]))


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
    return ReviewItem.model_validate(
        {
            **_fields(shown),
            "history": shown.history_json,
            "answers": list(shown.answers_json),
            "history_text": shown.history,
            "answer_texts": list(shown.answers),
        }
    )


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
