"""A theme: a word that calls name, under which sessions are filed."""

from __future__ import annotations

from uuid import UUID

from regraft.domain.errors import UsageError
from regraft.domain.ids import digest, uuid_of

LONGEST_NAME = 120  # characters of a name that a person gives


def theme_id_of(scope: str, name: str) -> UUID:
    """The id of a tenant's theme of this name."""
    return uuid_of(digest(b"theme", scope.encode(), name.encode()))


def cleaned_name(text: str) -> str:
    """A name that a person gives, its white space made single blanks. Raises UsageError."""
    name = " ".join(text.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"A name has 1 to {LONGEST_NAME} printable characters.")
    return name
