"""Replays in a server process: previewed, run in the background, cancelled and resumed.

A plan is stored before it runs, and its jobs as they end, so that the process may be killed at any moment: resuming the
plan, here or with ``regraft replay --resume``, repeats no call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from regraft.domain.errors import ConflictError, ForbiddenError, RegraftError, UsageError
from regraft.domain.replay.budget import Budget, Price
from regraft.domain.replay.experiment import Experiment
from regraft.domain.replay.preview import ReplayPreview, preview
from regraft.flows.background import Background, CancelledWorkError, Work
from regraft.flows.replay import plans as flow
from regraft.flows.replay import progress
from regraft.flows.replay.execution import Grow, Tally
from regraft.flows.replay.model_offers import ModelOffers, model_offers, require_gateway
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.postgres.pool import transaction
from regraft.infra.postgres.replay import plans as store

if TYPE_CHECKING:
    from regraft.infra.config.tool_server import ToolServerSection
    from regraft.infra.embedded.stack import Stack
    from regraft.infra.settings import Settings

NAME = "replay"
MOST_SERVED_JOBS = 20_000  # of a plan that is asked for here: its requests are made in this process's memory
_WORKERS = 4  # plans that run at once; each makes as many calls at once as it says

_LIMITS = ("concurrency", "budget_tokens", "budget_money")


def _no_pin(_model: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySetup:
    """How a server replays. ``gateway`` says where the gateway is, ``settle`` returns when every call captured before
    is stored, ``prices`` are by model, ``pin_of`` tells what pins a model's build, ``servers`` are the tool servers for
    live tools, ``workbench`` is where pivots are found."""

    gateway: Callable[[], GatewayEndpoint]
    settle: Callable[[], None] | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    pin_of: Callable[[str], str] = _no_pin
    servers: Mapping[str, ToolServerSection] = field(default_factory=dict)
    workbench: Path | None = None


def replay_setup(settings: Settings, stack: Stack) -> ReplaySetup:
    """The setup that the settings describe. No server is started by it: a gateway needs keys that we may not have."""
    from regraft.flows.capture.backlog import wait_until_delivered

    return ReplaySetup(
        gateway=lambda: GatewayEndpoint(stack.gateway_url(), settings.client.api_key()),
        settle=lambda: wait_until_delivered(settings.data_dir / "spool", stack.nats()),
        prices=flow.prices(settings),
        pin_of=flow.pins(settings),
        servers=settings.tools,
        workbench=settings.workbench_path,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuing:
    """How an answer continues: up to ``turns`` answers (None: to the end of the record) along the path to the node
    ``toward`` (empty: the longest), with results of tools by ``policy``, a user simulated by the prompt ``persona`` and
    the model ``simulator``."""

    policy: str = "strict"
    turns: int | None = None
    toward: str = ""
    persona: str | None = None
    simulator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOutlook:
    """The preview of a replay. ``nodes`` are those that have jobs, ``answered`` the jobs that have an answer already,
    ``refused`` counts nodes without jobs by reason. ``plan_id`` is the stored plan that it is, None: a new one;
    ``resumes`` says that this plan was begun and not finished."""

    nodes: tuple[UUID, ...]
    answered: int
    refused: Mapping[str, int]
    preview: ReplayPreview
    plan_id: UUID | None
    resumes: bool


class ReplayService:
    """Plans of replays, and the threads that run them, in ``background``; the key of such work is its plan's id."""

    def __init__(self, dsn: str, setup: ReplaySetup) -> None:
        self._dsn = dsn
        self._setup = setup
        self.background = Background(workers=_WORKERS)
        self._cancelled: set[UUID] = set()  # plans whose jobs here start no more

    @property
    def prices(self) -> Mapping[str, Price]:
        """Prices of models, by name."""
        return self._setup.prices

    def outlook(self, asked: Experiment, going_on: Continuing | None = None, scope: str | None = None) -> ReplayOutlook:
        """What this would do; nothing is stored. Raises what ``start`` raises."""
        planned = self._planned(asked, going_on, scope)
        return ReplayOutlook(
            nodes=tuple(origin.node_id for origin in planned.origins),
            answered=planned.done,
            refused=dict(planned.refused),
            preview=preview(planned.todo, self._setup.prices),
            plan_id=planned.plan_id,
            resumes=planned.resumed,
        )

    def start(self, asked: Experiment, going_on: Continuing | None = None, scope: str | None = None) -> UUID:
        """Store the plan and run it in the background; one that is running already is left as it is.

        Raises UsageError for what cannot be planned or leaves nothing to do, NotFoundError for nodes that the tenant
        ``scope`` does not have, ConfigError for a budget in money without prices, ForbiddenError for a tenant that asks
        for live tools, and UnavailableError when the gateway does not answer or too many plans wait.
        """
        planned = self._planned(asked, going_on, scope)
        if not planned.origins:
            raise UsageError("No node is left to replay: none meets the conditions, or all were refused.")
        if not planned.todo and planned.plan_id is None:
            raise UsageError("Every answer that this asks for is there already. Ask for them again, or for more.")
        require_gateway(self._setup.gateway())
        plan_id = flow.save(self._dsn, planned)
        if planned.todo or planned.resumed:
            self._begin(plan_id, scope, asked, again=planned.resumed)
        return plan_id

    def resume(self, plan: str, scope: str | None = None, limits: Mapping[str, Any] | None = None) -> UUID:
        """Run the rest of a stored plan, with other ``limits`` (fields of an Experiment) where they are given.

        Raises NotFoundError for a plan that ``scope`` may not see, ConflictError when there is nothing left to run.
        """
        plan_id = progress.plan_id(self._dsn, plan, scope)
        row = progress.progress(self._dsn, plan_id)
        if row["state"] == "running":
            if row["cancel_requested_at"]:
                raise ConflictError("This plan is being cancelled. Resume it when its last calls have ended.")
            return plan_id
        if not row["planned"] + row["running"] + row["failed"]:
            raise ConflictError("All jobs of this plan are done.")
        planned = flow.resume(self._dsn, plan_id, scope=scope, waiting=False)
        given = {name: value for name, value in (limits or {}).items() if value is not None}
        asked = replace(planned.experiment, **given)
        self._check(replace(planned, experiment=asked), scope)
        require_gateway(self._setup.gateway())
        self._begin(plan_id, scope, asked, again=True)
        return plan_id

    def cancel(self, plan: str, scope: str | None = None) -> UUID:
        """Start no more jobs of a plan, whichever process runs it; calls on their way are finished. Of a plan that has
        ended nothing changes. Raises NotFoundError for a plan that ``scope`` may not see."""
        plan_id = progress.plan_id(self._dsn, plan, scope)
        self._cancelled.add(plan_id)
        for job in self.background.jobs(NAME):
            if job.key == str(plan_id) and job.state == "waiting":
                self.background.cancel(job.job_id)
                self._end(plan_id, "cancelled")
        progress.cancel(self._dsn, str(plan_id), scope)
        return plan_id

    def models(self, scope: str | None = None) -> ModelOffers:
        """Models that can be asked. A tenant sees those that are offered, not those that answered others."""
        return model_offers(self._dsn, self._setup.gateway(), self._setup.prices, scope)

    def close(self) -> None:
        """Start no more jobs, and wait a little for the calls that are on their way."""
        self.background.close()

    def _planned(self, asked: Experiment, going_on: Continuing | None, scope: str | None) -> flow.ReplayPlan:
        if going_on is not None:
            from regraft.flows.lineage.reading import node_id
            from regraft.flows.replay.rollouts import MOST_TURNS, RolloutOptions

            options = RolloutOptions(
                policy=going_on.policy,
                max_turns=going_on.turns or MOST_TURNS,
                toward=node_id(self._dsn, going_on.toward, scope) if going_on.toward else None,
                persona=going_on.persona,
                simulator=going_on.simulator,
                servers=self._setup.servers,
            )
            asked = replace(asked, growth=options.growth(), rollout=options.describe())
        planned = flow.prepare_experiment(
            self._dsn, asked, self._setup.pin_of, find=self._find, scope=scope, waiting=False, most=MOST_SERVED_JOBS
        )
        limits = {name: getattr(asked, name) for name in _LIMITS}
        planned = replace(planned, experiment=replace(planned.experiment, **limits))
        self._check(planned, scope)
        return planned

    def _check(self, planned: flow.ReplayPlan, scope: str | None) -> None:
        asked = planned.experiment
        bounds = Budget(tokens=asked.budget_tokens, money=asked.budget_money, prices=self._setup.prices)
        bounds.check(job.model for job in planned.todo)
        if scope is not None and (asked.rollout or {}).get("policy") == "live":
            raise ForbiddenError("A tenant's token cannot run live tools: they act on this server's behalf.")
        self._grow(planned)

    def _find(self, query: str) -> list[UUID]:
        from regraft.flows.evaluation.pivots import pivots_to_replay

        if self._setup.workbench is None:
            raise UsageError(f"The query {query!r} needs a workbench, which this server was started without.")
        return pivots_to_replay(self._dsn, self._setup.workbench)

    def _begin(self, plan_id: UUID, scope: str | None, asked: Experiment, *, again: bool) -> None:
        self._cancelled.discard(plan_id)
        if progress.progress(self._dsn, plan_id)["state"] == "running":
            return
        if again:  # readers see at once that it continues
            with transaction(self._dsn, name="regraft-replay") as connection:
                limited = (asked.concurrency, asked.budget_tokens, asked.budget_money)
                store.start(connection, plan_id, datetime.now(UTC), *limited)
        limits = {name: getattr(asked, name) for name in _LIMITS}

        def run(work: Work) -> flow.ReplayCounts:
            return self._run(plan_id, scope, limits, work)

        self.background.start(NAME, run, key=str(plan_id), scope=scope)

    def _run(self, plan_id: UUID, scope: str | None, limits: Mapping[str, Any], work: Work) -> flow.ReplayCounts:
        work.progress("preparing", 0, 0)
        try:
            planned = flow.resume(self._dsn, plan_id, self._setup.settle, scope=scope)
            planned = replace(planned, experiment=replace(planned.experiment, **limits))
            gateway, grow = self._setup.gateway(), self._grow(planned)
        except RegraftError as error:
            self._end(plan_id, "error", str(error))
            raise
        ended = 0

        def advance(count: int) -> None:
            nonlocal ended
            ended += count
            with contextlib.suppress(CancelledWorkError):  # `stop` says so, and calls on their way are not dropped
                work.progress("replaying", ended, len(planned.todo))

        def stop() -> str:
            if plan_id in self._cancelled:
                return "cancelled"
            return "shutdown" if work.cancelled.is_set() else ""

        return flow.run(
            self._dsn,
            gateway,
            planned,
            progress=advance,
            grow=grow,
            prices=self._setup.prices,
            tally=Tally(),
            stop=stop,
        )

    def _end(self, plan_id: UUID, stopped: str, error: str = "") -> None:
        with transaction(self._dsn, name="regraft-replay") as connection:
            store.end(connection, plan_id, datetime.now(UTC), stopped=stopped, error=error.replace("\0", "?"))

    def _grow(self, planned: flow.ReplayPlan) -> Grow:
        from regraft.flows.replay.rollouts import growing

        nodes = {job.origin.node_id for job in planned.todo}
        return growing(self._dsn, planned.experiment, nodes, self._setup.servers)
