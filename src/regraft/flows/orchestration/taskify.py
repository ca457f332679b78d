"""Taskification: split a node's request, or a prompt, into a plan, and store the results of captured calls.

Every request for a plan goes through the gateway, and its headers say what it is for. So the results are
read off the execution log (``collect``), and asking needs no database: a plan that an orchestrator made is stored when
its calls are, also after an outage.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError, UnavailableError
from regraft.domain.ids import canonical_json, digest
from regraft.domain.lineage.difference import model_snapshot
from regraft.domain.lineage.turn import INTERNAL_SESSION
from regraft.domain.orchestration.prompt import prompt_of, words
from regraft.domain.orchestration.rule import Rule
from regraft.domain.orchestration.taskification import (
    Assignment,
    Attempt,
    TaskifyResult,
    read_assignment,
    read_plan_header,
    settle,
    subject_of_prompt,
)
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.orchestration.model_caller import ModelCaller, StepCost, make_plan
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import GatewayClient
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.orchestration import taskification
from regraft.infra.postgres.pool import Connection, transaction
from regraft.infra.postgres.replay import plans as replay

PATIENCE = timedelta(minutes=10)  # how long a plan that is not valid waits for its second try
SCOPE = "default"  # of what is asked from the command line
Row = taskification.Row


@dataclass(frozen=True, slots=True)
class TaskifyRequest:
    """The planned request. ``known``: this was taskified already with the same rule; no request is needed."""

    assignment: Assignment
    prompt: str
    model: str
    session_id: UUID | None = None
    known: bool = False


@dataclass(frozen=True, slots=True)
class CollectCounts:
    """How many results were added, by how they ended; ``waiting`` are not settled yet."""

    planned: int
    repaired: int
    failed: int
    waiting: int


def of_node(
    dsn: str,
    node: UUID,
    rule: Rule,
    workers: Collection[str] = (),
    model: str = "",
    max_steps: int | None = None,
    *,
    again: bool = False,
) -> TaskifyRequest:
    """What a node was asked, to be taskified. Raises NotFoundError for a node that was never asked anything."""
    with transaction(dsn) as connection:
        origins = replay.origins(connection, [node])
        if not origins:
            raise NotFoundError(f"Node {node} has no call that could be taskified (it is a root, or unknown).")
        origin = origins[0]
        assignment, known = _next(connection, f"node:{node}", rule, workers, max_steps, again)
    assignment = replace(assignment, node_id=node)
    return TaskifyRequest(
        assignment, prompt_of(origin.messages), model or origin.model, UUID(str(origin.session_id)), known
    )


def of_prompt(
    dsn: str,
    prompt: str,
    rule: Rule,
    workers: Collection[str] = (),
    model: str = "",
    max_steps: int | None = None,
    *,
    again: bool = False,
) -> TaskifyRequest:
    """A bare prompt, to be taskified."""
    with transaction(dsn) as connection:
        assignment, known = _next(connection, subject_of_prompt(SCOPE, prompt), rule, workers, max_steps, again)
    return TaskifyRequest(assignment, prompt, model, None, known)


def taskify(
    dsn: str,
    gateway: GatewayEndpoint | str,
    todo: TaskifyRequest,
    rule: Rule,
    *,
    timeout: float = 300.0,
    keep: Callable[[], None] | None = None,
) -> Row:
    """Have a plan made and stored, and return its row; a known one is only read.

    Raises UnavailableError when the gateway cannot be reached, KeyRefusedError when it does not let us in; whatever the
    model says ends in a row.
    """
    taskification_id = todo.assignment.taskification_id
    if not todo.known:
        made = asyncio.run(_ask(gateway, todo, rule, timeout))
        if not made.turn_ids:
            raise UnavailableError(f"No plan was requested: {'; '.join(made.problems)}")
        wait_until_stored(dsn, made.turn_ids, keep)
        collect(dsn, finished={taskification_id})
    with transaction(dsn) as connection:
        return taskification.one(connection, taskification_id)


async def _ask(gateway: GatewayEndpoint | str, todo: TaskifyRequest, rule: Rule, timeout: float) -> TaskifyResult:
    assignment = todo.assignment
    identity = {"session": f"{INTERNAL_SESSION}{todo.session_id}"} if todo.session_id else {}
    async with GatewayClient(gateway, read_timeout=timeout) as client:
        model_caller = ModelCaller(client, assignment.taskification_id, identity)
        return await make_plan(
            model_caller, assignment, rule, todo.model, todo.prompt, assignment.workers, StepCost(), timeout
        )


def collect(dsn: str, *, finished: Collection[UUID] = (), patience: timedelta = PATIENCE) -> CollectCounts:
    """Store the results of captured calls that are in no result yet. Safe to call at any time, and from several places.

    ``finished`` are taskifications of which no further call will come; of any other a plan that is not valid counts as
    failed once its last call is older than ``patience``.
    """
    now = datetime.now(UTC)
    with transaction(dsn, name="regraft-taskify") as connection:
        groups = _groups(taskification.calls(connection))
        stored = taskification.known(connection, groups.keys())
        nodes = taskification.nodes_of_turns(connection, [turn for each in groups.values() if (turn := each.turn)])
        rows, waiting = [], 0
        for taskification_id, group in groups.items():
            if taskification_id in stored:
                continue
            node = group.assignment.node_id or (nodes.get(group.turn) if group.turn else None)
            over = taskification_id in finished or now - group.calls[-1]["started_at"] > patience
            result = settle(group.assignment, [_attempt(call) for call in group.calls], finished=over)
            if result is None or (group.turn and node is None and not over):
                waiting += 1
            else:
                rows.append(_row(group, result, node, now))
        taskification.add(connection, rows)
    ended = [row["status"] for row in rows]
    return CollectCounts(ended.count("planned"), ended.count("repaired"), ended.count("failed"), waiting)


@dataclass(slots=True)
class _Group:
    """The calls of one taskification, oldest first."""

    assignment: Assignment
    calls: list[Row]

    @property
    def turn(self) -> UUID | None:
        """The orchestrated call that it was made for."""
        kind, _, turn = self.assignment.subject.partition(":")
        try:
            return UUID(turn) if kind == "turn" else None
        except ValueError:
            return None


def _groups(calls: list[Row]) -> dict[UUID, _Group]:
    """Calls by taskification. What only claims to be one (its id is not that of its conditions) is left out."""
    found: dict[UUID, list[Row]] = defaultdict(list)
    assignments: dict[UUID, Assignment] = {}
    for call in calls:
        taskification_id, step = read_plan_header(call["identity"].get("plan"))
        assignment = read_assignment(call["identity"].get("variant"))
        if assignment is not None and taskification_id == assignment.taskification_id:
            assignments.setdefault(taskification_id, assignment)
            found[taskification_id].append({**call, "step": step})
    return {key: _Group(assignments[key], group) for key, group in found.items()}


def _attempt(call: Row) -> Attempt:
    if call["node_status"] != "ok":
        error = call["error"]
        said = error.get("message") if isinstance(error, dict) else error
        return Attempt(call["step"], call["turn_id"], None, str(said or f"HTTP {call['http_status']}")[:500])
    return Attempt(call["step"], call["turn_id"], words(call["answer"].get("content")))


def _row(group: _Group, result: TaskifyResult, node: UUID | None, now: datetime) -> dict[str, Any]:
    assignment, first = group.assignment, group.calls[0]
    last = next((call for call in group.calls if result.turn_ids and call["turn_id"] == result.turn_ids[-1]), first)
    users = [message for message in first["messages"] if isinstance(message, dict) and message.get("role") == "user"]
    prompt = words(users[0].get("content")) if users else ""
    return {
        "taskification_id": assignment.taskification_id,
        "subject": storable(assignment.subject),
        "scope": first["scope"],
        "session_id": first["session_id"],
        "node_id": node,
        "prompt": storable(prompt),
        "prompt_digest": digest(prompt.encode("utf-8", "surrogatepass")),
        "taskify_rule_version": storable(assignment.rule_version),
        "model": storable(last["model"]),
        "model_snapshot_id": storable(model_snapshot(last["model"], last["fingerprint"], last["upstream_pin"])),
        "status": result.status,
        "plan": canonical_json(result.plan.describe()) if result.plan else None,
        "problems": [storable(problem) for problem in result.problems],
        "turn_ids": list(result.turn_ids),
        "generation": assignment.generation,
        "supersedes": assignment.supersedes,
        "created_at": now,
    }


def _next(
    connection: Connection, subject: str, rule: Rule, workers: Collection[str], max_steps: int | None, again: bool
) -> tuple[Assignment, bool]:
    """The assignment that is due for a subject, and whether it was carried out already."""
    latest = taskification.latest(connection, subject)
    same = latest is not None and latest["taskify_rule_version"] == rule.version
    known = same and not again
    generation = 1 if latest is None else latest["generation"] + (not known)
    assignment = Assignment(
        subject=subject,
        rule_version=rule.version,
        generation=generation,
        supersedes=latest["taskification_id"] if latest is not None and not known else None,
        workers=tuple(workers),
        max_subtasks=min(rule.max_subtasks, max_steps or rule.max_subtasks),
    )
    return assignment, known
