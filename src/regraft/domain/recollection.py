"""What was digested before, so that a history that is sent again costs a look-up a message instead of a digest.

Nothing depends on it but speed: without it, or with an empty one, the same values come out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NewType

from regraft.domain.context import EMPTY, Context, extend, extend_projection
from regraft.domain.ids import Digest, canonical_json, digest
from regraft.domain.message import projection_digest

MessageBody = NewType("MessageBody", str)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message by its exact digest, with its canonical JSON text."""

    message_id: Digest
    role: str
    body: MessageBody
    projection: Digest


def store_message(message: Any, body: str | None = None) -> StoredMessage:
    """Digest a message both ways. ``body`` is its canonical JSON, if that is known already."""
    text = canonical_json(message) if body is None else body
    role = message.get("role") if isinstance(message, dict) else None
    return StoredMessage(
        digest(text.encode()), role if isinstance(role, str) else "", MessageBody(text), projection_digest(message)
    )


class Recollection:
    """Messages by their canonical text and steps of histories by their parent; forgets the oldest.

    ``characters`` bounds the texts kept, ``steps`` the steps (about 300 bytes each).
    """

    def __init__(self, characters: int = 32 << 20, steps: int = 200_000) -> None:
        self._messages: OrderedDict[str, StoredMessage] = OrderedDict()
        self._steps: OrderedDict[tuple[Digest, Digest], Context] = OrderedDict()
        self._room = characters
        self._most_steps = steps

    def message(self, message: Any) -> StoredMessage:
        """The digests of a message."""
        body = canonical_json(message)
        known = self._messages.get(body)
        if known is None:
            known = self._messages[body] = store_message(message, body)
            self._room -= len(body)
            while self._room < 0:
                forgotten, _ = self._messages.popitem(last=False)
                self._room += len(forgotten)
        return known

    def chain(self, scope: str, messages: Iterable[StoredMessage]) -> list[Context]:
        """Every prefix of a history, shortest first."""
        contexts: list[Context] = []
        exact = projected = EMPTY
        for depth, message in enumerate(messages, start=1):
            # The first step's key holds the scope; every later one's parent does.
            key = (exact or Digest(scope.encode()), message.message_id)
            step = self._steps.get(key)
            if step is None:
                step = self._steps[key] = Context(
                    extend(scope, exact, message.message_id),
                    exact,
                    message.message_id,
                    depth,
                    extend_projection(scope, projected, message.projection),
                )
                if len(self._steps) > self._most_steps:
                    self._steps.popitem(last=False)
            contexts.append(step)
            exact, projected = step.context_id, step.projection_id
        return contexts
