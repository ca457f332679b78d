"""Replay nodes: plan, call the gateway like any client, wait for the records, build the graph.

A plan is stored with its jobs before the first call. A driver that dies loses nothing: what it had asked is found in
the log by the fingerprint that each call bears, and the rest is run by the next driver of the plan.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from secrets import token_bytes
from uuid import UUID

from regraft.domain.errors import NotFoundError, RegraftError, UsageError
from regraft.domain.ids import canonical_json, digest, parse_json, plain, time_ordered_uuid
from regraft.domain.replay.budget import Budget, Price
from regraft.domain.replay.experiment import MOST_JOBS, Experiment
from regraft.domain.replay.job import Job, Origin, Variant, plan
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.lineage import build as lineage
from regraft.flows.replay.execution import Grow, JobResult, Stop, Tally, never, run_async, run_single_call
from regraft.flows.replay.job_recorder import OPEN_STATES, JobRecorder, Progress
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import Connection, connect, transaction
from regraft.infra.postgres.replay import plans as store
from regraft.infra.settings import Settings

__all__ = [
    "Grow",
    "JobResult",
    "ReplayCounts",
    "ReplayPlan",
    "Tally",
    "pins",
    "prepare",
    "prepare_experiment",
    "prices",
    "resume",
    "run",
    "run_single_call",
    "save",
]

PinOf = Callable[[str], str]
Settle = Callable[[], None]
Find = Callable[[str], Sequence[UUID]]  # the nodes of a named query, the most telling first

# Calls of a driver that died may still be on their way from the gateway to the log: this long after the last came.
_QUIET = 2.0


def _unpinned(_model: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """``todo`` are the jobs to run; ``done`` how many of all were finished before.

    ``jobs`` are all of them, and ``found`` the fingerprints that have an answer already, with it. ``plan_id`` is None
    while the plan is not stored. ``resumed``: it was begun before. ``refused``: nodes that are not replayed, by reason.
    """

    origins: list[Origin]
    todo: list[Job]
    done: int
    jobs: list[Job]
    experiment: Experiment
    found: dict[str, store.FinishedCall] = field(default_factory=dict)
    plan_id: UUID | None = None
    resumed: bool = False
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """How the jobs ended. ``turns`` are the ids of the captured calls; ``failures`` say why calls failed, in a line.

    ``ran`` jobs have ended now, ``skipped`` were finished before. ``plan_id`` is None when there was nothing to run.
    """

    ran: int
    skipped: int
    turns: list[UUID]
    failures: list[str]
    plan_id: UUID | None = None
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0


def prepare(
    dsn: str,
    nodes: Collection[UUID],
    variants: Sequence[Variant],
    samples: int = 1,
    *,
    again: bool = False,
    side_calls: bool = False,
) -> ReplayPlan:
    """The plan of a replay of these nodes. Clients' side calls are refused unless ``side_calls``.

    Raises NotFoundError for a node that was never asked anything.
    """
    asked = Experiment(
        nodes=tuple(str(node) for node in nodes),
        variants=tuple(variants),
        samples=samples,
        again=again,
        side_calls=side_calls,
    )
    return prepare_experiment(dsn, asked)


def prepare_experiment(
    dsn: str,
    asked: Experiment,
    pin_of: PinOf = _unpinned,
    settle: Settle | None = None,
    find: Find | None = None,
    *,
    scope: str | None = None,
    waiting: bool = True,
    most: int = MOST_JOBS,
) -> ReplayPlan:
    """The plan of an experiment: the one that was begun and not finished, else a new one. Stores nothing.

    ``pin_of`` gives what pins a model's build; ``settle`` and ``waiting`` are as for ``resume``; ``find`` gives the
    nodes of a named query, the most telling first. Of a tenant, ``scope``, only its own nodes and answers are known:
    what it asks for by conditions is a plan of the nodes that meet them now. ``most`` jobs are planned.

    Raises NotFoundError for a node or session that is not there, or that was never asked anything, and UsageError for
    what cannot be planned.
    """
    with transaction(dsn) as connection:
        asked = _resolved(connection, asked, scope)
    if scope is not None and asked.query is not None and not asked.nodes:
        found_now = _chosen(dsn, asked, find, scope)
        if not found_now:
            return ReplayPlan([], [], 0, [], asked)
        asked = replace(asked, nodes=tuple(map(str, found_now)), query=None)
    with transaction(dsn) as connection:
        earlier = store.plan_of_definition(connection, asked.definition_digest())
        rows = store.jobs(connection, earlier) if earlier else []
    if earlier and any(row["state"] in OPEN_STATES for row in rows):
        resumed = resume(dsn, earlier, settle, scope=scope, waiting=waiting)
        return replace(resumed, experiment=replace(asked, name=resumed.experiment.name or asked.name))
    nodes: Collection[UUID] = [UUID(node) for node in asked.nodes] or _chosen(dsn, asked, find)
    if len(nodes) * len(asked.variants) * asked.samples > most:
        raise UsageError(
            f"The plan would have more than {most:,} jobs. Take fewer nodes (--limit), variants or samples."
        )
    with transaction(dsn) as connection:
        origins = _origins(connection, nodes)
        refused = Counter(reason for origin in origins if (reason := asked.refusal(origin)))
        origins = [origin for origin in origins if asked.refusal(origin) is None]
        jobs = plan(origins, asked.variants, asked.samples, pin_of=pin_of, growth=asked.growth)
        jobs = list({job.fingerprint: job for job in reversed(jobs)}.values())[::-1]
        marks = [job.fingerprint for job in jobs]
        found = {} if asked.again else store.finished(connection, marks, scope=scope)
    if earlier and not asked.again and {row["fingerprint"] for row in rows} == set(marks) == found.keys():
        return ReplayPlan(origins, [], len(jobs), jobs, asked, found, earlier, refused=refused)
    todo = [job for job in jobs if job.fingerprint not in found]
    return ReplayPlan(origins, todo, len(found), jobs, asked, found, refused=refused)


def resume(
    dsn: str, plan_id: UUID, settle: Settle | None = None, *, scope: str | None = None, waiting: bool = True
) -> ReplayPlan:
    """The rest of a stored plan. What a driver asked before it died is waited for, and found in the log.

    ``settle`` is called where a driver died: it returns when every call captured before is stored; without ``waiting``
    nothing is waited for, which is enough to look at it. ``scope`` is as for ``prepare_experiment``.

    Raises NotFoundError when there is no such plan, or when one of its nodes is gone.
    """
    with transaction(dsn) as connection:
        row = store.get_plan(connection, plan_id)
        rows = store.jobs(connection, plan_id)
        standing = store.progress(connection, plan_id)
        definition = parse_json(row["definition"])
        origins = _origins(connection, list(dict.fromkeys(job["node_id"] for job in rows)))
    asked = Experiment(
        nodes=tuple(str(origin.node_id) for origin in origins),
        variants=tuple(Variant.of(each) for each in definition["variants"]),
        samples=definition["samples"],
        name=row["name"],
        theme=row["theme"],
        again=row["again"],
        side_calls=definition.get("side_calls", False),
        growth=definition.get("growth", ""),
        rollout=plain(parse_json(row["rollout"])) if row["rollout"] else None,
        concurrency=row["concurrency"],
        budget_tokens=row["budget_tokens"],
        budget_money=row["budget_money"],
        text=row["experiment"],
    )
    planned = plan(origins, asked.variants, asked.samples, growth=asked.growth)
    places = {(job.origin.node_id, job.variant_index, job.sample): job for job in planned}
    jobs = [
        replace(places[each["node_id"], each["variant_index"], each["sample"]], fingerprint=each["fingerprint"])
        for each in rows
    ]
    unfinished = [job["fingerprint"] for job in rows if job["state"] in OPEN_STATES]
    since = row["created_at"] if asked.again else None
    left_running = standing["state"] in ("running", "interrupted") or standing["running"] > 0
    died = waiting and left_running
    if died and settle is not None:
        settle()
    found = _settled(dsn, unfinished, since, scope, wait=died)
    rest = set(unfinished) - found.keys()
    todo = [job for job in jobs if job.fingerprint in rest]
    return ReplayPlan(
        origins, todo, len(jobs) - len(todo), jobs, asked, found, plan_id, resumed=True, refused=row["refused"]
    )


def save(dsn: str, planned: ReplayPlan) -> UUID:
    """Store a plan that is not stored yet, and return its id. Nothing is run."""
    if planned.plan_id is not None:
        return planned.plan_id
    now = datetime.now(UTC)
    asked = planned.experiment
    plan_id = time_ordered_uuid(int(now.timestamp() * 1000), token_bytes(10))
    row = {
        "plan_id": plan_id,
        "name": asked.name,
        "definition": canonical_json(asked.definition()),
        "definition_digest": asked.definition_digest(),
        "experiment": asked.text,
        "experiment_digest": digest(asked.text.encode()) if asked.text is not None else None,
        "theme": asked.theme,
        "again": asked.again,
        "concurrency": asked.concurrency,
        "budget_tokens": asked.budget_tokens,
        "budget_money": asked.budget_money,
        "refused": dict(planned.refused),
        "created_at": now,
        "rollout": canonical_json(asked.rollout) if asked.rollout is not None else None,
    }
    jobs = [
        store.JobRow(
            plan_id=plan_id,
            number=number,
            fingerprint=job.fingerprint,
            node_id=job.origin.node_id,
            variant_index=job.variant_index,
            sample=job.sample,
            model=job.model,
            state="skipped" if job.fingerprint in planned.found else "planned",
        )
        for number, job in enumerate(planned.jobs)
    ]
    with transaction(dsn, name="regraft-replay") as connection:
        store.save_plan(connection, row, jobs)
        turns = [
            store.JobChange(number=number, state="skipped", turn_id=planned.found[job.fingerprint].turn_id)
            for number, job in enumerate(planned.jobs)
            if job.fingerprint in planned.found
        ]
        if turns:
            store.update_jobs(connection, plan_id, turns)
    return plan_id


def run(
    dsn: str,
    gateway: GatewayEndpoint | str,
    planned: ReplayPlan,
    concurrency: int | None = None,
    progress: Progress | None = None,
    keep: Callable[[], None] | None = None,
    grow: Grow = run_single_call,
    *,
    prices: Mapping[str, Price] | None = None,
    tally: Tally | None = None,
    stop: Stop = never,
) -> ReplayCounts:
    """Run a plan's jobs, each with ``grow``, and return when their answers are in the graph.

    A job that fails is counted and does not stop the others. A budget that is spent leaves the rest for another time,
    as does ``stop`` when it says why ("cancelled", "shutdown"), and a cancellation of the stored plan.
    ``tally`` is kept up to date meanwhile, ``progress`` called for each job that ended. ``keep`` and the errors are
    those of ``wait_until_stored``; raises UsageError when another process runs this plan.
    """
    asked = planned.experiment
    at_once = concurrency or asked.concurrency
    count = tally or Tally()
    count.total = len(planned.todo)
    if not planned.todo and not planned.found.keys() - _noted(planned):
        return ReplayCounts(0, planned.done, [], [], planned.plan_id, count)
    budget = Budget(tokens=asked.budget_tokens, money=asked.budget_money, prices=prices or {})
    budget.check(job.model for job in planned.todo)
    began = time.monotonic()
    plan_id = save(dsn, planned)
    with connect(dsn, autocommit=True, name="regraft-replay") as connection:
        if not store.lock(connection, plan_id):
            raise UsageError(f"The replay plan {plan_id} is being run by another process: `regraft plans` shows it.")
        states = {row["fingerprint"]: row["state"] for row in store.jobs(connection, plan_id)}
        numbers = {job.fingerprint: number for number, job in enumerate(planned.jobs)}
        todo = [job for job in planned.todo if states[job.fingerprint] in OPEN_STATES]
        recorder = JobRecorder(connection, plan_id, numbers, progress)
        store.start(connection, plan_id, datetime.now(UTC), at_once, asked.budget_tokens, asked.budget_money)
        recorder.note_found(planned.found, states)
        count.spent = store.spent(connection, plan_id)
        try:
            run_async(recorder.drive(gateway, todo, at_once, count, budget, grow, asked.theme, stop))
            recorder.flush()
            wait_until_stored(dsn, recorder.turns, keep)
            lineage.build(dsn)
        except RegraftError as error:
            recorder.flush()
            why = "error" if count.done + count.failed < len(todo) else count.stopped
            store.end(connection, plan_id, datetime.now(UTC), stopped=why, error=str(error).replace("\0", "?"))
            raise
        finally:
            recorder.flush()
        store.end(connection, plan_id, datetime.now(UTC), stopped=count.stopped)
    ended = count.done + count.failed
    seconds = time.monotonic() - began
    return ReplayCounts(ended, planned.done, recorder.turns, recorder.failures, plan_id, count, seconds)


def prices(settings: Settings) -> dict[str, Price]:
    """What the settings say of models' prices."""
    return {model: Price(prompt=one.prompt, completion=one.completion) for model, one in settings.prices.items()}


