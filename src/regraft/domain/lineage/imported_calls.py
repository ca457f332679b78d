"""From an imported conversation to captured calls: one call an answer, its history all that is before it.

Ids are digests of the format, the conversation and the place in it, so that importing a file again adds nothing. The
work is linear in the messages of a tree: no history is digested twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.domain.capture.answer import Answer, Choice
from regraft.domain.capture.endings import with_ending
from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.capture.importers.comparisons import Comparisons
from regraft.domain.capture.importers.conversation import Conversation, ImportedMessage, Judgement
from regraft.domain.capture.judges import judge_of
from regraft.domain.capture.request import Request
from regraft.domain.ids import Digest, SessionId, TurnId, canonical_json, digest, uuid_of
from regraft.domain.lineage.feedback import Feedback
from regraft.domain.lineage.fingerprints import anchors_of
from regraft.domain.lineage.history import (
    EMPTY,
    Context,
    History,
    empty_history,
    extend,
    node_of,
    session_by_name,
    session_by_opening,
)
from regraft.domain.lineage.message import MessageBody, StoredMessage
from regraft.domain.lineage.projection import PROJECTION_VERSION, projection_digest
from regraft.domain.lineage.turn import Capture, Turn, turn_id

PURPOSE = "import"
_ENDPOINT = "/v1/chat/completions"  # the form that the messages are in
_SECOND = 1_000_000_000
_MILLISECOND = 1_000_000
_LAST_MOMENT = 253_402_300_799 * _SECOND  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class TreeMessage:
    """One message of a tree, digested exactly: what decides ids, and nothing more."""

    message_id: Digest
    body: MessageBody
    context_id: Digest
    event_id: UUID | None  # of an answer to something, or of the end of a branch


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCall:
    """One call to store, with the feedback on it and on the messages before it. No turn in the capture: no model
    answered the history."""

    exchange: Exchange
    request: Request
    answer: Answer
    capture: Capture
    feedback: list[Feedback]


class Projections:
    """Projected digests by exact digest, kept for messages that come again and again (system prompts)."""

    def __init__(self, limit: int = 20_000, version: int = PROJECTION_VERSION) -> None:
        self.version = version
        self._known: dict[Digest, Digest] = {}
        self._limit = limit

    def of(self, step: TreeMessage, message: dict[str, Any]) -> Digest:
        """The message's joining identity."""
        known = self._known.get(step.message_id)
        if known is None:
            if len(self._known) >= self._limit:
                self._known.clear()
            known = self._known[step.message_id] = projection_digest(message, self.version)
        return known


def steps(conversation: Conversation, form: str, scope: str) -> list[TreeMessage]:
    """Digest a tree. ``form`` is the name of the file's format."""
    found: list[TreeMessage] = []
    inner = {each.parent for each in conversation.said}
    opening = [b"import", form.encode(), scope.encode(), _bytes(conversation.source), _bytes(conversation.key)]
    for at, each in enumerate(conversation.said):
        body = canonical_json(each.message)
        message_id = digest(body.encode())
        above = EMPTY if each.parent is None else found[each.parent].context_id
        context_id = extend(scope, above, message_id)
        event_id = None
        if (each.answered and above) or at not in inner:
            event_id = uuid_of(digest(*opening, context_id, _bytes(each.key)))
        found.append(TreeMessage(message_id, MessageBody(body), context_id, event_id))
    return found


def feedback_ids(conversation: Conversation, tree: list[TreeMessage]) -> list[UUID]:
    """The ids of all feedback on a tree's messages."""
    judged = ((each, step) for each, step in zip(conversation.said, tree, strict=True) if each.judgements)
    return [_feedback_id(judgement, each, step) for each, step in judged for judgement in each.judgements]


def calls(
    conversation: Conversation, tree: list[TreeMessage], form: str, scope: str, position: int, projections: Projections
) -> Iterator[ImportedCall]:
    """The calls of a tree. Together their captures hold all its messages and contexts.

    A message without its own time was said a millisecond after the one before it; a conversation without any
    time, ``position`` seconds after 1970 began: a date that is plainly not real, in the order of the file.
    """
    beginning = empty_history(scope, projections.version)
    histories: list[History] = []
    moments: list[int] = []
    gaps: list[str] = []  # the missing parent that a history opens with
    start = _moment(conversation.started_ns)
    start = position * _SECOND if start is None else start
    messages: list[StoredMessage] = []
    contexts: list[Context] = []
    feedback: list[Feedback] = []
    others: list[dict[str, Any]] = []  # what the file says of messages that are not their own call
    sessions: dict[Digest, SessionId] = {}  # by opening
    comparisons = Comparisons(conversation, form)
    # One that begins with an answer has no opening that would tell it from others: its key has to.
    named = conversation.named or conversation.said[0].message.get("role") == "assistant"
    session_name = f"{form}:{conversation.key}" if named else None
    for step, each in zip(tree, conversation.said, strict=True):
        above = None if each.parent is None else histories[each.parent]
        role = each.message.get("role")
        role = role if isinstance(role, str) else ""
        projection = projections.of(step, each.message)
        message = StoredMessage(step.message_id, role, step.body, projection, anchors_of(each.message))
        history = (above or beginning).extend(role, step.message_id, projection, step.context_id)
        histories.append(history)
        moment = _moment(each.started_ns)
        if moment is None:
            moment = start if each.parent is None else moments[each.parent] + _MILLISECOND
        moments.append(moment)
        gaps.append(each.missing_parent or ("" if each.parent is None else gaps[each.parent]))
        messages.append(message)
        contexts.append(history.context)
        if step.event_id is None and each.rest:
            others.append({"message": each.key, **each.rest} if each.key else each.rest)
        if step.event_id is None and not each.judgements:
            continue
        before = above if each.answered and above else history
        opening = before.opening or before.context.projection_id
        session = sessions.get(opening)
        if session is None:
            named_so = session_by_name(scope, session_name) if session_name else None
            session = sessions[opening] = named_so or session_by_opening(scope, opening)
        feedback += [
            _feedback(judgement, each, step, session, scope, comparisons.of(judgement, each))
            for judgement in each.judgements
        ]
        if step.event_id is None:
            continue
        yield ImportedCall(
            exchange=_exchange(conversation, each, step.event_id, form, scope, moment, session_name),
            request=Request(
                model=each.model or conversation.model or "",
                messages=[],
                tools=conversation.tools if each.tools is None else each.tools,
                sampling=conversation.sampling if each.sampling is None else each.sampling,
                other={},
            ),
            answer=_answer(conversation, each, gaps[-1], others),
            capture=Capture(
                messages=messages,
                contexts=[*contexts, before.context],  # the last one is the call's own
                session_id=session,
                session_evidence="explicit_header" if session_name else "opening",
                session_name=session_name,
                turns=[] if before is history else [_turn(step.event_id, session, before, history, message, each)],
            ),
            feedback=feedback,
        )
        messages, contexts, feedback, others = [], [], [], []


