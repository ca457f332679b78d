"""Routes that replay: look before, start, cancel and resume plans, and the models that can be asked."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from regraft.domain.errors import UnavailableError
from regraft.domain.replay.budget import TokenSpend
from regraft.domain.replay.preview import VariantPreview
from regraft.flows.replay import progress
from regraft.flows.replay.model_offers import ModelOffer
from regraft.flows.replay.service import ReplayService
from regraft.presentation.web.answer import FailedReply, JsonReply, Model, fields_of
from regraft.presentation.web.replay.events import Progress
from regraft.presentation.web.replay.requests import ReplayRequest, ResumeRequest
from regraft.presentation.web.request import Admin, Truth

router = APIRouter(
    tags=["replay"],
    responses={
        403: {"model": FailedReply, "description": "This token may not do that."},
        409: {"model": FailedReply, "description": "What happened meanwhile contradicts the request."},
    },
)

_NODES_TOLD = 200


class Tokens(Model):
    """Tokens of prompts and of answers."""

    prompt: int
    completion: int


@fields_of(VariantPreview)
class PlannedVariant(Model):
    """What one variant would take. ``words`` say what it changes; ``cost`` is null without prices."""

    tokens: Tokens


class ReplayPreview(Model):
    """What a replay would do. ``jobs`` would run, ``answered`` have an answer already, ``refused`` counts nodes without
    jobs by reason.

    ``node_ids`` are the first 200 of ``nodes``. ``prompts_estimated`` jobs have prompts that were never counted,
    ``answers_without_limit`` no longest answer. ``plan_id``: the stored plan that this is, which ``resumes`` if it was
    not finished.
    """

    jobs: int
    answered: int
    nodes: int
    node_ids: list[UUID]
    refused: dict[str, int]
    tokens: Tokens
    cost: float | None
    unpriced: list[str]
    prompts_estimated: int
    answers_without_limit: int
    variants: list[PlannedVariant]
    plan_id: UUID | None
    resumes: bool


class PriceOfModel(Model):
    """Money for a million tokens."""

    prompt: float
    completion: float


@fields_of(ModelOffer)
class OfferedModel(Model):
    """A model. ``offered``: an upstream lists it now. ``runs``: how often it answered; 0 to a tenant."""

    price: PriceOfModel | None


class OfferedModels(Model):
    """Models that can be asked. ``problem`` says why it is not known which are offered; '': it is."""

    models: list[OfferedModel]
    problem: str


async def _service(request: Request) -> ReplayService:
    service: ReplayService | None = request.app.state.replays
    if service is None:
        raise UnavailableError("This server was started without a gateway to replay with.")
    return service


Service = Annotated[ReplayService, Depends(_service)]


@router.post("/replays/plan", response_model=ReplayPreview)
def preview_replay(asked: ReplayRequest, admin: Admin, truth: Truth, service: Service) -> JsonReply:
    """Jobs, tokens and cost of a replay. Nothing is stored, and nothing asked."""
    going_on = asked.continuing.options() if asked.continuing else None
    found = service.outlook(asked.experiment(), going_on, truth.scope)
    whole = found.preview
    variants = [
        PlannedVariant(
            words=each.words,
            models=list(each.models),
            jobs=each.jobs,
            tokens=_tokens(each.tokens),
            cost=each.cost,
        )
        for each in whole.variants
    ]
    return JsonReply(
        ReplayPreview(
            jobs=whole.jobs,
            answered=found.answered,
            nodes=len(found.nodes),
            node_ids=list(found.nodes[:_NODES_TOLD]),
            refused=dict(found.refused),
            tokens=_tokens(whole.tokens),
            cost=whole.cost,
            unpriced=list(whole.unpriced),
            prompts_estimated=whole.prompts_estimated,
            answers_without_limit=whole.answers_without_limit,
            variants=variants,
            plan_id=found.plan_id,
            resumes=found.resumes,
        )
    )


@router.post("/replays", response_model=Progress, status_code=202)
def start_replay(asked: ReplayRequest, admin: Admin, truth: Truth, service: Service) -> JsonReply:
    """Store the plan and run it in the background. The same request again gives the same plan while it is not done."""
    going_on = asked.continuing.options() if asked.continuing else None
    return _progress(truth, service.start(asked.experiment(), going_on, truth.scope), 202)


@router.post("/replays/{id}/cancel", response_model=Progress)
def cancel_replay(id: str, admin: Admin, truth: Truth, service: Service) -> JsonReply:
    """Start no more jobs of a plan, whichever process runs it. Calls on their way are finished."""
    return _progress(truth, service.cancel(id, truth.scope))


@router.post("/replays/{id}/resume", response_model=Progress, status_code=202)
def resume_replay(
    id: str, admin: Admin, truth: Truth, service: Service, limits: ResumeRequest | None = None
) -> JsonReply:
    """Run the rest of a plan, failed jobs included, with other limits where they are given."""
    given = limits.model_dump() if limits is not None else {}
    return _progress(truth, service.resume(id, truth.scope, given), 202)


@router.get("/models", response_model=OfferedModels)
def offered_models(truth: Truth, service: Service) -> JsonReply:
    """Models that the gateway's upstreams offer, then others that answered before."""
    found = service.models(truth.scope)
    return JsonReply(OfferedModels.model_validate(asdict(found)))


def _tokens(spent: TokenSpend) -> Tokens:
    return Tokens(prompt=spent.prompt, completion=spent.completion)


def _progress(truth: Truth, plan_id: UUID, status: int = 200) -> JsonReply:
    with truth.connection() as connection:
        return JsonReply(Progress.model_validate(progress.progress(connection, plan_id)), status)
