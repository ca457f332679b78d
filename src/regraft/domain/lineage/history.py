"""The Merkle chain of a history: a context is a parent context and one more message.

    id(c) = H(version, scope, id(parent), digest(message))

kept for two digests of the message, exact and projected. Scope (the tenant) is in the hash, so that two people who
both say "hi" never share a tree; and so is the projection's version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from regraft.domain.ids import Digest, NodeId, SessionId, digest, uuid_of
from regraft.domain.lineage.projection import PROJECTION_VERSION

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


def chain(scope: str, messages: Iterable[tuple[Digest, Digest]], version: int = PROJECTION_VERSION) -> list[Context]:
    """Every prefix of a history, shortest first, from (exact, projected) message digests."""
    contexts: list[Context] = []
    exact = projected = EMPTY
    for depth, (message, projection) in enumerate(messages, start=1):
        parent = exact
        exact = extend(scope, parent, message)
        projected = extend_projection(scope, projected, projection, version)
        contexts.append(Context(exact, parent, message, depth, projected))
    return contexts


def session_by_opening(scope: str, opening: Digest) -> SessionId:
    """The session of a conversation that nobody named: its opening (all before the first answer) names it."""
    return SessionId(uuid_of(digest(b"session-by-opening", scope.encode(), opening)))


def session_by_name(scope: str, name: str) -> SessionId:
    """The session that a client named."""
    return SessionId(uuid_of(digest(b"session-by-name", scope.encode(), name.encode("utf-8", "surrogatepass"))))


def root_of(session: SessionId) -> NodeId:
    """A session's root: the empty history, from which every first turn grows."""
    return NodeId(uuid_of(digest(b"root", session.bytes)))


def node_of(session: SessionId, after_answer: Digest) -> NodeId:
    """The node that a history together with its answer is: equal answers to equal histories are one node."""
    return NodeId(uuid_of(digest(b"node", session.bytes, after_answer)))
