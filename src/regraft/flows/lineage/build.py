"""From the execution log to the conversation graph: load what new turns touch, decide, save; a transaction a chunk."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from regraft.domain.errors import UnavailableError
from regraft.flows.lineage.graph_rows import decide
from regraft.flows.lineage.node_spans import trace_placed
from regraft.infra.garbage import seldom_collected
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.lineage import projection
from regraft.infra.postgres.pool import Source, reading_from, transaction
from regraft.infra.telemetry.emitter import emit, emitting
from regraft.infra.telemetry.facts import GraphBuilt, NodesAdded, RolloutPlaced

log = logging.getLogger(__name__)

_CHUNK = 5_000  # turns to a transaction
# What PostgreSQL refuses of a turn's values. Every other error of its is a fault of the system.
_BAD_TURN = (
    psycopg.DataError,
    psycopg.errors.CheckViolation,
    psycopg.errors.NotNullViolation,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class BuildCounts:
    """What a build did. ``build`` is 0 when nothing waited; ``failed`` turns are set aside with a reason."""

    turns: int
    nodes: int
    sessions: int
    build: int
    failed: int = 0


def waiting_turns(source: Source) -> int:
    """How many turns wait to be placed in the graph."""
    with reading_from(source) as connection:
        turns, _ = store.waiting(connection)
    return turns


def build(dsn: str, sessions: Collection[UUID] | None = None, progress: Progress | None = None) -> BuildCounts:
    """Place every waiting turn, of the given sessions or of all. Safe to call at any time, and from several places.

    A turn that cannot be placed is found by halving, set aside with the reason, and stops no other. A fault of the
    system (a lost connection, a missing column, a full disk) is raised, and every turn stays in the queue.
    """
    with seldom_collected():
        return _build(dsn, sessions, progress)


def _build(dsn: str, sessions: Collection[UUID] | None, progress: Progress | None) -> BuildCounts:
    counts = BuildCounts(0, 0, 0, 0, 0)
    touched: set[UUID] = set()
    size = _CHUNK
    while True:
        taken: list[UUID] = []
        began = time.monotonic()
        try:
            with transaction(dsn, name="regraft-lineage") as connection:
                store.lock(connection)
                taken = store.take_queue(connection, sessions, size)
                if not taken:
                    break
                version = projection.held(connection)
                rows = decide(connection, taken, version)
                number = store.save(connection, rows, datetime.now(UTC), version)
        except (UnavailableError, OSError, MemoryError):
            raise
        except Exception as error:  # one bad turn never stops the others
            if isinstance(error, psycopg.Error) and not isinstance(error, _BAD_TURN):
                raise
            if len(taken) > 1:
                size = len(taken) // 2
                continue
            if not taken:
                raise
            log.exception("turn %s cannot be placed and is set aside", taken[0])
            with transaction(dsn, name="regraft-lineage") as connection:
                store.set_aside(connection, taken[0], storable(f"{type(error).__name__}: {error}"[:2000]) or "")
            counts = replace(counts, failed=counts.failed + 1)
            emit(GraphBuilt(turns=0, nodes=0, failed=1, seconds=time.monotonic() - began))
        else:
            touched |= rows.trees
            _emit(rows, len(taken), time.monotonic() - began)
            ended_ns = time.time_ns()
            trace_placed(dsn, rows, taken, ended_ns - int((time.monotonic() - began) * 1e9), ended_ns)
            counts = replace(
                counts, turns=counts.turns + len(taken), nodes=counts.nodes + len(rows.nodes), build=number
            )
            size = min(size * 2, _CHUNK)
            if progress:
                progress(len(taken))
    _settle_outcomes(dsn)
    return replace(counts, sessions=len(touched))


def _emit(rows: store.GraphRows, turns: int, seconds: float) -> None:
    """Tell the facts of a transaction that placed turns."""
    if not emitting():
        return
    emit(GraphBuilt(turns=turns, nodes=len(rows.nodes), failed=0, seconds=seconds))
    for kind, nodes in Counter(each.branch_kind for each in rows.nodes).items():
        emit(NodesAdded(branch_kind=kind, nodes=nodes))
    for each in rows.branches:
        if each.fidelity is not None:
            emit(RolloutPlaced(fidelity=each.fidelity))


def _settle_outcomes(dsn: str) -> None:
    # Apart from the chunks: feedback may come for a session that a chunk is just making.
    with transaction(dsn, name="regraft-lineage") as connection:
        if store.outcomes_wait(connection):
            store.lock(connection)
            store.settle_outcomes(connection)


def catch_up(dsn: str) -> int:
    """Place the turns that wait, and return how many still wait.

    It is for readers, who should not wait long: where many turns wait, or another builder is at work, nothing is done.
    """
    with transaction(dsn, name="regraft-lineage") as connection:
        waiting, _ = store.waiting(connection)
        if not waiting and store.outcomes_wait(connection) and not store.builder_at_work(connection):
            store.lock(connection)
            store.settle_outcomes(connection)
        if not waiting or waiting > _CHUNK or store.builder_at_work(connection):
            return waiting
    build(dsn)
    return waiting_turns(dsn)


def retry(dsn: str, progress: Progress | None = None) -> BuildCounts:
    """Try again the turns that could not be placed, and place all others that wait."""
    with transaction(dsn, name="regraft-lineage") as connection:
        store.retry_failed(connection)
    return build(dsn, None, progress)


def rebuild(dsn: str, progress: Progress | None = None) -> BuildCounts:
    """Derive the whole graph again from the log. Same log, same projection version: the same rows."""
    with transaction(dsn, name="regraft-lineage") as connection:
        store.lock(connection)
        store.clear(connection)
    return build(dsn, None, progress)
