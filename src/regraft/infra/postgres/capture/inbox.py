"""The execution log in PostgreSQL: a batch of captured calls in, one transaction, idempotent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from regraft.domain.capture.answer import Answer
from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.capture.request import Request, part_digest
from regraft.domain.ids import Digest, SessionId, TurnId, canonical_json, parse_json
from regraft.domain.lineage.difference import served_build
from regraft.domain.lineage.feedback import Feedback
from regraft.domain.lineage.history import Context
from regraft.domain.lineage.message import StoredMessage
from regraft.domain.lineage.projection import PROJECTION_VERSION
from regraft.domain.lineage.turn import Capture
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/capture/inbox")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def storable(text: str | None) -> str | None:
    """Text that PostgreSQL's ``text`` accepts: NUL and lone surrogates become U+FFFD."""
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


@dataclass(slots=True)
class InboxBatch:
    """Rows for one transaction, one list per staging table; messages and contexts only once each.

    ``version`` is that of the projection that all of it was read under.
    """

    version: int = PROJECTION_VERSION
    messages: dict[Digest, StoredMessage] = field(default_factory=dict)
    contexts: dict[Digest, Context] = field(default_factory=dict)
    parts: dict[Digest, tuple[str, str]] = field(default_factory=dict)
    part_ids: dict[tuple[str, int], tuple[dict[str, Any], Digest]] = field(default_factory=dict)
    sessions: list[tuple[SessionId, str, str | None, str]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    turns: list[tuple[Any, ...]] = field(default_factory=list)
    responses: list[tuple[str, str, TurnId]] = field(default_factory=list)
    feedback: list[tuple[Any, ...]] = field(default_factory=list)
    quarantine: list[tuple[UUID, str, bytes, str | None]] = field(default_factory=list)

    def add(self, exchange: Exchange, request: Request, answer: Answer, capture: Capture | None) -> None:
        """Add one call that could be read; without a ``capture`` it is no turn of a conversation."""
        context_id = capture.contexts[-1].context_id if capture else None
        if capture:
            self.messages.update((message.message_id, message) for message in capture.messages)
            self.contexts.update((context.context_id, context) for context in capture.contexts)
        part_ids = [
            self._part(kind, body)
            for kind, body in (("tools", request.tools), ("sampling", request.sampling), ("other", request.other))
        ]
        started = _EPOCH + timedelta(microseconds=exchange.started_ns // 1000)
        first_byte = exchange.first_byte_ns
        turns = capture.turns if capture else []
        if capture and turns:
            self.sessions.append(
                (capture.session_id, exchange.scope, storable(capture.session_name), capture.session_evidence)
            )
        rest = dict(answer.rest)
        rest["choices"] = [{"index": choice.index, **choice.rest} for choice in answer.choices]
        error = answer.error if answer.error is not None else exchange.error or None
        self.events.append(
            (
                exchange.event_id,
                exchange.scope,
                exchange.endpoint,
                exchange.upstream,
                exchange.upstream_pin,
                storable(exchange.identity.purpose),
                started,
                exchange.duration_ns / 1e6,
                None if first_byte is None else first_byte / 1e6,
                exchange.status,
                request.streamed,
                exchange.cut,
                None if error is None else canonical_json(error),
                storable(request.model),
                storable(answer.model),
                context_id,
                *part_ids,
                None if answer.usage is None else canonical_json(answer.usage),
                storable(served_build(answer.rest) or None),
                canonical_json(rest),
                _identity_json(exchange.identity),
                self.version,
                exchange.gateway_version,
                exchange.operation_id,
                exchange.attempt,
                exchange.final,
                storable(exchange.traceparent),
                storable(exchange.asked_model),
            )
        )
        for turn in turns:
            self.turns.append(
                (
                    turn.turn_id,
                    exchange.event_id,
                    turn.choice_index,
                    turn.session_id,
                    turn.context_id,
                    turn.context_projection,
                    turn.context_depth,
                    turn.answer.message_id if turn.answer else None,
                    turn.answer_projection,
                    turn.node_id,
                    turn.node_status,
                    storable(turn.finish_reason),
                    turn.tool_calls,
                    started,
                    storable(exchange.identity.purpose),
                    turn.system_digest,
                    turn.user_digest,
                    turn.awaited_projection,
                    turn.parent_claim,
                    turn.replay_claim,
                    capture.session_evidence if capture else "opening",
                )
            )

    def add_response(self, scope: str, response_id: str, turn_id: TurnId) -> None:
        """Add the id by which later calls may go on from a turn."""
        self.responses.append((scope, storable(response_id) or "", turn_id))

    def add_feedback(self, given: Feedback, exchange: Exchange) -> None:
        """Add what was said of a turn or a session."""
        at = _EPOCH + timedelta(microseconds=exchange.started_ns // 1000)
        self.feedback.append(
            (
                given.feedback_id,
                given.scope,
                given.turn_id,
                given.session_id,
                given.session_claim,
                storable(given.name),
                given.value,
                storable(given.comment),
                storable(given.source),
                at,
            )
        )

    def set_aside(self, event_id: UUID, reason: str, event: bytes, waits_for: str | None = None) -> None:
        """Add one call that could not be read, or whose place is not known yet, whole."""
        self.quarantine.append((event_id, storable(reason) or "", event, storable(waits_for)))

    def _part(self, kind: str, body: dict[str, Any]) -> Digest:
        # Requests that were read from the same text share their parts, so that the object says which part it is.
        known = self.part_ids.get((kind, id(body)))
        if known is None:
            part_id = part_digest(kind, body)
            known = self.part_ids[kind, id(body)] = (body, part_id)
            self.parts[part_id] = (kind, canonical_json(body))
        return known[1]


def _identity_json(identity: Identity) -> str:
    given = {name: getattr(identity, name) for name in identity.__slots__}
    return canonical_json({name: value for name, value in given.items() if value is not None})


_COLUMNS: dict[str, Sequence[str]] = {
    "stage_message": ("bytea", "text", "text", "int8[]"),
    "stage_context": ("bytea", "bytea", "bytea", "int4", "bytea"),
    "stage_part": ("bytea", "text", "text"),
    "stage_session": ("uuid", "text", "text", "text"),
    "stage_event": (
        *("uuid", "text", "text", "text", "text", "text", "timestamptz", "float8", "float8", "int4", "bool", "text"),
        *("text", "text", "text", "bytea", "bytea", "bytea", "bytea", "text", "text", "text", "text", "int4", "text"),
        *("uuid", "int4", "bool", "text", "text"),
    ),
    "stage_turn": (
        *("uuid", "uuid", "int4", "uuid", "bytea", "bytea", "int4", "bytea", "bytea", "uuid", "text", "text", "int4"),
        *("timestamptz", "text", "bytea", "bytea", "bytea", "uuid", "uuid", "text"),
    ),
    "stage_response": ("text", "text", "uuid"),
    "stage_feedback": ("uuid", "text", "uuid", "uuid", "uuid", "text", "float8", "text", "text", "timestamptz"),
    "stage_quarantine": ("uuid", "text", "bytea", "text"),
}


def _copy(connection: Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copy:
        copy.set_types(_COLUMNS[table])
        for row in rows:
            copy.write_row(row)


def prepare(connection: Connection) -> None:
    """Make the staging tables of this connection."""
    connection.execute(_SQL["stage"])


def sessions_of_claims(connection: Connection, claims: Iterable[tuple[str, UUID]]) -> dict[tuple[str, UUID], SessionId]:
    """The session of every turn, node or session that is stored already, by (tenant, id): nobody finds another's."""
    wanted = list(claims)
    if not wanted:
        return {}
    given = {"scopes": [scope for scope, _ in wanted], "claims": [claimed for _, claimed in wanted]}
    rows = connection.execute(_SQL["sessions_of_claims"], given).fetchall()
    return {(row["scope"], row["claimed"]): SessionId(row["session_id"]) for row in rows}


@dataclass(frozen=True, slots=True)
class History:
    """A turn that a later call may go on from: its context's messages and its answer, if it had one."""

    turn_id: TurnId
    session_id: SessionId
    messages: list[Any]


def histories(connection: Connection, responses: Collection[tuple[str, str]]) -> dict[tuple[str, str], History]:
    """The stored turns that gave these responses, by (scope, response id)."""
    if not responses:
        return {}
    by_name = {(scope, storable(response) or ""): (scope, response) for scope, response in responses}
    given = {"scopes": [scope for scope, _ in by_name], "responses": [response for _, response in by_name]}
    rows = connection.execute(_SQL["histories"], given).fetchall()
    return {
        by_name[row["scope"], row["response_id"]]: History(
            TurnId(row["turn_id"]),
            SessionId(row["session_id"]),
            [*parse_json(row["messages"]), *([parse_json(row["answer"])] if row["answer"] else [])],
        )
        for row in rows
    }


def store(connection: Connection, batch: InboxBatch) -> int:
    """Write a batch in the current transaction and return how many turns were new."""
    messages = [
        (message.message_id, storable(message.role), message.body, list(message.anchors) or None)
        for message in batch.messages.values()
    ]
    contexts = [
        (step.context_id, step.parent_id or None, step.message_id, step.depth, step.projection_id)
        for step in batch.contexts.values()
    ]
    parts = [(part_id, kind, body) for part_id, (kind, body) in batch.parts.items()]
    for table, rows in (
        ("stage_message", messages),
        ("stage_context", contexts),
        ("stage_part", parts),
        ("stage_session", batch.sessions),
        ("stage_event", batch.events),
        ("stage_turn", batch.turns),
        ("stage_response", batch.responses),
        ("stage_feedback", batch.feedback),
        ("stage_quarantine", batch.quarantine),
    ):
        if rows:
            _copy(connection, table, rows)
    named = _SQL
    for statement in ("store_messages", "store_contexts", "store_parts", "store_sessions", "store_events"):
        connection.execute(named[statement])
    stored = connection.execute(named["store_turns"]).fetchone()
    for rows, statement in (
        (batch.responses, "store_responses"),
        (batch.feedback, "store_feedback"),
        (batch.quarantine, "store_quarantine"),
    ):
        if rows:
            connection.execute(named[statement])
    return int(stored["turns"]) if stored else 0
