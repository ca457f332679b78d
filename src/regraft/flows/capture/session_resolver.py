"""Captured calls into a batch of rows: each is read in its dialect and placed behind what it names as its past.

A call may name a node, a turn or an earlier response. Calls of one batch may come in any order; a call whose past is
neither stored nor in the batch waits in quarantine under a ``waiting:`` reason, until it has waited long enough to be
placed by its opening.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import psycopg

from regraft.domain.capture.answer import Answer
from regraft.domain.capture.dialects import CHAT, FEEDBACK, RESPONSES, Dialect, dialect_of
from regraft.domain.capture.dialects.responses import with_history
from regraft.domain.capture.exchange import Exchange
from regraft.domain.capture.request import Request
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import SessionId, digest, uuid_of
from regraft.domain.lineage.feedback import Feedback, read_feedback
from regraft.domain.lineage.message import StoredMessage
from regraft.domain.lineage.turn import Capture, capture, claim, internal_session
from regraft.flows.capture.identification import CallIdentifier
from regraft.flows.capture.time_budget import (
    APART,
    ReadingLimits,
    SlowCallError,
    TimeBudget,
    TimeBudgetExceeded,
)
from regraft.flows.lineage.history_cache import CachedStep, HistoryCache
from regraft.infra.http.coding import decode
from regraft.infra.http.slicing import cut
from regraft.infra.nats.codec import decode_exchange, measured
from regraft.infra.postgres.capture import inbox, quarantine
from regraft.infra.postgres.pool import Connection

_CLIENT_ERRORS = frozenset({400, 405, 411, 413, 415, 422})  # HTTP statuses that call the request itself wrong

WAITING = "waiting:"
AwaitedKey = UUID | tuple[str, str]  # a turn, node or session; or a response by tenant and id


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """One captured call, read under a version of the projection: ``end`` is the end of the history that it was sent
    with, if it was sent with one, and ``answers`` are then the messages of the answer's choices."""

    exchange: Exchange
    dialect: Dialect
    version: int
    request: Request
    answer: Answer
    end: CachedStep | None
    answers: list[StoredMessage | None]

    @property
    def previous(self) -> tuple[str, str] | None:
        """The response that this call continues from."""
        response = self.request.previous_response
        return (self.exchange.scope, response) if response else None

    @property
    def claims(self) -> list[tuple[str, UUID]]:
        """By tenant: the session, nodes or turns whose session this call is in, unless it names one by a name."""
        who = self.exchange.identity
        internal = internal_session(who.session)
        if internal:
            return [(self.exchange.scope, internal)]
        claimed = () if who.session else (claim(who.replay_node), claim(who.parent_node))
        return [(self.exchange.scope, each) for each in claimed if each]


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """A captured call that could not be read, and why."""

    event_id: UUID
    error: Exception


@dataclass(frozen=True, slots=True)
class ParsedRecord:
    """One captured call: its bytes and what was parsed from them. ``quarantine_id`` is set if it came from quarantine.

    ``may_wait``: it waits when what it names is not known; otherwise it is placed without that.
    """

    data: bytes
    content: ParsedCall | tuple[Feedback, Exchange] | ParseFailure
    quarantine_id: UUID | None = None
    may_wait: bool = True


def parse_record(
    record: bytes, cache: HistoryCache, limits: ReadingLimits = APART, identifier: CallIdentifier | None = None
) -> ParsedCall | tuple[Feedback, Exchange] | ParseFailure:
    """Read a captured call, within limits; any content gives a result. Needs no store, so it can be done ahead."""
    event_id: UUID | None = None
    try:
        event_id, size = measured(record)
        _check_size(size, limits)
        exchange = decode_exchange(record)
        with TimeBudget(limits.seconds):
            return _parsed(exchange, cache, limits, identifier or CallIdentifier())
    except TimeBudgetExceeded:
        slow = SlowCallError(f"{limits.prefix}reading it takes longer than {limits.seconds:g} s")
        return ParseFailure(event_id or uuid_of(digest(record)), slow)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 no call stops the others
        return ParseFailure(event_id or uuid_of(digest(record)), error)


def _check_size(size: int, limits: ReadingLimits) -> None:
    if size > limits.bytes:
        raise SlowCallError(f"{limits.prefix}its {size} bytes are more than the {limits.bytes} that are read at once")


