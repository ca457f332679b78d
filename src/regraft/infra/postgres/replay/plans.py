"""Replays in PostgreSQL: nodes to replay, replayed nodes, and plans with their jobs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.ids import Digest, NodeId, SessionId, parse_json
from regraft.domain.replay.budget import TokenSpend
from regraft.domain.replay.experiment import Query
from regraft.domain.replay.job import Origin
from regraft.domain.usage import tokens
from regraft.infra.postgres.copy import copy_rows
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/replay/plans")

_START_OF_ID = re.compile("[0-9a-f]{6,32}")


@dataclass(slots=True, kw_only=True)
class JobRow:
    """A job of a plan; ``state`` is ``planned``, or ``skipped`` where an earlier plan has the answer."""

    plan_id: UUID
    number: int
    fingerprint: str
    node_id: UUID
    variant_index: int
    sample: int
    model: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedCall:
    """An answer in the log: the captured call that gave it, and what it took."""

    turn_id: UUID
    spent: TokenSpend


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChange:
    """A change of a job: its new state, and what is added to its tokens."""

    number: int
    state: str
    turn_id: UUID | None = None
    failure: str | None = None
    spent: TokenSpend = field(default_factory=TokenSpend)
    started_at: datetime | None = None
    ended_at: datetime | None = None


def origins(connection: Connection, nodes: Collection[UUID]) -> list[Origin]:
    """What these nodes were asked; a session's root is not among them, since nothing was asked there."""
    rows = connection.execute(_SQL["origins"], {"nodes": list(nodes)}).fetchall()
    return [
        Origin(
            node_id=NodeId(row["node_id"]),
            session_id=SessionId(row["session_id"]),
            context_id=Digest(bytes(row["context_id"])),
            messages=parse_json(row["messages"]),
            model=row["model"],
            tools=parse_json(row["tools"]),
            sampling=parse_json(row["sampling"]),
            other=parse_json(row["other"]),
            endpoint=row["endpoint"],
            plan=parse_json(row["identity"]).get("plan") or "",
            prompt_tokens=row["prompt_tokens"],
            completion_tokens=row["completion_tokens"],
            purpose=row["purpose"],
        )
        for row in rows
    ]


def choose(
    connection: Connection,
    query: Query,
    *,
    side_calls: bool = False,
    among: Sequence[UUID] | None = None,
    scope: str | None = None,
) -> list[UUID]:
    """The nodes of the tenant ``scope`` (None: of all) that a query finds, oldest first; ``among``: only of these
    nodes, in their order.

    Clients' side calls are among them, but count toward its limit only with ``side_calls``.
    """
    given = {
        "sessions": [UUID(session) for session in query.sessions] or None,
        "themes": list(query.themes) or None,
        "tasks": list(query.tasks) or None,
        "kinds": list(query.kinds) or None,
        "statuses": list(query.statuses) or None,
        "models": list(query.models) or None,
        "below": query.outcome_below,
        "above": query.outcome_above,
        "judged": query.outcome_below is not None or query.outcome_above is not None,
        "pivot": query.pivot,
        "replays": query.replays,
        "among": None if among is None else list(among),
        "limit": query.limit,
        "side_calls": side_calls,
        "scope": scope,
    }
    return [row["node_id"] for row in connection.execute(_SQL["choose"], given).fetchall()]


def finished(
    connection: Connection, fingerprints: Collection[str], since: datetime | None = None, scope: str | None = None
) -> dict[str, FinishedCall]:
    """Which of these jobs have an answer in the log (given after ``since``) that the tenant ``scope`` may see (None:
    any), and which call gave it."""
    given = {"fingerprints": list(fingerprints), "since": since, "scope": scope}
    rows = connection.execute(_SQL["finished"], given).fetchall()
    return {row["fingerprint"]: FinishedCall(turn_id=row["event_id"], spent=_spent(row["usage"])) for row in rows}


def _spent(usage: str | None) -> TokenSpend:
    parsed = parse_json(usage) if usage else None
    found = tokens(parsed if isinstance(parsed, dict) else {})
    return TokenSpend(found.prompt or 0, found.completion or 0, found.cached or 0)


def arrived(connection: Connection, events: Collection[UUID]) -> set[UUID]:
    """Which of these calls are stored."""
    rows = connection.execute(_SQL["arrived"], {"events": list(events)}).fetchall()
    return {row["event_id"] for row in rows}


# Plans


def resolve_plan(connection: Connection, text: str, scope: str | None = None) -> UUID:
    """The plan that an id, or the start of one, names, if ``scope`` may see it. Raises UsageError or NotFoundError."""
    prefix = text.strip().lower().replace("-", "")
    if not _START_OF_ID.fullmatch(prefix):
        raise UsageError(f"{text[:80]!r} is not the id of a replay plan: give at least 6 of its digits.")
    bounds = {"low": UUID(prefix.ljust(32, "0")), "high": UUID(prefix.ljust(32, "f")), "scope": scope}
    found = connection.execute(_SQL["plans_like"], bounds).fetchall()
    if len(found) > 1:
        raise UsageError(f"Several replay plans start with {text}. Give more digits.")
    if not found:
        raise NotFoundError(f"There is no replay plan {text}. `regraft plans list` shows all plans.")
    return UUID(str(found[0]["id"]))


def plan_of_definition(connection: Connection, definition: Digest) -> UUID | None:
    """The latest plan of this definition."""
    row = connection.execute(_SQL["plan_of_definition"], {"digest": definition}).fetchone()
    return row["plan_id"] if row else None


