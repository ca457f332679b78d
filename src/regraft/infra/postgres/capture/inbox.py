"""The execution log in PostgreSQL: a batch of captured calls in, one transaction, idempotent."""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
from regraft.infra.postgres.capture.inbox_rows import (
    ContextRow,
    EventRow,
    FeedbackRow,
    MessageRow,
    PartRow,
    QuarantineRow,
    ResponseRow,
    SessionRow,
    TurnRow,
)
from regraft.infra.postgres.copy import copy_rows
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
    parts: dict[Digest, PartRow] = field(default_factory=dict)
    part_ids: dict[tuple[str, int], tuple[dict[str, Any], Digest]] = field(default_factory=dict)
    sessions: list[SessionRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    turns: list[TurnRow] = field(default_factory=list)
    responses: list[ResponseRow] = field(default_factory=list)
    feedback: list[FeedbackRow] = field(default_factory=list)
    quarantine: list[QuarantineRow] = field(default_factory=list)

    def add(self, exchange: Exchange, request: Request, answer: Answer, capture: Capture | None) -> None:
        """Add one call that could be read; without a ``capture`` it is not a turn of a conversation."""
        context_id = capture.contexts[-1].context_id if capture else None
        if capture:
            self.messages.update((message.message_id, message) for message in capture.messages)
            self.contexts.update((context.context_id, context) for context in capture.contexts)
        started = _EPOCH + timedelta(microseconds=exchange.started_ns // 1000)
        first_byte = exchange.first_byte_ns
        turns = capture.turns if capture else []
        if capture and turns:
            self.sessions.append(
                SessionRow(
                    session_id=capture.session_id,
                    scope=exchange.scope,
                    external_id=storable(capture.session_name),
                    evidence=capture.session_evidence,
                )
            )
        rest = answer.stored_rest()
        error = answer.error if answer.error is not None else exchange.error or None
        purpose = storable(exchange.identity.purpose)
        self.events.append(
            EventRow(
                event_id=exchange.event_id,
                scope=exchange.scope,
                endpoint=exchange.endpoint,
                upstream=exchange.upstream,
                upstream_pin=exchange.upstream_pin,
                purpose=purpose,
                started_at=started,
                duration_ms=exchange.duration_ns / 1e6,
                first_byte_ms=None if first_byte is None else first_byte / 1e6,
                http_status=exchange.status,
                streamed=request.streamed,
                cut=exchange.cut,
                error=None if error is None else canonical_json(error),
                model_requested=storable(request.model),
                model_answered=storable(answer.model),
                context_id=context_id,
                tools_id=self._part("tools", request.tools),
                sampling_id=self._part("sampling", request.sampling),
                other_id=self._part("other", request.other),
                usage=None if answer.usage is None else canonical_json(answer.usage),
                system_fingerprint=storable(served_build(answer.rest) or None),
                answer_rest=canonical_json(rest),
                identity=_identity_json(exchange.identity),
                projection_version=self.version,
                gateway_version=exchange.gateway_version,
                operation_id=exchange.operation_id,
                attempt=exchange.attempt,
                final=exchange.final,
                traceparent=storable(exchange.traceparent),
                asked_model=storable(exchange.asked_model),
            )
        )
        for turn in turns:
            self.turns.append(
                TurnRow(
                    turn_id=turn.turn_id,
                    event_id=exchange.event_id,
                    choice_index=turn.choice_index,
                    session_id=turn.session_id,
                    context_id=turn.context_id,
                    context_projection=turn.context_projection,
                    context_depth=turn.context_depth,
                    answer_id=turn.answer.message_id if turn.answer else None,
                    answer_projection=turn.answer_projection,
                    node_id=turn.node_id,
                    node_status=turn.node_status,
                    finish_reason=storable(turn.finish_reason),
                    tool_calls=turn.tool_calls,
                    started_at=started,
                    purpose=purpose,
                    system_digest=turn.system_digest,
                    user_digest=turn.user_digest,
                    awaited_projection=turn.awaited_projection,
                    parent_claim=turn.parent_claim,
                    replay_claim=turn.replay_claim,
                    filed_by=capture.session_evidence if capture else "opening",
                )
            )

    def add_response(self, scope: str, response_id: str, turn_id: TurnId) -> None:
        """Add the id by which later calls may continue a turn."""
        self.responses.append(ResponseRow(scope=scope, response_id=storable(response_id) or "", turn_id=turn_id))

    def add_feedback(self, given: Feedback, exchange: Exchange) -> None:
        """Add a rating or comment about a turn or a session."""
        self.feedback.append(
            FeedbackRow(
                feedback_id=given.feedback_id,
                scope=given.scope,
                turn_id=given.turn_id,
                session_id=given.session_id,
                session_claim=given.session_claim,
                name=storable(given.name),
                value=given.value,
                comment=storable(given.comment),
                source=storable(given.source),
                given_at=_EPOCH + timedelta(microseconds=exchange.started_ns // 1000),
                imported=given.imported,
                annotator=storable(given.annotator or None),
                given_by=given.given_by or None,
                comparison=storable(given.comparison or None),
                scale_low=given.scale[0] if given.scale else None,
                scale_high=given.scale[1] if given.scale else None,
            )
        )

    def set_aside(self, event_id: UUID, reason: str, event: bytes, waits_for: str | None = None) -> None:
        """Add one call that could not be read, or whose place is not known yet, whole."""
        self.quarantine.append(
            QuarantineRow(event_id=event_id, reason=storable(reason) or "", event=event, waits_for=storable(waits_for))
        )

    def _part(self, kind: str, body: dict[str, Any]) -> Digest:
        # Requests that were read from the same text share their parts, so that the object says which part it is.
        known = self.part_ids.get((kind, id(body)))
        if known is None:
            part_id = part_digest(kind, body)
            known = self.part_ids[kind, id(body)] = (body, part_id)
            self.parts[part_id] = PartRow(part_id=part_id, kind=kind, body=canonical_json(body))
        return known[1]


def _identity_json(identity: Identity) -> str:
    given = {name: getattr(identity, name) for name in identity.__slots__}
    return canonical_json({name: value for name, value in given.items() if value is not None})


def prepare(connection: Connection) -> None:
    """Make the staging tables of this connection."""
    connection.execute(_SQL["stage"])


def sessions_of_claims(connection: Connection, claims: Iterable[tuple[str, UUID]]) -> dict[tuple[str, UUID], SessionId]:
    """The session of every turn, node or session that is stored already, by (tenant, id): a tenant never sees
    another's."""
    wanted = list(claims)
    if not wanted:
        return {}
    given = {"scopes": [scope for scope, _ in wanted], "claims": [claimed for _, claimed in wanted]}
    rows = connection.execute(_SQL["sessions_of_claims"], given).fetchall()
    return {(row["scope"], row["claimed"]): SessionId(row["session_id"]) for row in rows}


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """A turn that a later call may continue from: its context's messages and its answer, if it had one."""

    turn_id: TurnId
    session_id: SessionId
    messages: list[Any]


def histories(connection: Connection, responses: Collection[tuple[str, str]]) -> dict[tuple[str, str], StoredHistory]:
    """The stored turns that gave these responses, by (scope, response id)."""
    if not responses:
        return {}
    by_name = {(scope, storable(response) or ""): (scope, response) for scope, response in responses}
    given = {"scopes": [scope for scope, _ in by_name], "responses": [response for _, response in by_name]}
    rows = connection.execute(_SQL["histories"], given).fetchall()
    return {
        by_name[row["scope"], row["response_id"]]: StoredHistory(
            TurnId(row["turn_id"]),
            SessionId(row["session_id"]),
            [*parse_json(row["messages"]), *([parse_json(row["answer"])] if row["answer"] else [])],
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What of a batch was not stored before: ``events`` are ids of calls, ``turns`` a number."""

    events: frozenset[UUID]
    turns: int


def store(connection: Connection, batch: InboxBatch) -> StoredBatch:
    """Write a batch in the current transaction."""
    messages = [
        MessageRow(
            message_id=message.message_id,
            role=storable(message.role),
            body=message.body,
            anchors=list(message.anchors) or None,
        )
        for message in batch.messages.values()
    ]
    contexts = [
        ContextRow(
            context_id=step.context_id,
            parent_id=step.parent_id or None,
            message_id=step.message_id,
            depth=step.depth,
            projection_id=step.projection_id,
        )
        for step in batch.contexts.values()
    ]
    for table, row_type, rows in (
        ("stage_message", MessageRow, messages),
        ("stage_context", ContextRow, contexts),
        ("stage_part", PartRow, batch.parts.values()),
        ("stage_session", SessionRow, batch.sessions),
        ("stage_event", EventRow, batch.events),
        ("stage_turn", TurnRow, batch.turns),
        ("stage_response", ResponseRow, batch.responses),
        ("stage_feedback", FeedbackRow, batch.feedback),
        ("stage_quarantine", QuarantineRow, batch.quarantine),
    ):
        if rows:
            copy_rows(connection, table, row_type, rows)
    named = _SQL
    for statement in ("store_messages", "store_contexts", "store_parts", "store_sessions"):
        connection.execute(named[statement])
    events = frozenset(row["event_id"] for row in connection.execute(named["store_events"]))
    stored = connection.execute(named["store_turns"]).fetchone()
    for given, statement in (
        (batch.responses, "store_responses"),
        (batch.feedback, "store_feedback"),
        (batch.quarantine, "store_quarantine"),
    ):
        if given:
            connection.execute(named[statement])
    return StoredBatch(events, int(stored["turns"]) if stored else 0)