def pins(settings: Settings) -> PinOf:
    """What pins the build of a model, by the settings of the upstream that it goes to; empty: nothing is known."""
    upstreams = list(settings.upstreams.values())

    def pin_of(model: str) -> str:
        by_alias = (one for one in upstreams if model in one.alias)
        by_glob = (one for one in upstreams if any(fnmatchcase(model, glob) for glob in one.models))
        found = next(by_alias, None) or next(by_glob, None) or next(iter(upstreams), None)
        return found.pin if found else ""

    return pin_of


def _noted(planned: ReplayPlan) -> Collection[str]:
    """Answers that a stored plan knows of: those that were found after a driver died still have to be noted."""
    return () if planned.resumed else planned.found.keys()


def _resolved(connection: Connection, asked: Experiment, scope: str | None) -> Experiment:
    """The same with whole ids in the place of starts of ids and names."""
    nodes = dict.fromkeys(str(reading.resolve_node(connection, node, scope)) for node in asked.nodes)
    query = asked.query
    if query is not None and query.sessions:
        sessions = dict.fromkeys(str(reading.resolve_session(connection, name, scope)) for name in query.sessions)
        query = replace(query, sessions=tuple(sessions))
    return replace(asked, nodes=tuple(nodes), query=query)


def _chosen(dsn: str, asked: Experiment, find: Find | None, scope: str | None = None) -> list[UUID]:
    """The nodes that the query of an experiment finds now."""
    query = asked.query
    if query is None:
        return []
    if query.query and find is None:
        raise UsageError(f"The query {query.query!r} is not known here: give nodes or other conditions.")
    among = find(query.query) if query.query and find is not None else None
    with transaction(dsn) as connection:
        return store.choose(connection, query, side_calls=asked.side_calls, among=among, scope=scope)


def _origins(connection: Connection, nodes: Collection[UUID]) -> list[Origin]:
    origins = store.origins(connection, nodes)
    missing = set(nodes) - {origin.node_id for origin in origins}
    if missing:
        raise NotFoundError(f"Node {min(missing)} has no call that could be replayed (it is a root, or unknown).")
    return origins


def _settled(
    dsn: str, marks: Sequence[str], since: datetime | None, scope: str | None, *, wait: bool
) -> dict[str, store.FinishedCall]:
    """The answers to these jobs in the log, once no more of them come."""
    with connect(dsn, autocommit=True, name="regraft-replay") as connection:
        found = store.finished(connection, marks, since, scope)
        quiet_since = time.monotonic()
        while wait and len(found) < len(marks) and time.monotonic() - quiet_since < _QUIET:
            time.sleep(0.1)
            now = store.finished(connection, marks, since, scope)
            if len(now) > len(found):
                quiet_since = time.monotonic()
            found = now
    return found
