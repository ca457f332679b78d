"""From the execution log to the conversation graph: load what new turns touch, decide, save; a transaction a chunk."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID

import psycopg

from regraft.domain.errors import UnavailableError
from regraft.flows.lineage.chunk import CHUNK, Builder
from regraft.flows.lineage.graph_rows import JoiningError
from regraft.flows.lineage.node_spans import trace_placed
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.pool import Source, reading_from, transaction
from regraft.infra.telemetry.emitter import emit, emitting
from regraft.infra.telemetry.facts import GraphBuilt, NodesAdded, RolloutPlaced

log = logging.getLogger(__name__)

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
    """How many turns wait for the graph."""
    with reading_from(source) as connection:
        turns, _ = store.waiting(connection)
    return turns


def build(
    dsn: str,
    sessions: Collection[UUID] | None = None,
    progress: Progress | None = None,
    *,
    builders: int = 1,
    chunk: int = CHUNK,
) -> BuildCounts:
    """Place every waiting turn, of the given sessions or of all. Safe to call at any time, and from several places.

    A turn that cannot be placed is found by halving, set aside with the reason, and stops no other. A fault of the
    system (a lost connection, a missing column, a full disk) is raised, and every turn stays in the queue. Several
    ``builders`` work beside each other, each on a thread with its own connection; so do those of other processes.
    ``chunk``: turns to a transaction.
    """
    stop = threading.Event()

    def work(_: int) -> tuple[BuildCounts, set[UUID]]:
        return _build(dsn, Builder(sessions=sessions, beside=builders > 1, chunk=chunk), progress, stop)

    with reduced_garbage_collection():
        if builders == 1:
            done = [work(0)]
        else:
            with ThreadPoolExecutor(builders, "builder") as pool:
                try:
                    done = list(pool.map(work, range(builders)))
                finally:
                    stop.set()
        _settle_outcomes(dsn)
    return BuildCounts(
        turns=sum(counts.turns for counts, _ in done),
        nodes=sum(counts.nodes for counts, _ in done),
        sessions=len(set().union(*(touched for _, touched in done))),
        build=max(counts.build for counts, _ in done),
        failed=sum(counts.failed for counts, _ in done),
    )


def _build(
    dsn: str, builder: Builder, progress: Progress | None, stop: threading.Event
) -> tuple[BuildCounts, set[UUID]]:
    """Place turns until none wait; also returns the sessions that they were placed in."""
    counts = BuildCounts(0, 0, 0, 0, 0)
    touched: set[UUID] = set()
    while not stop.is_set():
        began = time.monotonic()
        try:
            with transaction(dsn, name="regraft-lineage") as connection:
                placed = builder.place(connection)
            if placed is None:
                break
        except JoiningError as error:
            with transaction(dsn, name="regraft-lineage") as connection:
                builder.defer(connection, error.sessions)
        except psycopg.errors.DeadlockDetected:
            continue  # with another builder, which continues: the transaction is whole or not at all
        except (UnavailableError, OSError, MemoryError):
            raise
        except Exception as error:  # one bad turn never stops the others
            if isinstance(error, psycopg.Error) and not isinstance(error, _BAD_TURN):
                raise
            if not builder.taken:
                raise
            builder.halve()
            if len(builder.taken) > 1:
                continue
            (turn,) = builder.taken
            log.exception("turn %s cannot be placed and is set aside", turn)
            with transaction(dsn, name="regraft-lineage") as connection:
                failed = store.set_aside(connection, turn, storable(f"{type(error).__name__}: {error}"[:2000]) or "")
            counts = replace(counts, failed=counts.failed + failed)
            emit(GraphBuilt(turns=0, nodes=0, failed=failed, seconds=time.monotonic() - began))
        else:
            builder.succeeded(placed)
            if not placed.turns:
                continue
            touched |= placed.rows.trees
            _emit(placed.rows, len(placed.turns), time.monotonic() - began)
            ended_ns = time.time_ns()
            trace_placed(dsn, placed.rows, placed.turns, ended_ns - int((time.monotonic() - began) * 1e9), ended_ns)
            counts = replace(
                counts,
                turns=counts.turns + len(placed.turns),
                nodes=counts.nodes + len(placed.rows.nodes),
                build=placed.build,
            )
            if progress:
                progress(len(placed.turns))
    return counts, touched


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
    """Add waiting turns to the graph, and return how many still wait.

    It is for readers, who should not wait long: where many turns wait, or another builder is at work, nothing is done.
    """
    with transaction(dsn, name="regraft-lineage") as connection:
        waiting, _ = store.waiting(connection)
        if not waiting and store.outcomes_wait(connection) and not store.builder_at_work(connection):
            store.lock(connection)
            store.settle_outcomes(connection)
        if not waiting or waiting > CHUNK or store.builder_at_work(connection):
            return waiting
    build(dsn)
    return waiting_turns(dsn)


def retry(dsn: str, progress: Progress | None = None, *, builders: int = 1) -> BuildCounts:
    """Retry the turns that failed before, and add all other waiting turns."""
    with transaction(dsn, name="regraft-lineage") as connection:
        store.retry_failed(connection)
    return build(dsn, None, progress, builders=builders)


def rebuild(dsn: str, progress: Progress | None = None) -> BuildCounts:
    """Derive the whole graph again from the log. Same log, same projection version: the same rows."""
    with transaction(dsn, name="regraft-lineage") as connection:
        store.lock(connection)
        store.clear(connection)
    return build(dsn, None, progress)
