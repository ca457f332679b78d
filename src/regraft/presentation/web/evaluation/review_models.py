"""What the review routes take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regraft.domain.evaluation.judge import JudgedCategory
from regraft.flows.evaluation.desk import MAX_CLAIM, MAX_HELD
from regraft.flows.evaluation.desk_records import Revealed as RevealedRecord
from regraft.flows.evaluation.desk_records import Submitted
from regraft.flows.evaluation.queue import Act as ActRecord
from regraft.flows.evaluation.queue import Item as ItemRecord
from regraft.flows.evaluation.queue import ShareCount as ShareCountRecord
from regraft.flows.evaluation.reviewer_agreement import ThemeAgreement as ThemeAgreementRecord
from regraft.flows.evaluation.reviewer_report import MeasureAgreement as MeasureAgreementRecord
from regraft.flows.evaluation.reviewer_report import ReviewerReport as ReviewerReportRecord
from regraft.presentation.web.answer import Model, StoredJson, fields_of

Kind = Literal["unit", "pair"]
Place = Literal["first", "second", "equal", "both_bad"]
Stars = Annotated[int, Field(ge=1, le=5, description="1 is worst, 5 is best.")]
Note = Annotated[str, Field(max_length=10_000, description="Why.")]
Category = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[float, Field(ge=0, le=86_400, description="Seconds that were spent on the item.")]


class Body(BaseModel):
    """What a client sends. An unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WantedItems(Body):
    """Which items a reviewer wants; a field that is missing narrows nothing."""

    kind: Kind | None = Field(None, description="`unit`: rate a path; `pair`: prefer one of two answers.")
    theme: str | None = Field(None, max_length=1000)
    session: str | None = Field(None, max_length=1000, description="Id, start of an id, or name.")
    cluster: str | None = Field(None, max_length=100, description="Id of a cluster, or the start of one.")
    category: str | None = Field(None, max_length=100)


class ClaimRequest(WantedItems):
    """Claims items. What is held already comes first, so a page that was reloaded shows the same item again."""

    limit: int = Field(1, ge=1, le=MAX_CLAIM, description="Items to hold: 2 fetches the next one ahead.")
    known: list[UUID] = Field([], max_length=MAX_HELD, description="Leases whose items the page has: not sent again.")


class AnswerBody(Body):
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


class SkipRequest(Body):
    """Gives an item to others permanently."""

    reason: Literal["unclear", "too_long", "not_qualified", "broken", "sensitive", "other"]
    note: Note = ""


class FlagRequest(Body):
    """Marks an item for others to look at; with ``on`` false the reviewer's mark is taken away."""

    on: bool = True
    note: Note = ""


class RenewRequest(Body):
    """Holds an item for longer, and keeps a draft that the next claim shows, on another device too."""

    draft: AnswerBody | None = None


class UndoRequest(Body):
    """Takes back the reviewer's latest answer or skip, of a lease if one is given."""

    lease_id: UUID | None = None


class ReviewItem(Model):
    """An item as its reviewer sees it, without models. ``answers`` are the last answer of a path, or both answers of a
    pair in the order shown; null is an empty answer. ``history`` is the conversation before. Messages are as
    captured, without what distinguishes models: ids of calls are numbered. The texts are the same, rendered."""

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
    """What the reviewer holds of what they want: ``leases``, fewer than asked for when there are no more, and the items
    of those that the page did not know. A known lease that is missing ran out."""

    reviewer: str
    leases: list[UUID]
    items: list[ReviewItem]


@fields_of(RevealedRecord)
class RevealedAnswer(Model):
    """Whose answer it was, once the item is judged."""


@fields_of(Submitted)
class SubmitReply(Model):
    """The label that was made. ``changed``: it corrects an earlier one. ``revealed`` is in the order shown."""

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


@fields_of(ShareCountRecord)
class ShareCount(Model):
    """Items of a kind, theme and share (`priority`, `random` or `gold`) with their judgements."""

    kind: Kind


class ReviewProgress(Model):
    """How far the reviewer is, and how far everyone is."""

    me: MyProgress
    all: list[ShareCount]


class EstimateOfTheme(Model):
    """How common a category is among the paths of a theme (null: all themes), or their mean rating (``what`` is
    `rating`), with a 95 % interval. It comes from the random sample: ``judged`` paths represent ``population``."""

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


@fields_of(JudgedCategory)
class CategoryMeaning(Model):
    """A category that a path may be of."""


class Guidelines(Model):
    """What reviewers go by. ``markdown`` is text from a file: render it through a sanitiser."""

    markdown: str
    ratings: list[RatingMeaning]
    preferences: list[str]
    categories: list[CategoryMeaning]
    skip_reasons: list[str]


@fields_of(ItemRecord, without={"place", "priority", "share", "scope"})
class QueuedItem(Model):
    """An item of the queue. ``subject_id`` is the last node of a path, or the id of a pair."""

    kind: Kind


class QueuedItems(Model):
    """Items by their place in the queue: those that are next first."""

    items: list[QueuedItem]


@fields_of(ActRecord, without={"act_id"})
class ItemAct(Model):
    """What a reviewer did with an item."""


class ItemActs(Model):
    """What was done with an item, in order."""

    item_id: UUID
    acts: list[ItemAct]


@fields_of(ThemeAgreementRecord, without={"scope"})
class ThemeAgreement(Model):
    """How far people agree on a theme by a measure: `preference` (nominal), `rating` (ordinal) or `category:NAME`
    (nominal). ``alpha`` is Krippendorff's, with its 95 % bootstrap interval; null where all values are equal.
    ``subjects`` were judged by two people or more. Labels on a contested theme decide nothing."""


class Agreements(Model):
    """The agreement on each theme: contested ones first, then by rising alpha."""

    themes: list[ThemeAgreement]


@fields_of(MeasureAgreementRecord)
class MeasureAgreement(Model):
    """How a reviewer agrees with the others by a measure; ``difference`` is by how many stars they rate above them."""


@fields_of(ReviewerReportRecord)
class ReviewerReport(Model):
    """One reviewer. ``first_share`` of ``preferred`` is the share of preferences for the answer shown first; of
    ``gold`` items they got ``gold_right`` right, with a 95 % interval of the share."""

    agreement: list[MeasureAgreement]


class ReviewerReports(Model):
    """Every reviewer, who judged most first."""

    reviewers: list[ReviewerReport]


class Dispute(Model):
    """A path or a pair on which people differ, without models and names. ``said`` are ratings, or places of the answers
    in the order shown; answer it by `/api/review/disputes/{subject_id}`."""

    kind: Kind
    subject_id: UUID
    theme: str
    contested: bool
    people: int
    said: list[str]
    notes: list[str]
    history: StoredJson
    answers: list[StoredJson]
    history_text: str
    answer_texts: list[str]


class Disputes(Model):
    """What waits for an adjudication, contested themes first."""

    disputes: list[Dispute]


class Adjudicated(Model):
    """The label that decides from now on."""

    subject_id: UUID
    label_id: UUID
