"""Routes of replays: comparisons, plans with their jobs, and the progress of a plan."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from regraft.flows.replay import progress as plans
from regraft.flows.replay.comparison import compare
from regraft.presentation.web.answer import JsonReply, Model, StoredJson
from regraft.presentation.web.replay.events import Progress, progress_events
from regraft.presentation.web.request import AfterNumber, Before, Limit, Scroll, Truth, page_end, page_start
from regraft.presentation.web.stopping import ServerStopping

router = APIRouter(tags=["replay"])


class ComparedAnswer(Model):
    """One answer under an anchor. ``words`` says what its variant changed; ``head`` is the start of the answer."""

    branch_index: int
    turn_id: UUID
    node_id: UUID
    branch_kind: str
    is_replay: bool
    same_context: bool
    model: str
    model_snapshot_id: str
    run_status: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    first_byte_ms: float | None
    started_at: datetime
    reward: float | None
    reward_source: str | None
    fidelity: float | None
    superseded: bool
    variant_id: str
    words: str
    seconds: float
    cost: float | None
    head: str
    answer: StoredJson


class VariantFigures(Model):
    """A variant over its samples. Shares are from 0 to 1; a mean that no sample has a figure for is null."""

    variant_id: str
    words: str
    superseded: bool
    models: list[str]
    samples: int
    answers: int
    distinct: int
    agreement: float | None
    commonest: UUID | None
    length: float | None
    length_spread: float | None
    refusals: float
    errors: float
    cut: float
    prompt_tokens: float | None
    completion_tokens: float | None
    seconds: float
    seconds_median: float
    cost: float | None
    reward: float | None
    rewarded: int
    fidelity: float | None
    turn_ids: list[UUID]


class Comparison(Model):
    """The answers to one context, and how each variant's samples are distributed."""

    node_id: UUID
    context_anchor_turn_id: UUID
    alternatives: list[ComparedAnswer]
    variants: list[VariantFigures]


class ListedPlan(Progress):
    """A plan with the number of its ``variants``, and in words what the first three of them change."""

    variants: int
    changes: list[str]


class Plans(Model):
    """A page of replay plans, the latest first. ``next`` is the ``before`` of the following page."""

    replays: list[ListedPlan]
    next: str | None


class JobFailure(Model):
    """A reason, and the number of jobs that failed for it."""

    failure: str | None
    jobs: int


class Job(Model):
    """One answer that a plan asks for."""

    number: int
    fingerprint: str
    node_id: UUID
    variant_index: int
    sample: int
    model: str
    state: str
    turn_id: UUID | None
    failure: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    started_at: datetime | None
    ended_at: datetime | None


class VariantProgress(Model):
    """How far a variant of a plan is. ``seconds`` is the mean of its jobs, null before the first is done."""

    variant_index: int
    words: str
    jobs: int
    done: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float | None


class NodeProgress(Model):
    """How far the jobs at a node are."""

    node_id: UUID
    jobs: int
    done: int
    failed: int


class Plan(Progress):
    """A replay plan with its definition and a page of its jobs. ``next`` is the ``after`` of the following page.
    ``node_records`` are the first 200.

    ``refused`` counts, by reason, nodes that were asked for and have no jobs: ``side_call``.
    """

    definition: StoredJson
    experiment: str | None
    refused: dict[str, int]
    failures: list[JobFailure]
    variants: list[VariantProgress]
    node_records: list[NodeProgress]
    job_records: list[Job]
    next: int | None


@router.get("/compare/{id}", response_model=Comparison)
def comparison(id: str, truth: Truth, request: Request) -> JsonReply:
    """All answers under a node's anchor, variant by variant."""
    replays = request.app.state.replays
    with truth.connection() as connection:
        found = compare(connection, id, replays.prices if replays is not None else None, scope=truth.scope)
    return JsonReply(Comparison.model_validate(found))


@router.get("/replays", response_model=Plans)
def replays(truth: Truth, limit: Limit = 50, before: Before = None) -> JsonReply:
    """Replay plans, the latest first. A tenant's token sees those whose nodes are all the tenant's."""
    at, last_id = page_start(before)
    with truth.connection() as connection:
        found = plans.plans(connection, limit, scope=truth.scope, before=at, before_id=last_id)
    following = page_end(found[-1]["created_at"], found[-1]["plan_id"]) if len(found) == limit else None
    return JsonReply(Plans(replays=ListedPlan.from_rows(found), next=following))


@router.get("/replays/{id}", response_model=Plan)
def replay(id: str, truth: Truth, limit: Scroll = 1000, after: AfterNumber = None) -> JsonReply:
    """One replay plan, by its id or the first digits of it."""
    with truth.connection() as connection:
        found = plans.plan(connection, id, scope=truth.scope, after=after, limit=limit)
    parts = {
        "definition": found.definition,
        "experiment": found.experiment,
        "refused": found.refused,
        "failures": found.failures,
        "variants": found.variants,
        "node_records": found.nodes,
        "job_records": found.jobs,
        "next": found.jobs[-1]["number"] if len(found.jobs) == limit else None,
    }
    return JsonReply(Plan.model_validate({**found.progress, **parts}))


@router.get(
    "/replays/{id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
def replay_events(id: str, truth: Truth, stopping: ServerStopping) -> StreamingResponse:
    """Server-sent events: `progress` after every change, then `end`. The data of both is the plan's progress."""
    with truth.connection() as connection:
        plan_id = plans.plan_id(connection, id, truth.scope)  # an unknown plan is a plain 404
    events = progress_events(lambda: _progress(truth, plan_id), stopping)
    return StreamingResponse(events, media_type="text/event-stream")


def _progress(truth: Truth, plan_id: UUID) -> Progress:
    with truth.connection() as connection:
        return Progress.model_validate(plans.progress(connection, plan_id))
