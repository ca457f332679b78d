"""A turn: a context in, one assistant message out. What one captured call contributes to the execution log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.domain.capture.answer import Answer, Choice
from regraft.domain.capture.endings import Status, ending_of, status_of
from regraft.domain.capture.exchange import Exchange
from regraft.domain.capture.request import Request
from regraft.domain.ids import Digest, NodeId, SessionId, TurnId, digest, uuid_of
from regraft.domain.lineage.history import (
    EMPTY,
    Context,
    ReadHistory,
    extend_projection,
    node_of,
    read_history,
    session_by_name,
    session_by_named_opening,
    session_by_opening,
)
from regraft.domain.lineage.message import StoredMessage, store_message

INTERNAL_SESSION = "regraft:"  # X-Regraft-Session: regraft:<session id> names a session by our own id


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One row of ``session_turn`` and of ``session_lineage``."""

    turn_id: TurnId
    choice_index: int
    session_id: SessionId
    context_id: Digest
    context_projection: Digest
    context_depth: int
    answer: StoredMessage | None
    answer_projection: Digest
    node_id: NodeId
    node_status: str
    finish_reason: str | None
    tool_calls: int
    system_digest: Digest
    user_digest: Digest
    awaited_projection: Digest | None
    parent_claim: UUID | None
    replay_claim: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Everything that one captured call adds: its messages, its contexts (the last is its own), its session and its
    turns."""

    messages: list[StoredMessage]
    contexts: list[Context]
    session_id: SessionId
    session_evidence: str
    session_name: str | None
    turns: list[Turn]


def claim(value: str | None) -> UUID | None:
    """The node or turn id in a header; None for anything else."""
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


def internal_session(name: str | None) -> UUID | None:
    """The session that ``regraft:<session id>`` names; it counts only for the tenant whose session it is."""
    return claim(name.removeprefix(INTERNAL_SESSION)) if name and name.startswith(INTERNAL_SESSION) else None


def capture(
    exchange: Exchange,
    request: Request,
    answer: Answer,
    session_of_claim: Callable[[UUID], SessionId | None],
    previous: TurnId | None = None,
    read: ReadHistory | None = None,
    answers: Sequence[StoredMessage | None] = (),
) -> Capture:
    """Place a call in its session.

    ``session_of_claim`` knows the session of a claimed session, node or turn, if the tenant has it. ``previous`` is the
    turn whose answer the call says that it continues. ``read`` is the request's history, and ``answers`` are the
    messages of the answer's choices under the same version of the projection, if they were read already.
    """
    read = read or read_history(exchange.scope, request.messages)
    history = read.history
    last = history.context
    session_id, evidence, name = _session(
        exchange, history.opening or last.projection_id, session_of_claim, previous, request.conversation
    )
    choices = answer.choices or [Choice(index=0, message=None, finish_reason=None)]
    turns = []
    for place, choice in enumerate(choices):
        message = answers[place] if answers else None
        if message is None and choice.message is not None:
            message = store_message(choice.message, version=history.version)
        status = node_status(exchange, answer, choice)
        ending = message.projection if message else digest(b"no answer", status.encode())
        after = extend_projection(exchange.scope, last.projection_id, ending, history.version)
        turns.append(
            Turn(
                turn_id=turn_id(exchange.event_id, choice.index),
                choice_index=choice.index,
                session_id=session_id,
                context_id=last.context_id,
                context_projection=last.projection_id,
                context_depth=last.depth,
                answer=message,
                answer_projection=after,
                node_id=node_of(session_id, after),
                node_status=status,
                finish_reason=choice.finish_reason,
                tool_calls=_tool_calls(choice.message),
                system_digest=Digest(history.system.digest()),
                user_digest=Digest(history.user.digest()),
                awaited_projection=history.awaited,
                parent_claim=claim(exchange.identity.parent_node) or previous,
                replay_claim=claim(exchange.identity.replay_node),
            )
        )
    return Capture(
        messages=[*read.messages, *(turn.answer for turn in turns if turn.answer)],
        contexts=read.contexts,
        session_id=session_id,
        session_evidence=evidence,
        session_name=name,
        turns=turns,
    )


def _tool_calls(message: dict[str, Any] | None) -> int:
    calls = message.get("tool_calls") if message else None
    legacy = message.get("function_call") if message else None
    return len(calls) if isinstance(calls, list) else 1 if legacy else 0


def turn_id(event_id: UUID, choice_index: int) -> TurnId:
    """The first choice's turn has the call's own id, which the client received in ``X-Regraft-Turn``."""
    if choice_index == 0:
        return TurnId(event_id)
    return TurnId(uuid_of(digest(b"choice", event_id.bytes, str(choice_index).encode())))


def _session(
    exchange: Exchange,
    opening: Digest,
    session_of_claim: Callable[[UUID], SessionId | None],
    previous: TurnId | None,
    conversation: str | None,
) -> tuple[SessionId, str, str | None]:
    name = exchange.identity.session
    internal = internal_session(name)
    if internal and (found := session_of_claim(internal)):
        return found, "explicit_node", None
    if name and not internal:
        return session_by_name(exchange.scope, name), "explicit_header", name
    claims = (claim(exchange.identity.replay_node), claim(exchange.identity.parent_node), previous)
    for node in claims:
        if node and (found := session_of_claim(node)):
            return found, "explicit_node", None
    if conversation:
        return session_by_name(exchange.scope, conversation), "explicit_header", conversation
    who = exchange.identity
    if who.client_session:
        session = session_by_named_opening(exchange.scope, opening or EMPTY, who.client_session, who.agent or "")
        return session, "named_opening", "/".join(filter(None, (who.client_session, who.agent)))
    return session_by_opening(exchange.scope, opening or EMPTY), "opening", None


def node_status(exchange: Exchange, answer: Answer, choice: Choice) -> Status:
    """How a turn ended. ``interrupted``: its answer broke off; ``ambiguous``: pieces of it cannot be assembled for
    certain, or the call that it ends with is missing; ``unknown``: the server's finish reason is not known."""
    if exchange.status >= 400 or choice.message is None:
        return "error"
    ending = ending_of(choice.finish_reason)
    if exchange.cut or answer.error or (answer.done is False and ending is None):
        return "interrupted"
    status = status_of(ending)
    if status == "interrupted":
        return status
    promised = ending == "tool_use" and not _tool_calls(choice.message)
    if choice.unattributed or answer.unread or promised:
        return "ambiguous"
    if status != "ok":
        return status
    if choice.message.get("refusal") and not choice.message.get("content"):
        return "refused"
    return "ok"
