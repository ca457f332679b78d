"""Digests of the system prompts and of the user messages in a history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from regraft.domain.ids import Digest, digest
from regraft.domain.lineage.projection import projection_digest

SYSTEM = frozenset({"system", "developer"})
USER = frozenset({"user"})


def said_by(roles: frozenset[str], messages: Iterable[tuple[str, Digest]]) -> Digest:
    """The digest of what these roles said, from (role, projection) of each message."""
    return digest(*(projection for role, projection in messages if role in roles))


def system_digest(messages: list[Any]) -> Digest:
    """The digest of all system and developer messages, projected."""
    return said_by(SYSTEM, _projected(messages))


def user_digest(messages: list[Any]) -> Digest:
    """The digest of all user messages, projected."""
    return said_by(USER, _projected(messages))


def _projected(messages: list[Any]) -> Iterator[tuple[str, Digest]]:
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        yield (role if isinstance(role, str) else "", projection_digest(message))
