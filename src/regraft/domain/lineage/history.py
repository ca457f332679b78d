"""A history, folded message by message into the ids that decide where a call belongs.

A context is a parent context and one more message: ``id(c) = H(version, scope, id(parent), digest(message))``, kept for
two digests of the message, exact and projected. The hash covers the scope (the tenant), so that two people who both say
"hi" never share a tree, and the version of the projection.

Captured calls, imported conversations and derivations of a stored log all fold their histories here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import Digest, NodeId, SessionId, digest, further, no_parts, uuid_of
from regraft.domain.lineage.message import StoredMessage, store_message
from regraft.domain.lineage.projection import PROJECTION_VERSION
from regraft.domain.lineage.prompt_digests import SYSTEM, USER

_EXACT = b"exact-1"
EMPTY = Digest(b"")


@dataclass(frozen=True, slots=True)
class Context:
    """A history of ``depth`` messages ending in ``message_id``; its parent is ``b""`` for the first message."""

    context_id: Digest
    parent_id: Digest
    message_id: Digest
    depth: int
    projection_id: Digest


def extend(scope: str, parent: Digest, message: Digest) -> Digest:
    """The exact id of ``parent`` and one more message."""
    return digest(_EXACT, scope.encode(), parent, message)


def extend_projection(scope: str, parent: Digest, projection: Digest, version: int = PROJECTION_VERSION) -> Digest:
    """The joining id of ``parent`` and one more message, under a version of the projection."""
    return digest(b"projected-%d" % version, scope.encode(), parent, projection)


@dataclass(slots=True, eq=False)
class History:
    """A history up to its last message.

    ``asked``: a message came that is neither the model's nor an instruction. ``opening`` is the joining id of
    everything before the first answer after that (a greeting that begins every conversation opens none; in version 1 of
    the projection the first answer ends the opening in any case). ``awaited`` is the joining id of the history up to
    its last answer. Each is None where there is no such answer. ``system`` and ``user`` digest what these roles said
    (``prompt_digests.said_by``).
    """

    scope: str
    version: int
    context: Context
    asked: bool
    opening: Digest | None
    awaited: Digest | None
    system: hashlib.blake2b
    user: hashlib.blake2b

    def extend(
        self,
        role: str,
        message_id: Digest,
        projection: Digest,
        context_id: Digest | None = None,
        projection_id: Digest | None = None,
    ) -> History:
        """This history and one more message. ``context_id`` is the exact id, where it is known already, and
        ``projection_id`` the joining id, where the message was erased and it cannot be derived any more."""
        before = self.context
        here = Context(
            extend(self.scope, before.context_id, message_id) if context_id is None else context_id,
            before.context_id,
            message_id,
            before.depth + 1,
            projection_id or extend_projection(self.scope, before.projection_id, projection, self.version),
        )
        answered, instructed = role == "assistant", role in SYSTEM
        opening = self.opening
        if opening is None and answered and (self.asked or self.version == 1):
            opening = before.projection_id or here.projection_id
        return History(
            self.scope,
            self.version,
            here,
            self.asked or not (answered or instructed),
            opening,
            here.projection_id if answered else self.awaited,
            further(self.system, projection) if instructed else self.system,
            further(self.user, projection) if role in USER else self.user,
        )


def empty_history(scope: str, version: int = PROJECTION_VERSION) -> History:
    """The history that every other one extends."""
    return History(scope, version, Context(EMPTY, EMPTY, EMPTY, 0, EMPTY), False, None, None, no_parts(), no_parts())


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """A history and what of it is to be stored: messages, and contexts whose last is the history's own."""

    history: History
    messages: list[StoredMessage]
    contexts: list[Context]


def read_history(scope: str, messages: Sequence[Any], version: int = PROJECTION_VERSION) -> ReadHistory:
    """Fold the messages of a call. Raises CorruptEventError when there are none."""
    if not messages:
        raise CorruptEventError("the history is empty")
    history = empty_history(scope, version)
    stored_messages: list[StoredMessage] = []
    contexts: list[Context] = []
    for message in messages:
        stored = store_message(message, version=version)
        history = history.extend(stored.role, stored.message_id, stored.projection)
        stored_messages.append(stored)
        contexts.append(history.context)
    return ReadHistory(history, stored_messages, contexts)


def session_by_opening(scope: str, opening: Digest) -> SessionId:
    """The session of a conversation without a name, identified by its opening."""
    return SessionId(uuid_of(digest(b"session-by-opening", scope.encode(), opening)))


def session_by_named_opening(scope: str, opening: Digest, session: str, agent: str) -> SessionId:
    """The session of a conversation that its client, or one of its agents, named.

    Equal openings under different names are different sessions, and so are different openings under one name.
    """
    names = [name.encode("utf-8", "surrogatepass") for name in (session, agent)]
    return SessionId(uuid_of(digest(b"session-by-named-opening", scope.encode(), opening, *names)))


def session_by_name(scope: str, name: str) -> SessionId:
    """The session that a client named."""
    return SessionId(uuid_of(digest(b"session-by-name", scope.encode(), name.encode("utf-8", "surrogatepass"))))


def root_of(session: SessionId) -> NodeId:
    """A session's root: the empty history, which is the parent of every first turn."""
    return NodeId(uuid_of(digest(b"root", session.bytes)))


def node_of(session: SessionId, after_answer: Digest) -> NodeId:
    """The node that a history together with its answer is: equal answers to equal histories are one node."""
    return NodeId(uuid_of(digest(b"node", session.bytes, after_answer)))