def _parsed(
    exchange: Exchange, cache: HistoryCache, limits: ReadingLimits, identifier: CallIdentifier
) -> ParsedCall | tuple[Feedback, Exchange]:
    if exchange.request_encoding:
        plain = decode(exchange.request_body, exchange.request_encoding, "request")
        exchange = replace(exchange, request_body=plain, request_encoding="")
    body = decode(exchange.response_body, exchange.response_encoding)
    _check_size(len(exchange.request_body) + len(body), limits)
    if exchange.endpoint == FEEDBACK:
        return read_feedback(exchange), exchange
    dialect = dialect_of(exchange.endpoint)
    slices = cut(exchange.request_body) if exchange.endpoint == CHAT else None
    request = cache.request(*slices) if slices else dialect.read_request(exchange.request_body)
    if exchange.asked_model and not request.model:
        request = replace(request, model=exchange.asked_model)
    end = cache.history(exchange.scope, request.messages) if request.messages else None
    who = identifier.identified(exchange.identity, request, end)
    if who is not exchange.identity:
        exchange = replace(exchange, identity=who)
    answer = dialect.answer(body, exchange.response_type, request)
    answers = cache.answers(answer) if end else []  # digested here, where reading is limited
    return ParsedCall(exchange, dialect, cache.version, request, answer, end, answers)


