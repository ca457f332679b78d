"""What was read before, so that a history that is sent again costs a look-up a message instead of a digest.

Nothing depends on it but speed: without it, or with an empty one, the same values come out.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any, NewType

from regraft.domain.capture.request import Request, Slices, read_fields
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import Digest, canonical_json, digest, further, no_parts, parse_json
from regraft.domain.lineage.fingerprints import anchors_of
from regraft.domain.lineage.history import EMPTY, Context, extend, extend_projection
from regraft.domain.lineage.projection import PROJECTION_VERSION, projection_digest
from regraft.domain.lineage.prompt_digests import SYSTEM, USER

MessageBody = NewType("MessageBody", str)
_HEADS = 4_096  # requests without their messages: a client sends few different ones


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message by its exact digest, with its canonical JSON text and what it can be recognised by elsewhere."""

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


@dataclass(slots=True, eq=False)
class Step:
    """The end of a history: its last message, the step before, and what follows from all of them.

    ``system`` and ``user`` have taken in what these roles said (``said_by``).
    ``asked`` says that somebody spoke who is neither the model nor an instruction. ``opening`` is the history up to the
    first answer after that (a greeting that every conversation begins with opens none), ``awaited`` up to the last
    answer; None where there is no such answer.
    ``kept`` says that this step and all before it were handed on for storing.
    """

    context: Context
    message: StoredMessage
    before: Step | None
    system: hashlib.blake2b
    user: hashlib.blake2b
    asked: bool
    opening: Digest | None
    awaited: Digest | None
    kept: bool = False

    def back(self) -> Iterator[Step]:
        """This step and those before it, last first."""
        step: Step | None = self
        while step:
            yield step
            step = step.before

    def new(self) -> list[Step]:
        """The steps that were not handed on yet, first to last."""
        found: list[Step] = []
        for step in self.back():
            if step.kept:
                break
            found.append(step)
        return found[::-1]

    def hand_on(self) -> list[Step]:
        """Call them handed on, and return them: should storing fail, ``kept`` is to be taken back."""
        found = self.new()
        for step in found:
            step.kept = True
        return found


class Recollection:
    """Messages and steps of histories, by their text and by their digest; forgets the oldest.

    ``characters`` bounds the texts kept, ``steps`` the steps (about 1 KB each). Threads may share it. ``version`` is
    that of the projection which all of it was read under.
    """

    def __init__(self, characters: int = 32 << 20, steps: int = 200_000, version: int = PROJECTION_VERSION) -> None:
        self.version = version
        self._messages: OrderedDict[str | bytes, StoredMessage] = OrderedDict()
        self._steps: OrderedDict[tuple[Digest, bytes], Step] = OrderedDict()
        self._heads: OrderedDict[tuple[tuple[str, bytes], ...], Request] = OrderedDict()
        self._lock = RLock()
        self._room = characters
        self._most_steps = steps

    def request(self, fields: Mapping[str, bytes], messages: list[bytes]) -> Request:
        """A chat request cut into the texts of its fields and of its messages. Raises CorruptEventError."""
        key = tuple(fields.items())
        with self._lock:
            head = self._heads.get(key)
            if head is None:
                head = self._heads[key] = read_fields(fields)
                if len(self._heads) > _HEADS:
                    self._heads.popitem(last=False)
        return replace(head, messages=Slices(messages))

    def message(self, message: Any) -> StoredMessage:
        """The digests of a message."""
        body = canonical_json(message)
        with self._lock:
            known = self._messages.get(body)
            if known is None:
                known = store_message(message, body, self.version)
                self._remember(body, known)
        return known

    def history(self, scope: str, messages: Sequence[Any]) -> Step:
        """The last step of a history of at least one message. Raises CorruptEventError for a text that is no JSON."""
        with self._lock:
            step = self._texts(scope, messages.texts) if isinstance(messages, Slices) else None
            for message in () if isinstance(messages, Slices) else messages:
                step = self._next(scope, step, self.message(message))
        if step is None:
            raise CorruptEventError("the history is empty")
        return step

    def _texts(self, scope: str, texts: Iterable[bytes]) -> Step | None:
        step: Step | None = None
        steps = self._steps
        before = _start(scope)
        for text in texts:
            found = steps.get((before, text))
            if found is None:
                found = self._next(scope, step, self._read(text))
                self._keep((before, text), found)
            step, before = found, found.context.context_id
        return step

    def _read(self, text: bytes) -> StoredMessage:
        known = self._messages.get(text)
        if known is None:
            try:
                known = self.message(parse_json(text))
            except ValueError as error:
                raise CorruptEventError(f"a message of the request is not JSON: {error}") from error
            self._remember(text, known)
        return known

    def _remember(self, text: str | bytes, message: StoredMessage) -> None:
        self._messages[text] = message
        self._room -= len(text)
        while self._room < 0:
            forgotten, _ = self._messages.popitem(last=False)
            self._room += len(forgotten)

    def _next(self, scope: str, before: Step | None, message: StoredMessage) -> Step:
        key = (before.context.context_id if before else _start(scope), message.message_id)
        step = self._steps.get(key)
        if step is None:
            step = _step(scope, before, message, self.version)
            self._keep(key, step)
        return step

    def _keep(self, key: tuple[Digest, bytes], step: Step) -> None:
        self._steps[key] = step
        if len(self._steps) > 2 * self._most_steps:  # each step has a key by its text and one by its digest
            self._steps.popitem(last=False)


def _start(scope: str) -> Digest:
    """What stands in a first step's key for the step before."""
    return Digest(scope.encode())


def _step(scope: str, before: Step | None, message: StoredMessage, version: int) -> Step:
    past = before.context if before else None
    context = Context(
        extend(scope, past.context_id if past else EMPTY, message.message_id),
        past.context_id if past else EMPTY,
        message.message_id,
        past.depth + 1 if past else 1,
        extend_projection(scope, past.projection_id if past else EMPTY, message.projection, version),
    )
    answered = message.role == "assistant"
    asked, opening = (before.asked, before.opening) if before else (False, None)
    if opening is None and answered and (asked or version == 1):
        opening = past.projection_id if past else context.projection_id
    system, user = (before.system, before.user) if before else (no_parts(), no_parts())
    return Step(
        context=context,
        message=message,
        before=before,
        system=further(system, message.projection) if message.role in SYSTEM else system,
        user=further(user, message.projection) if message.role in USER else user,
        asked=asked or not (answered or message.role in SYSTEM),
        opening=opening,
        awaited=context.projection_id if answered else before.awaited if before else None,
    )
