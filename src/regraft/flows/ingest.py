"""From the stream to the execution log: read each captured call, place it in its session, store the batch at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from regraft.domain.answer import read_answer
from regraft.domain.errors import CorruptEventError
from regraft.domain.exchange import Exchange
from regraft.domain.ids import Digest, SessionId, digest, uuid_of
from regraft.domain.request import read_request
from regraft.domain.turn import capture, claim
from regraft.infra.llm.coding import decode
from regraft.infra.nats.codec import decode_exchange
from regraft.infra.postgres import inbox
from regraft.infra.postgres.pool import Connection

_REMEMBERED = 200_000  # ids of stored messages and contexts kept in memory: about 40 MB


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What one batch came to. ``new_turns`` is less than ``events`` when calls were delivered again."""

    events: int
    new_turns: int
    quarantined: int


class Stored:
    """Ids known to be stored, so that a growing history sends only its new steps. Forgets the oldest."""

    def __init__(self, limit: int = _REMEMBERED) -> None:
        self._ids: OrderedDict[Digest, None] = OrderedDict()
        self._limit = limit

    def __contains__(self, key: Digest) -> bool:
        return key in self._ids

    def add(self, keys: Iterable[Digest]) -> None:
        """Remember ids whose transaction was committed."""
        for key in keys:
            self._ids[key] = None
        while len(self._ids) > self._limit:
            self._ids.popitem(last=False)


def ingest(connection: Connection, records: list[bytes], stored: Stored) -> IngestCounts:
    """Store captured calls in one transaction, committed on return. A call that cannot be read goes to quarantine."""
    batch = inbox.Batch()
    exchanges: list[tuple[bytes, Exchange]] = []
    for record in records:
        try:
            exchanges.append((record, decode_exchange(record)))
        except CorruptEventError as error:
            batch.set_aside(uuid_of(digest(record)), str(error), record)
    with connection.transaction():
        inbox.prepare(connection)
        sessions = inbox.sessions_of_claims(connection, _claims(exchange for _, exchange in exchanges))
        for record, exchange in exchanges:
            try:
                _read(batch, exchange, sessions)
            except CorruptEventError as error:
                batch.set_aside(exchange.event_id, str(error), record)
        batch.messages = {key: value for key, value in batch.messages.items() if key not in stored}
        batch.contexts = {key: value for key, value in batch.contexts.items() if key not in stored}
        new_turns = inbox.store(connection, batch)
    stored.add([*batch.messages, *batch.contexts])
    return IngestCounts(len(records), new_turns, len(batch.quarantine))


def _claims(exchanges: Iterable[Exchange]) -> set[UUID]:
    claimed = (
        claim(value)
        for exchange in exchanges
        if not exchange.identity.session
        for value in (exchange.identity.parent_node, exchange.identity.replay_node)
    )
    return {value for value in claimed if value}


def _read(batch: inbox.Batch, exchange: Exchange, sessions: dict[UUID, SessionId]) -> None:
    request = read_request(exchange.request_body)
    answer = read_answer(decode(exchange.response_body, exchange.response_encoding), exchange.response_type)
    placed = capture(exchange, request, answer, sessions.get)
    for turn in placed.turns:
        # Later calls of the same batch may claim this turn or its node.
        sessions.setdefault(turn.turn_id, turn.session_id)
        sessions.setdefault(turn.node_id, turn.session_id)
    batch.add(exchange, request, answer, placed)