class SessionResolver:
    """One transaction's work: ``place`` calls, ``close``, then store ``batch`` and settle ``outcome``. ``calls`` are
    those that were placed, ``placements`` where, by their ids."""

    def __init__(self, connection: Connection, cache: HistoryCache) -> None:
        self.batch = inbox.InboxBatch(version=cache.version)
        self.outcome = quarantine.RetryOutcome()
        self.placed = 0
        self.saved_steps: list[CachedStep] = []
        self.calls: list[ParsedCall] = []
        self.placements: dict[UUID, Capture] = {}
        self._connection = connection
        self._cache = cache
        self._sessions: dict[tuple[str, UUID], SessionId] = {}
        self._histories: dict[tuple[str, str], inbox.StoredHistory] = {}
        self._made: list[AwaitedKey] = []
        self._waiting: dict[AwaitedKey, list[tuple[ParsedRecord, ParsedCall]]] = defaultdict(list)

    def place(self, parsed: Iterable[ParsedRecord]) -> None:
        """Place calls, and those placed before that waited for them. None of them stops another."""
        calls = [each for record in parsed if (each := self._open(record))]
        claims = {each for _, call in calls for each in call.claims} - self._sessions.keys()
        previous = {call.previous for _, call in calls if call.previous} - self._histories.keys()
        self._sessions.update(inbox.sessions_of_claims(self._connection, claims))
        self._histories.update(inbox.histories(self._connection, previous))
        ready = deque(calls)
        while ready:
            record, call = ready.popleft()
            awaited = self._awaited(call) if record.may_wait else None
            if awaited:
                self._waiting[awaited].append((record, call))
                continue
            before = len(self._made)
            self._settle(record, call)
            for made in self._made[before:]:
                ready.extend(self._waiting.pop(made, ()))

    def close(self) -> None:
        """Nothing more will be placed: what waits now has to wait in quarantine."""
        for awaited, calls in self._waiting.items():
            for record, call in calls:
                self._wait(record, call, awaited)
        self._waiting.clear()

    def take_resolved_keys(self) -> list[str]:
        """The keys that waiting calls can be resumed by now; each is returned once."""
        made, self._made = self._made, []
        return [_text(each) for each in made]

    def _open(self, record: ParsedRecord) -> tuple[ParsedRecord, ParsedCall] | None:
        content = record.content
        if isinstance(content, ParsedCall):
            return record, content
        if isinstance(content, ParseFailure):
            self._refuse(record, record.quarantine_id or content.event_id, content.error)
            return None
        try:
            self.batch.add_feedback(*content)
        except (MemoryError, psycopg.Error):
            raise
        except Exception as error:  # noqa: BLE001 no call stops the others
            self._refuse(record, content[1].event_id, error)
        else:
            self._done(record)
        return None

    def _awaited(self, call: ParsedCall) -> AwaitedKey | None:
        """What this call has to wait for, if anything."""
        if call.previous and call.previous not in self._histories:
            return call.previous
        if call.claims and not any(each in self._sessions for each in call.claims):
            return call.claims[-1][1]
        return None

    def _settle(self, record: ParsedRecord, call: ParsedCall) -> None:
        try:
            self._read(call)
        except (MemoryError, psycopg.Error):
            raise
        except Exception as error:  # noqa: BLE001 no call stops the others
            self._refuse(record, call.exchange.event_id, error)
        else:
            self._done(record)

    def _read(self, call: ParsedCall) -> None:
        exchange, request, answer, end, answers = call.exchange, call.request, call.answer, call.end, call.answers
        history = self._histories.get(call.previous) if call.previous else None
        if history:
            request = with_history(request, history.messages)
            end = self._cache.history(exchange.scope, request.messages) if request.messages else None
            answers = self._cache.answers(answer)
            self._sessions.setdefault((exchange.scope, history.turn_id), history.session_id)
        placed: Capture | None = None
        if end:
            previous = history.turn_id if history else None
            known = partial(self._session_of, exchange.scope)
            placed = capture(exchange, request, answer, known, previous, end.read(), answers)
            if not exchange.final:
                placed.turns.clear()
        self.batch.add(exchange, request, answer, placed)
        self.calls.append(call)
        if placed is not None:
            self.placements[exchange.event_id] = placed
        if end:
            self.saved_steps += end.mark_saved()
        if placed is None or not placed.turns:
            return
        for turn in placed.turns:
            for found in (turn.turn_id, turn.node_id, turn.session_id):
                self._sessions.setdefault((exchange.scope, found), turn.session_id)
                self._made.append(found)
        response = answer.rest.get("id")
        if exchange.endpoint == RESPONSES and isinstance(response, str) and response:
            said = answer.choices[0].message if answer.choices else None
            self._add_response(exchange.scope, response, placed, request, said)

    def _add_response(
        self, scope: str, response: str, placed: Capture, request: Request, said: dict[str, object] | None
    ) -> None:
        turn = placed.turns[0]
        self.batch.add_response(scope, response, turn.turn_id)
        messages = [*request.messages, *([] if said is None else [said])]
        self._histories.setdefault((scope, response), inbox.StoredHistory(turn.turn_id, turn.session_id, messages))
        self._made.append((scope, response))

    def _session_of(self, scope: str, claimed: UUID) -> SessionId | None:
        return self._sessions.get((scope, claimed))

    def _done(self, record: ParsedRecord) -> None:
        self.placed += 1
        if record.quarantine_id:
            self.outcome.resolved.append(record.quarantine_id)

    def _wait(self, record: ParsedRecord, call: ParsedCall, awaited: AwaitedKey) -> None:
        kind, key = "previous_response" if awaited == call.previous else "parent", _text(awaited)
        reason = f"{WAITING}{kind} {key} is not known yet"
        if record.quarantine_id:
            self.outcome.postponed.append((record.quarantine_id, reason, key))
        else:
            self.batch.set_aside(call.exchange.event_id, reason, record.data, key)

    def refuse(self, record: ParsedRecord, error: Exception) -> None:
        """Set a call aside that its reader took and PostgreSQL did not."""
        content = record.content
        exchange = content.exchange if isinstance(content, ParsedCall) else decode_exchange(record.data)
        self._refuse(record, exchange.event_id, error)

    def _refuse(self, record: ParsedRecord, event_id: UUID, error: Exception) -> None:
        reason = str(error) if isinstance(error, CorruptEventError) else f"it cannot be read: {error!r}"
        if (status := _refused_with(record.data)) is not None:
            reason = f"refused: the model server answered HTTP {status}; {reason}"
        if record.quarantine_id:
            self.outcome.refused.append((record.quarantine_id, reason))
        else:
            self.batch.set_aside(event_id, reason, record.data)


def _refused_with(data: bytes) -> int | None:
    """The HTTP status by which the model server refused a request as wrong; None when it did not."""
    try:
        status = decode_exchange(data).status
    except CorruptEventError:
        return None
    return status if status in _CLIENT_ERRORS else None


def _text(key: AwaitedKey) -> str:
    """The key as quarantine keeps it."""
    return f"turn:{key}" if isinstance(key, UUID) else f"response:{key[0]}:{key[1]}"
