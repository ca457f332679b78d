"""From the stream to the execution log: read each captured call, place it in its session, store the batch at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

from regraft.domain.capture.clients import ClientTable
from regraft.domain.ids import Digest
from regraft.flows.capture.call_facts import emit_quarantined, emit_stored
from regraft.flows.capture.call_spans import trace_stored
from regraft.flows.capture.identification import CallIdentifier
from regraft.flows.capture.session_resolver import (
    ParsedCall,
    ParsedRecord,
    ParseFailure,
    SessionResolver,
    parse_record,
)
from regraft.flows.capture.time_budget import ReadingLimits, SlowCallError
from regraft.flows.lineage.history_cache import CachedStep, HistoryCache
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.postgres.capture import inbox, quarantine
from regraft.infra.postgres.lineage import projection
from regraft.infra.postgres.pool import Connection
from regraft.infra.telemetry.emitter import emitting

_REMEMBERED = 200_000  # ids of stored messages and contexts kept in memory: about 40 MB
PATIENCE = timedelta(hours=1)  # how long a call waits for another before it is placed without it
_MOST_RESUMED = 1_000  # waiting calls that one batch takes with it at most; the others' time comes with a later batch
_LEAST_SECONDS = 0.01  # many times what an ordinary call takes
_PART_BYTES, _PART_SECONDS = 32 << 20, 0.5  # of calls, packed, and of reading, after which they are stored
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
    """The result of one batch. ``new_turns`` is less than ``events`` when calls were delivered again.

    ``quarantined`` are calls that cannot be read, ``waiting`` those that wait for another, ``resumed`` earlier ones
    that wait no longer.
    """

    events: int
    new_turns: int
    quarantined: int
    waiting: int = 0
    resumed: int = 0

    def __add__(self, more: IngestCounts) -> IngestCounts:
        return IngestCounts(
            self.events + more.events,
            self.new_turns + more.new_turns,
            self.quarantined + more.quarantined,
            self.waiting + more.waiting,
            self.resumed + more.resumed,
        )


class SeenIds:
    """A cache of stored ids, so that nothing is sent twice, and of parsed calls. Drops the oldest entries."""

    def __init__(self, limit: int = _REMEMBERED, table: ClientTable | None = None) -> None:
        self.cache = HistoryCache()
        self.identifier = CallIdentifier(table)
        self._ids: OrderedDict[Digest, None] = OrderedDict()
        self._limit = limit

    def turn_to(self, version: int) -> None:
        """Read under another version of the projection from now on: what was read under the one before is forgotten."""
        self.cache = HistoryCache(version=version)
        self._ids.clear()

    def forget(self) -> None:
        """Forget the stored ids, some of which may have been erased."""
        self.turn_to(self.cache.version)

    def __contains__(self, key: Digest) -> bool:
        return key in self._ids

    def add(self, keys: Iterable[Digest]) -> None:
        """Remember ids whose transaction was committed."""
        for key in keys:
            self._ids[key] = None
        while len(self._ids) > self._limit:
            self._ids.popitem(last=False)


def ingest(connection: Connection, records: list[bytes], seen: SeenIds, patience: timedelta = PATIENCE) -> IngestCounts:
    """Read and store captured calls."""
    with reduced_garbage_collection():
        return store(connection, read(records, seen), seen, patience)


def read_in_parts(records: list[bytes], seen: SeenIds, limits: ReadingLimits) -> Iterator[list[ParsedRecord]]:
    """Captured calls, read for ``store`` a part at a time: none holds much, or makes those before it wait for long.

    Each call that exceeds the limits halves the time that the next ones get, so that many of them take little more.
    """
    part: list[ParsedRecord] = []
    size, started = 0, time.monotonic()
    for record in records:
        part.append(ParsedRecord(record, parse_record(record, seen.cache, limits, seen.identifier)))
        if is_slow(part[-1]):
            limits = replace(limits, seconds=max(limits.seconds / 2, _LEAST_SECONDS))
        size += len(record)
        if size > _PART_BYTES or time.monotonic() - started > _PART_SECONDS:
            yield part
            part, size, started = [], 0, time.monotonic()
    if part:
        yield part


def is_slow(record: ParsedRecord) -> bool:
    """Whether a call has to be read elsewhere, with more time."""
    return isinstance(record.content, ParseFailure) and isinstance(record.content.error, SlowCallError)


def read(records: list[bytes], seen: SeenIds) -> list[ParsedRecord]:
    """Captured calls, read for ``store``. May be done while another batch is being stored."""
    return [ParsedRecord(record, parse_record(record, seen.cache, identifier=seen.identifier)) for record in records]


def store(
    connection: Connection, parsed: list[ParsedRecord], seen: SeenIds, patience: timedelta = PATIENCE
) -> IngestCounts:
    """Store captured calls in one transaction, committed on return.

    A call that cannot be read goes to quarantine, and so does one that names a past that is not known yet; what was
    waiting for these calls, or has waited for longer than ``patience``, is stored with them. A call that PostgreSQL
    refuses is found by halving: then there are several transactions, each of them whole.
    """
    try:
        try:
            return store_parsed(connection, parsed, seen, patience)
        except psycopg.errors.ForeignKeyViolation:
            # What was remembered as stored was erased meanwhile: it is read and sent again, as if it came for the
            # first time.
            seen.forget()
            parsed = [
                replace(each, content=parse_record(each.data, seen.cache, identifier=seen.identifier))
                for each in parsed
            ]
            return store_parsed(connection, parsed, seen, patience)
    except _BAD_ROW:
        counts = store_by_bisection(connection, parsed, seen, patience)
        with connection.transaction():
            # The refused row may be one of these, which would come along with every batch.
            due = parse_quarantined(quarantine.due(connection, _MOST_RESUMED), patience, seen)
            return (
                counts + store_by_bisection(connection, due, SeenIds(table=seen.identifier.table), patience)
                if due
                else counts
            )


def store_parsed(
    connection: Connection,
    parsed: list[ParsedRecord],
    seen: SeenIds,
    patience: timedelta = PATIENCE,
    *,
    wake: bool = True,
) -> IngestCounts:
    """Store calls in one transaction; ``wake`` takes along what waits for them, or has waited for long."""
    saved_steps: list[CachedStep] = []
    try:
        return _store(connection, saved_steps, parsed, seen, patience, wake=wake)
    except BaseException:
        for step in saved_steps:
            step.saved = False
        raise


def _store(
    connection: Connection,
    saved_steps: list[CachedStep],
    parsed: list[ParsedRecord],
    seen: SeenIds,
    patience: timedelta,
    *,
    wake: bool,
) -> IngestCounts:
    with connection.transaction():
        inbox.prepare(connection)
        version = projection.held(connection)
        if version != seen.cache.version:
            seen.turn_to(version)
        parsed = [_under_version(version, each, seen) for each in parsed]
        resolver = SessionResolver(connection, seen.cache)
        resolver.saved_steps = saved_steps
        some_wait = wake and quarantine.any_waits(connection)
        early = quarantine.due(connection, _MOST_RESUMED) if some_wait else []
        resolver.place([*parsed, *parse_quarantined(early, patience, seen)])
        taken, left = {each.event_id for each in early}, _MOST_RESUMED - len(early)
        while some_wait and left > 0 and (made := resolver.take_resolved_keys()):
            resumed = [each for each in quarantine.waiting_for(connection, made, left) if each.event_id not in taken]
            taken.update(each.event_id for each in resumed)
            left -= len(resumed)
            resolver.place(parse_quarantined(resumed, patience, seen))
        resolver.close()
        batch, outcome = resolver.batch, resolver.outcome
        batch.messages = {key: value for key, value in batch.messages.items() if key not in seen}
        stored = inbox.store(connection, batch)
        quarantine.settle(connection, outcome)
    seen.add(batch.messages)
    if emitting():
        emit_stored(resolver.calls, stored.events)
        emit_quarantined(row.reason for row in batch.quarantine)
    trace_stored(connection, resolver.calls, resolver.placements, stored.events)
    waiting = sum(row.waits_for is not None for row in batch.quarantine)
    return IngestCounts(
        events=sum(record.quarantine_id is None for record in parsed),
        new_turns=stored.turns,
        quarantined=len(batch.quarantine) - waiting + len(outcome.refused),
        waiting=waiting,
        resumed=len(outcome.resolved),
    )


def _under_version(version: int, record: ParsedRecord, seen: SeenIds) -> ParsedRecord:
    """The call, read under this version of the projection: it may have been read before the log turned to it."""
    content = record.content
    if not isinstance(content, ParsedCall) or content.version == version:
        return record
    return replace(record, content=parse_record(record.data, seen.cache, identifier=seen.identifier))


def parse_quarantined(
    kept: Iterable[quarantine.QuarantinedCall], patience: timedelta, seen: SeenIds
) -> list[ParsedRecord]:
    """Calls in quarantine unchanged; those that have waited for longer than ``patience`` wait no longer."""
    now = datetime.now(UTC)
    return [
        ParsedRecord(
            each.event,
            parse_record(each.event, seen.cache, identifier=seen.identifier),
            each.event_id,
            may_wait=now - each.received_at < patience,
        )
        for each in kept
    ]


def store_by_bisection(
    connection: Connection, parsed: list[ParsedRecord], seen: SeenIds, patience: timedelta
) -> IngestCounts:
    """Store the calls among these that PostgreSQL takes, and set aside the others. None is resumed meanwhile."""
    try:
        return store_parsed(connection, parsed, seen, patience, wake=False)
    except _BAD_ROW as error:
        if len(parsed) == 1:
            return _refuse(connection, parsed[0], error)
    middle = len(parsed) // 2
    first = store_by_bisection(connection, parsed[:middle], seen, patience)
    return first + store_by_bisection(connection, parsed[middle:], seen, patience)


def _refuse(connection: Connection, record: ParsedRecord, error: Exception) -> IngestCounts:
    with connection.transaction():
        inbox.prepare(connection)
        resolver = SessionResolver(connection, HistoryCache())
        resolver.refuse(record, error)
        inbox.store(connection, resolver.batch)
        quarantine.settle(connection, resolver.outcome)
    return IngestCounts(events=int(record.quarantine_id is None), new_turns=0, quarantined=1)
