"""What the routes of the review queue take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator

from regraft.flows.background import State
from regraft.flows.evaluation.gold import GoldItem as GoldItemRecord
from regraft.flows.evaluation.queue import Filled as FilledRecord
from regraft.flows.evaluation.queue import QueueSize
from regraft.flows.evaluation.queue_estimates import Sample as SampleRecord
from regraft.flows.evaluation.queue_selection import Selected
from regraft.presentation.web.answer import Model, fields_of
from regraft.presentation.web.evaluation.review_models import Body, Kind, Note, Stars

Share = Annotated[float, Field(ge=0, le=1)]


class PairOfNodes(Body):
    """Two answers, by their nodes in either order."""

    node_id: UUID
    other_node_id: UUID


class QueueRequest(Body):
    """What people should judge: paths by their last nodes, such as a selection on the map or in a tree; and pairs of
    answers by their two nodes."""

    nodes: list[UUID] = Field([], max_length=5_000)
    pairs: list[PairOfNodes] = Field([], max_length=1_000)
    reviewers: int = Field(1, ge=1, le=100, description="People who judge each of them.")

    @model_validator(mode="after")
    def _something(self) -> QueueRequest:
        if not self.nodes and not self.pairs:
            raise ValueError("needs nodes or pairs")
        return self


@fields_of(Selected)
class Queued(Model):
    """How many were put into the queue, or asked for again; ``unknown`` are no path or pair that the token reads."""


class RequeueRequest(Body):
    """Asks ``more`` people about an item."""

    more: int = Field(1, ge=1, le=100)
    note: Note = ""


class Requeued(Model):
    """The item that is open again."""

    item_id: UUID


class FillRequest(Body):
    """How full the queue should be; what is missing is as the settings say."""

    kinds: list[Kind] = Field(["unit", "pair"], min_length=1, max_length=2)
    size: int | None = Field(None, ge=1, le=1_000_000, description="Open items of each kind.")
    reviewers: int | None = Field(None, ge=1, le=100, description="People who judge each new item.")
    overlap: Share | None = Field(None, description="Share of items that one more person judges.")
    random_share: Share | None = Field(None, description="Share of items that are a random sample, for estimates.")
    refresh: bool = Field(True, description="Measure new paths and propose new pairs first.")


@fields_of(FilledRecord)
class QueueFilled(Model):
    """What filling did: candidates seen, items added, items of subjects that are gone, and open items now."""


class QueueFilling(Model):
    """Filling in the background of this process; ``filled`` once it is done, ``error`` where it failed."""

    job_id: UUID
    state: State
    error: str
    started_at: datetime
    filled: QueueFilled | None


@fields_of(QueueSize)
class FillDefaults(Model):
    """How full the queue is made where a request does not say."""


@fields_of(SampleRecord)
class RandomSample(Model):
    """A random sample: the probability of being in it, and how many there are to draw from."""

    kind: Kind


class AgreementMeasured(Model):
    """Whether agreement was measured again; not where no label changed."""

    measured: bool


class GoldRequest(Body):
    """The known answer of an item: a preference by side (a is the side of the smaller node id), or a range of ratings
    that are right."""

    preference: Literal["a", "b", "equal", "both_bad"] | None = None
    rating_low: Stars | None = None
    rating_high: Stars | None = None
    note: Note = ""


class GoldMade(Model):
    """The item of known answer."""

    gold_id: UUID
    item_id: UUID


@fields_of(GoldItemRecord, without={"scope"})
class GoldItem(Model):
    """An item of known answer, and how many people answered it, rightly or not."""

    kind: Kind


class QueueState(Model):
    """What filling goes by, and the random samples. Of an admin also ``gold``, the items of known answer, the oldest
    first: null for others, as they are there to watch reviewers. ``may_fill``: whether the token may fill the queue;
    ``filling``: the latest time that it was filled here, null where that is long ago."""

    defaults: FillDefaults
    samples: list[RandomSample]
    may_fill: bool
    gold: list[GoldItem] | None
    filling: QueueFilling | None
