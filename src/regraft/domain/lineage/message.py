"""A message as the log stores it: once, under the digest of its canonical JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NewType

from regraft.domain.ids import Digest, canonical_json, digest
from regraft.domain.lineage.fingerprints import anchors_of
from regraft.domain.lineage.projection import PROJECTION_VERSION, projection_digest

MessageBody = NewType("MessageBody", str)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message by its exact digest, with its canonical JSON text and the digest of its projection."""

    message_id: Digest
    role: str
    body: MessageBody
    projection: Digest
    anchors: tuple[int, ...] = ()


def store_message(message: Any, body: str | None = None, version: int = PROJECTION_VERSION) -> StoredMessage:
    """Digest a message both ways. ``body`` is its canonical JSON, if that is known already; ``version`` the
    projection's."""
    text = canonical_json(message) if body is None else body
    role = message.get("role") if isinstance(message, dict) else None
    return StoredMessage(
        digest(text.encode()),
        role if isinstance(role, str) else "",
        MessageBody(text),
        projection_digest(message, version),
        anchors_of(message),
    )
