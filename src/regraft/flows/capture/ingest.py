"""From the stream to the execution log: read each captured call, place it in its session, store the batch at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

from regraft.domain.ids import Digest
from regraft.domain.lineage.history_cache import Recollection, Step
from regraft.flows.capture.session_resolver import Arrival, Call, Placing, read_record
from regraft.infra.postgres.capture import inbox, quarantine
from regraft.infra.postgres.lineage import projection
from regraft.infra.postgres.pool import Connection

_REMEMBERED = 200_000  # ids of stored messages and contexts kept in memory: about 40 MB
PATIENCE = timedelta(hours=1)  # how long a call waits for another before it is placed without it
_WOKEN = 1_000  # waiting calls that one batch takes with it at most; the others' time comes with a later batch
# What PostgreSQL, or the encoding for it, refuses of a value: the row is at fault, not the server.
_BAD_ROW = (
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    OverflowError,
    UnicodeError,
)


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What one batch came to. ``new_turns`` is less than ``events`` when calls were delivered again.

    ``quarantined`` are calls that cannot be read, ``waiting`` those that wait for another, ``woken`` earlier ones
    that wait no longer.
    """

    events: int
    new_turns: int
    quarantined: int
    waiting: int = 0
    woken: int = 0

    def __add__(self, more: IngestCounts) -> IngestCounts:
        return IngestCounts(
            self.events + more.events,
            self.new_turns + more.new_turns,
            self.quarantined + more.quarantined,
            self.waiting + more.waiting,
            self.woken + more.woken,
        )


class Stored:
    """Ids known to be stored, so that nothing is sent twice; and what was read. Forgets the oldest."""

    def __init__(self, limit: int = _REMEMBERED) -> None:
        self.recollection = Recollection()
        self._ids: OrderedDict[Digest, None] = OrderedDict()
        self._limit = limit

    def turn_to(self, version: int) -> None:
        """Read under another version of the projection from now on: what was read under the one before is forgotten."""
        self.recollection = Recollection(version=version)
        self._ids.clear()

    def __contains__(self, key: Digest) -> bool:
        return key in self._ids

    def add(self, keys: Iterable[Digest]) -> None:
        """Remember ids whose transaction was committed."""
        for key in keys:
            self._ids[key] = None
        while len(self._ids) > self._limit:
            self._ids.popitem(last=False)


def ingest(
    connection: Connection, records: list[bytes], stored: Stored, patience: timedelta = PATIENCE
) -> IngestCounts:
    """Read and store captured calls."""
    return store(connection, read(records, stored), stored, patience)


def read(records: list[bytes], stored: Stored) -> list[Arrival]:
    """Captured calls, read for ``store``. May be done while another batch is being stored."""
    return [Arrival(record, read_record(record, stored.recollection)) for record in records]


def store(
    connection: Connection, arrivals: list[Arrival], stored: Stored, patience: timedelta = PATIENCE
) -> IngestCounts:
    """Store captured calls in one transaction, committed on return.

    A call that cannot be read goes to quarantine, and so does one that names a past that is not known yet; what was
    waiting for these calls, or has waited for longer than ``patience``, is stored with them. A call that PostgreSQL
    refuses is found by halving: then there are several transactions, each of them whole.
    """
    try:
        return store_arrivals(connection, arrivals, stored, patience)
    except _BAD_ROW:
        counts = store_halves(connection, arrivals, stored, patience)
        with connection.transaction():
            # The refused row may be one of these, which would come along with every batch.
            due = again(quarantine.due(connection, _WOKEN), patience, stored)
            return counts + store_halves(connection, due, Stored(), patience) if due else counts


def store_arrivals(
    connection: Connection,
    arrivals: list[Arrival],
    stored: Stored,
    patience: timedelta = PATIENCE,
    *,
    wake: bool = True,
) -> IngestCounts:
    """Store calls in one transaction; ``wake`` takes along what waits for them, or has waited for long."""
    handed_on: list[Step] = []
    try:
        return _store(connection, handed_on, arrivals, stored, patience, wake=wake)
    except BaseException:
        for step in handed_on:
            step.kept = False
        raise


def _store(
    connection: Connection,
    handed_on: list[Step],
    arrivals: list[Arrival],
    stored: Stored,
    patience: timedelta,
    *,
    wake: bool,
) -> IngestCounts:
    with connection.transaction():
        inbox.prepare(connection)
        version = projection.held(connection)
        if version != stored.recollection.version:
            stored.turn_to(version)
        arrivals = [_under(version, each, stored) for each in arrivals]
        placing = Placing(connection, stored.recollection)
        placing.handed_on = handed_on
        some_wait = wake and quarantine.any_waits(connection)
        early = quarantine.due(connection, _WOKEN) if some_wait else []
        placing.place([*arrivals, *again(early, patience, stored)])
        taken, left = {each.event_id for each in early}, _WOKEN - len(early)
        while some_wait and left > 0 and (made := placing.take_made()):
            woken = [each for each in quarantine.woken(connection, made, left) if each.event_id not in taken]
            taken.update(each.event_id for each in woken)
            left -= len(woken)
            placing.place(again(woken, patience, stored))
        placing.close()
        batch, outcome = placing.batch, placing.outcome
        batch.messages = {key: value for key, value in batch.messages.items() if key not in stored}
        new_turns = inbox.store(connection, batch)
        quarantine.settle(connection, outcome)
    stored.add(batch.messages)
    waiting = sum(waits_for is not None for *_, waits_for in batch.quarantine)
    return IngestCounts(
        events=sum(arrival.kept is None for arrival in arrivals),
        new_turns=new_turns,
        quarantined=len(batch.quarantine) - waiting + len(outcome.refused),
        waiting=waiting,
        woken=len(outcome.resolved),
    )


def _under(version: int, arrival: Arrival, stored: Stored) -> Arrival:
    """The call, read under this version of the projection: it may have been read before the log turned to it."""
    content = arrival.content
    if not isinstance(content, Call) or content.version == version:
        return arrival
    return replace(arrival, content=read_record(arrival.record, stored.recollection))


def again(kept: Iterable[quarantine.Kept], patience: timedelta, stored: Stored) -> list[Arrival]:
    """Calls in quarantine as they came; those that have waited for longer than ``patience`` wait no longer."""
    now = datetime.now(UTC)
    return [
        Arrival(
            each.event,
            read_record(each.event, stored.recollection),
            each.event_id,
            patient=now - each.received_at < patience,
        )
        for each in kept
    ]


def store_halves(connection: Connection, arrivals: list[Arrival], stored: Stored, patience: timedelta) -> IngestCounts:
    """Store the calls among these that PostgreSQL takes, and set aside the others. None is woken meanwhile."""
    try:
        return store_arrivals(connection, arrivals, stored, patience, wake=False)
    except _BAD_ROW as error:
        if len(arrivals) == 1:
            return _refuse(connection, arrivals[0], error)
    middle = len(arrivals) // 2
    first = store_halves(connection, arrivals[:middle], stored, patience)
    return first + store_halves(connection, arrivals[middle:], stored, patience)


def _refuse(connection: Connection, arrival: Arrival, error: Exception) -> IngestCounts:
    with connection.transaction():
        inbox.prepare(connection)
        placing = Placing(connection, Recollection())
        placing.refuse(arrival, error)
        inbox.store(connection, placing.batch)
        quarantine.settle(connection, placing.outcome)
    return IngestCounts(events=int(arrival.kept is None), new_turns=0, quarantined=1)