def _turn(
    event_id: UUID, session: SessionId, before: History, after: History, message: StoredMessage, said: ImportedMessage
) -> Turn:
    calls = said.message.get("tool_calls")
    return Turn(
        turn_id=turn_id(event_id, 0),
        choice_index=0,
        session_id=session,
        context_id=before.context.context_id,
        context_projection=before.context.projection_id,
        context_depth=before.context.depth,
        answer=message,
        answer_projection=after.context.projection_id,
        node_id=node_of(session, after.context.projection_id),
        node_status=with_ending(said.status, said.finish_reason),
        finish_reason=said.finish_reason,
        tool_calls=len(calls) if isinstance(calls, list) else 1 if said.message.get("function_call") else 0,
        system_digest=Digest(before.system.digest()),
        user_digest=Digest(before.user.digest()),
        awaited_projection=before.awaited,
        parent_claim=None,
        replay_claim=None,
    )


def _exchange(
    conversation: Conversation,
    said: ImportedMessage,
    event_id: UUID,
    form: str,
    scope: str,
    moment: int,
    session_name: str | None,
) -> Exchange:
    return Exchange(
        event_id=event_id,
        scope=scope,
        endpoint=_ENDPOINT,
        upstream=f"import:{form}",
        upstream_pin="",
        started_ns=moment,
        first_byte_ns=said.first_byte_ns,
        duration_ns=said.duration_ns,
        request_body=b"",
        status=200,
        response_type="application/json",
        response_encoding="",
        response_body=b"",
        identity=Identity(session=session_name, task=conversation.task, theme=conversation.theme, purpose=PURPOSE),
    )


def _answer(conversation: Conversation, said: ImportedMessage, gap: str, others: list[Any]) -> Answer:
    origin: dict[str, Any] = {"conversation": conversation.key}
    for name, value in (("source", conversation.source), ("message", said.key), ("missing_parent", gap)):
        if value:
            origin[name] = value
    kept = (("conversation_rest", conversation.rest), ("message_rest", said.rest), ("other_messages", others))
    for name, more in kept:
        if more:
            origin[name] = more
    choices = []
    if said.answered:
        choices = [Choice(index=0, message=said.message, finish_reason=said.finish_reason)]
    return Answer(
        choices=choices,
        model=said.model or conversation.model if said.answered else None,
        usage=said.usage,
        error=None,
        rest={"import": origin},
    )


def _judged_turn(said: ImportedMessage, step: TreeMessage) -> TurnId | None:
    return turn_id(step.event_id, 0) if said.answered and said.parent is not None and step.event_id else None


def _feedback_id(judgement: Judgement, said: ImportedMessage, step: TreeMessage) -> UUID:
    turn = _judged_turn(said, step)
    about = turn.bytes if turn else step.context_id + _bytes(said.key)
    who = [_bytes(judgement.annotator)] if judgement.annotator else []
    return uuid_of(digest(b"imported-judgement", about, _bytes(judgement.name), _bytes(judgement.source), *who))


def _feedback(
    judgement: Judgement,
    said: ImportedMessage,
    step: TreeMessage,
    session: SessionId,
    scope: str,
    comparison: str,
) -> Feedback:
    """A judgement as feedback: of a turn, or of the session where it is about a message that no model gave."""
    turn = _judged_turn(said, step)
    of_message = f"message {said.key}" if said.key else None
    return Feedback(
        feedback_id=_feedback_id(judgement, said, step),
        scope=scope,
        turn_id=turn,
        session_id=None if turn else session,
        session_claim=None,
        name=judgement.name if turn else f"{said.message.get('role')}_message_{judgement.name}",
        value=judgement.value,
        comment=judgement.comment if turn else judgement.comment or of_message,
        source=judgement.source,
        imported=True,
        annotator=judgement.annotator,
        given_by=judgement.given_by or judge_of(judgement.source, judgement.annotator),
        comparison=comparison,
        scale=judgement.scale,
    )


def _moment(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _LAST_MOMENT else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