def save_plan(connection: Connection, plan: Mapping[str, Any], jobs: Iterable[JobRow]) -> None:
    """Add a plan with its jobs."""
    connection.execute(_SQL["save_plan"], {**plan, "refused": Jsonb(plan["refused"])})
    copy_rows(connection, "replay_job", JobRow, jobs)


def get_plan(connection: Connection, plan_id: UUID) -> dict[str, Any]:
    """A plan as it was asked for. Raises NotFoundError."""
    row = connection.execute(_SQL["plan"], {"plan": plan_id}).fetchone()
    if row is None:
        raise NotFoundError(f"There is no replay plan {plan_id}. `regraft plans list` shows all plans.")
    return row


def jobs(
    connection: Connection,
    plan_id: UUID,
    *,
    scope: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """A plan's jobs in order, with the answers that ``scope`` may see: ``limit`` at most after the number ``after``."""
    given = {"plan": plan_id, "scope": scope, "after": after, "limit": limit}
    return connection.execute(_SQL["jobs"], given).fetchall()


def lock(connection: Connection, plan_id: UUID) -> bool:
    """Become the plan's only driver until the connection is closed; False: there is one."""
    row = connection.execute(_SQL["lock"], {"plan": str(plan_id)}).fetchone()
    return bool(row and row["mine"])


def start(
    connection: Connection,
    plan_id: UUID,
    now: datetime,
    concurrency: int,
    budget_tokens: int | None,
    budget_money: float | None,
) -> None:
    """A driver begins, or continues with, a plan."""
    given = {
        "plan": plan_id,
        "now": now,
        "concurrency": concurrency,
        "budget_tokens": budget_tokens,
        "budget_money": budget_money,
    }
    connection.execute(_SQL["start"], given)


def beat(connection: Connection, plan_id: UUID) -> bool:
    """Note that the driver lives. Returns whether the plan was cancelled meanwhile."""
    row = connection.execute(_SQL["beat"], {"plan": plan_id}).fetchone()
    return bool(row and row["cancelled"])


def end(connection: Connection, plan_id: UUID, now: datetime, *, stopped: str = "", error: str = "") -> None:
    """The driver has done what it could; ``stopped`` says what kept it from the rest, ``error`` in which words."""
    connection.execute(_SQL["end"], {"plan": plan_id, "now": now, "stopped": stopped, "error": error})


def cancel(connection: Connection, plan_id: UUID, now: datetime) -> None:
    """Have the driver start no more jobs; a plan without one is stopped at once. Nothing where all is done."""
    connection.execute(_SQL["cancel"], {"plan": plan_id, "now": now})


def update_jobs(connection: Connection, plan_id: UUID, changes: Sequence[JobChange]) -> None:
    """Store the new states of jobs: each number at most once."""
    given = {
        "plan": plan_id,
        "numbers": [one.number for one in changes],
        "states": [one.state for one in changes],
        "turns": [one.turn_id for one in changes],
        "failures": [one.failure for one in changes],
        "prompts": [one.spent.prompt for one in changes],
        "completions": [one.spent.completion for one in changes],
        "cached": [one.spent.cached for one in changes],
        "started": [one.started_at for one in changes],
        "ended": [one.ended_at for one in changes],
    }
    connection.execute(_SQL["update_jobs"], given)


def spent(connection: Connection, plan_id: UUID) -> dict[str, TokenSpend]:
    """Tokens that a plan's jobs took so far, by model."""
    rows = connection.execute(_SQL["spent"], {"plan": plan_id}).fetchall()
    return {row["model"]: TokenSpend(row["prompt"], row["completion"], row["cached"]) for row in rows}


def failures(connection: Connection, plan_id: UUID) -> list[dict[str, Any]]:
    """Why jobs of a plan failed (``failure``), and how many (``jobs``)."""
    return connection.execute(_SQL["failures"], {"plan": plan_id}).fetchall()


def variants_of_plan(connection: Connection, plan_id: UUID) -> list[dict[str, Any]]:
    """How far the variants of a plan are, by ``variant_index``."""
    return connection.execute(_SQL["variants_of_plan"], {"plan": plan_id}).fetchall()


def nodes_of_plan(connection: Connection, plan_id: UUID, limit: int) -> list[dict[str, Any]]:
    """How far the first nodes of a plan are."""
    return connection.execute(_SQL["nodes_of_plan"], {"plan": plan_id, "limit": limit}).fetchall()


def progress(connection: Connection, plan_id: UUID) -> dict[str, Any]:
    """State and figures of a plan. Raises NotFoundError."""
    row = connection.execute(_SQL["progress"], {"plan": plan_id}).fetchone()
    if row is None:
        raise NotFoundError(f"There is no replay plan {plan_id}. `regraft plans list` shows all plans.")
    return row


def plans(
    connection: Connection,
    limit: int,
    *,
    scope: str | None = None,
    before: datetime | None = None,
    before_id: UUID | None = None,
) -> list[dict[str, Any]]:
    """State and figures of the latest plans that ``scope`` may see, from those made before a time and id on."""
    given = {"limit": limit, "scope": scope, "before": before, "before_id": before_id or UUID(int=0)}
    return connection.execute(_SQL["plans"], given).fetchall()


def plans_waiting(connection: Connection, limit: int) -> list[UUID]:
    """Stored plans that were never started."""
    return [row["plan_id"] for row in connection.execute(_SQL["batch_plans"], {"limit": limit}).fetchall()]
