"""Regenerate stale results: plans through taskification, replays and rollouts through the gateway.

What was asked is asked again, as the log has it, with the same words and seeds; only what is current differs. Nothing
is overwritten: the new runs are added, and rows of ``generations`` say what they supersede.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from regraft.domain.errors import RegraftError, UsageError
from regraft.domain.ids import EventId, NodeId, canonical_json, digest, parse_json
from regraft.domain.lineage.turn import INTERNAL_SESSION, turn_id
from regraft.domain.orchestration.rule import Rule, rule_name
from regraft.domain.orchestration.taskification import read_assignment
from regraft.domain.replay.job import Job, Variant, plan
from regraft.domain.replay.staleness import FOLLOW, REPLAY, RUNS, TASKIFICATIONS, TASKIFY, RegenerationStep
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.lineage import build as lineage
from regraft.flows.orchestration import taskify
from regraft.flows.replay.execution import (
    Grow,
    JobResult,
    JobWatcher,
    Tally,
    execute,
    identity_of,
    refusal,
    run_async,
    spent_in,
)
from regraft.flows.replay.rollouts import RolloutOptions, Rollouts
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import KeyRefusedError
from regraft.infra.llm.retrying_client import RetryingClient
from regraft.infra.postgres.orchestration import taskification
from regraft.infra.postgres.pool import transaction
from regraft.infra.postgres.replay import staleness as store

if TYPE_CHECKING:
    from regraft.infra.config.tool_server import ToolServerSection

_BATCH = 32  # things that are made between two notes of what was made

Progress = Callable[[int], None]


@dataclass(slots=True)
class RegenerationResult:
    """``made``: by old id, the new one. ``followed`` are superseded with them. ``failures`` say why, in a line."""

    made: dict[UUID, UUID] = field(default_factory=dict)
    followed: list[UUID] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedJob(Job):
    """A job that is asked again as it was: ``said`` is what its call said that it changed."""

    said: str = "{}"

    def label(self) -> str:
        """The variant header, as it was."""
        return self.said


@dataclass(frozen=True, slots=True)
class _Task:
    """One call or rollout to make, and what it supersedes: choices of its answer, or all turns of the rollout."""

    job: RepeatedJob
    identity: Mapping[str, str]
    replaces: Mapping[UUID, int]
    rollout: store.Row | None = None


def regenerate(
    dsn: str,
    gateway: GatewayEndpoint | str,
    wanted: Sequence[RegenerationStep],
    rules: Mapping[str, Rule],
    *,
    concurrency: int = 2,
    keep: Callable[[], None] | None = None,
    progress: Progress | None = None,
    servers: Mapping[str, ToolServerSection] | None = None,
) -> RegenerationResult:
    """Take these steps, in their order. A failure is reported and stops no other step; what follows it stays stale.

    ``rules`` by name; ``servers`` are the tool servers of rollouts with live tools. ``keep`` and the errors are those
    of ``wait_until_stored``; raises KeyRefusedError once every answer that came before the refusal is recorded.
    Killed at any time, what was noted stays made, and the rest is stale as before.
    """
    done = RegenerationResult()
    reasons = {step.stale.made.id: (step.stale.cause, step.stale.reason) for step in wanted}
    orchestrated: list[UUID] = []
    for step in wanted:
        if step.what != TASKIFY:
            continue
        try:
            new = _taskify(dsn, gateway, step.stale.made.id, rules, keep)
        except KeyRefusedError:
            raise
        except RegraftError as error:
            done.failures.append(str(error))
        else:
            if new is None:
                orchestrated.append(step.stale.made.id)
                continue
            _note(dsn, TASKIFICATIONS, {step.stale.made.id: new}, reasons, done)
        if progress:
            progress(1)
    tasks = [
        *_orchestrated(dsn, orchestrated, done),
        *_tasks(dsn, [step.stale.made.id for step in wanted if step.what == REPLAY], done),
    ]
    for at in range(0, len(tasks), _BATCH):
        batch = tasks[at : at + _BATCH]
        grown, refused = _grow(dsn, gateway, batch, concurrency, progress, servers or {})
        turns = {id(task.job): each.turns for task, each in grown if each.failure is None and each.turns}
        wait_until_stored(dsn, [turn for _, each in grown for turn in each.turns], keep)
        lineage.build(dsn)
        for task, each in grown:
            if id(task.job) not in turns:
                done.failures.append(each.failure or "The gateway named no turn.")
                continue
            made = {old: _new(each, choice, task) for old, choice in task.replaces.items()}
            if plans := {old: new for old, new in made.items() if old in orchestrated}:
                taskify.collect(dsn)
                plans = {old: _plan_of(dsn, new) for old, new in plans.items()}
            _note(dsn, TASKIFICATIONS, plans, reasons, done)
            _note(dsn, RUNS, {old: new for old, new in made.items() if old not in plans}, reasons, done)
        if refused is not None:
            raise refused
    _follow(dsn, [step for step in wanted if step.what == FOLLOW], reasons, done)
    return done


def _new(grown: JobResult, choice: int, task: _Task) -> UUID:
    return grown.turns[-1] if task.rollout else turn_id(EventId(grown.turns[-1]), choice)


def _taskify(
    dsn: str, gateway: GatewayEndpoint | str, old: UUID, rules: Mapping[str, Rule], keep: Callable[[], None] | None
) -> UUID | None:
    """A new generation of a plan; None where an orchestrator made it in answering a call: that is asked again."""
    with transaction(dsn) as connection:
        row = store.assignment(connection, old)
    kind = row["subject"].partition(":")[0]
    if kind == "turn":
        return None
    name = rule_name(row["taskify_rule_version"])
    if name not in rules:
        raise UsageError(f"Plan {old} was made by the rule {name}, which no longer exists.")
    assignment = read_assignment(row["identity"].get("variant"))
    workers, most = (assignment.workers, assignment.max_subtasks) if assignment else ((), None)
    if kind == "node":
        todo = taskify.of_node(dsn, row["node_id"], rules[name], workers, row["asked_model"], most)
    elif digest(row["prompt"].encode()) != bytes(row["prompt_digest"]):
        raise UsageError(f"Plan {old} was made for a prompt that PostgreSQL cannot hold as text: taskify it yourself.")
    else:
        todo = taskify.of_prompt(dsn, row["prompt"], rules[name], workers, row["asked_model"], most)
    made = taskify.taskify(dsn, gateway, todo, rules[name], keep=keep)
    return UUID(str(made["taskification_id"]))


def _plan_of(dsn: str, turn: UUID) -> UUID:
    """The plan that was made for an orchestrated call, or the call itself where its plan is not settled yet."""
    with transaction(dsn) as connection:
        row = taskification.latest(connection, f"turn:{turn}")
    return UUID(str(row["taskification_id"])) if row else turn


def _orchestrated(dsn: str, plans: Sequence[UUID], done: RegenerationResult) -> list[_Task]:
    """The calls that these plans were made for, to be asked again beside the old answers."""
    tasks = []
    with transaction(dsn) as connection:
        for old in plans:
            row = store.assignment(connection, old)
            asked = store.requests(connection, [UUID(row["subject"].partition(":")[2])])
            if not asked:
                done.failures.append(f"The call that plan {old} was made for is not in the graph.")
                continue
            job = _again(asked[0], asked[0].origin.node_id, "{}")
            tasks.append(_Task(job, identity_of(job), {old: 0}))
    return tasks


def _tasks(dsn: str, runs: Sequence[UUID], done: RegenerationResult) -> list[_Task]:
    """What is to be asked for these replays: once for all choices of one answer, and for all turns of one rollout."""
    if not runs:
        return []
    wanted = set(runs)
    tasks: list[_Task] = []
    with transaction(dsn) as connection:
        asked = store.requests(connection, runs)
        sessions = {each.origin.session_id for each in asked}
        grown = store.rollouts(connection, sessions, runs)
        firsts = {each.run_id: each for each in store.requests(connection, [row["turn_ids"][0] for row in grown])}
        in_rollouts: set[UUID] = set()
        for row in grown:
            turns = [turn for turn in row["turn_ids"] if turn in wanted]
            in_rollouts.update(turns)
            first = firsts.get(row["turn_ids"][0])
            if first is None or row["simulated_user"]:
                why = (
                    "a simulated user, whose persona is in its replay plan: run that again" if first else "a lost call"
                )
                done.failures.append(f"Rollout {row['rollout_id']} begins with {why}.")
                continue
            said = {key: value for key, value in _label(first).items() if key != "rollout"}
            job = replace(_again(first, row["node_id"], canonical_json(said)), fingerprint=row["fingerprint"])
            tasks.append(_Task(job, {}, dict.fromkeys(turns, 0), row))
        calls: dict[UUID, list[store.RecordedRequest]] = {}
        for each in asked:
            if each.run_id not in in_rollouts:
                calls.setdefault(each.event_id, []).append(each)
    for choices in calls.values():
        first = choices[0]
        who = {name.replace("_", "-"): str(value) for name, value in first.identity.items()}
        who["session"] = f"{INTERNAL_SESSION}{first.origin.session_id}"
        job = _again(first, first.origin.node_id, str(first.identity.get("variant") or "{}"))
        tasks.append(_Task(job, who, {each.run_id: each.choice_index for each in choices}))
    return tasks


def _label(asked: store.RecordedRequest) -> dict[str, Any]:
    try:
        found = parse_json(asked.identity.get("variant") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _again(asked: store.RecordedRequest, node: UUID, said: str) -> RepeatedJob:
    origin = replace(asked.origin, node_id=NodeId(node), plan=str(asked.identity.get("plan") or ""))
    (job,) = plan([origin], [Variant()], 1)
    return RepeatedJob(
        origin=origin,
        variant=job.variant,
        variant_index=0,
        sample=0,
        endpoint=job.endpoint,
        body=job.body,
        fingerprint=job.fingerprint,
        said=said,
    )


@dataclass(slots=True)
class _Collector(JobWatcher):
    progress: Progress | None
    grown: dict[int, JobResult] = field(default_factory=dict)

    def began(self, job: Job) -> None:
        """Nothing is noted before it has ended."""

    def ended(self, job: Job, grown: JobResult) -> None:
        self.grown[id(job)] = grown
        if self.progress:
            self.progress(1)


def _grow(
    dsn: str,
    gateway: GatewayEndpoint | str,
    batch: Sequence[_Task],
    concurrency: int,
    progress: Progress | None,
    servers: Mapping[str, ToolServerSection],
) -> tuple[list[tuple[_Task, JobResult]], KeyRefusedError | None]:
    by_job = {id(task.job): task for task in batch}

    async def grow(caller: RetryingClient, job: Job) -> JobResult:
        task = by_job[id(job)]
        return await (_ask(caller, task) if task.rollout is None else _roll(dsn, task.rollout, servers)(caller, job))

    watcher = _Collector(progress)
    jobs = [task.job for task in batch]
    try:
        run_async(execute(gateway, jobs, concurrency, Tally(total=len(jobs)), watcher, None, grow))
    except KeyRefusedError as error:
        # What was answered before is still recorded; ``regenerate`` raises when that is done.
        refused: KeyRefusedError | None = error
    else:
        refused = None
    return [(task, watcher.grown[id(task.job)]) for task in batch if id(task.job) in watcher.grown], refused


async def _ask(caller: RetryingClient, task: _Task) -> JobResult:
    job = task.job
    reply = await caller.post(job.endpoint, job.body, task.identity, job.model)
    turns = (reply.turn_id,) if reply.turn_id else ()
    if reply.status >= 400:
        return JobResult(turns=turns, failure=refusal(reply))
    return JobResult(turns=turns, spent=spent_in(reply, job.endpoint))


def _roll(dsn: str, row: store.Row, servers: Mapping[str, ToolServerSection]) -> Grow:
    """As far as it went before, where it was a limit that ended it; else to its own end."""
    limit = {"max_turns": row["steps"]} if row["stop_reason"] == "max_turns" else {}
    live = servers if row["policy"] == "live" else {}
    return Rollouts(dsn, RolloutOptions(policy=row["policy"], servers=live, **limit)).grow


def _follow(
    dsn: str, wanted: Iterable[RegenerationStep], reasons: Mapping[UUID, tuple[str, str]], done: RegenerationResult
) -> None:
    """Results that follow only regenerated results are superseded with them, by the first of the new ones."""
    steps = list(wanted)
    roots = {root for step in steps for root in step.after}
    with transaction(dsn) as connection:
        newer = {row["supersedes"]: row["new_id"] for row in store.generations(connection, roots)}
    for stage in (TASKIFICATIONS, RUNS):
        ready = {
            step.stale.made.id: newer[min(step.after)]
            for step in steps
            if step.stale.made.stage == stage and step.after and step.after <= newer.keys()
        }
        _note(dsn, stage, ready, reasons, done, followed=True)


def _note(
    dsn: str,
    stage: str,
    made: Mapping[UUID, UUID],
    reasons: Mapping[UUID, tuple[str, str]],
    done: RegenerationResult,
    *,
    followed: bool = False,
) -> None:
    rows = [(new, old, stage, *reasons[old]) for old, new in made.items() if new != old]
    if not rows:
        return
    with transaction(dsn) as connection:
        store.add_generations(connection, rows, datetime.now(UTC))
    if followed:
        done.followed.extend(old for _, old, *_ in rows)
    else:
        done.made.update({old: new for new, old, *_ in rows})
