"""Histories read before, so that a history that a client sends again costs a look-up a message instead of a digest.

Only speed depends on it: without it, or with an empty one, the same values come out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any

from regraft.domain.capture.answer import Answer
from regraft.domain.capture.request import LazyMessages, Request, read_fields
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import Digest, canonical_json, parse_json
from regraft.domain.lineage.history import History, ReadHistory, empty_history
from regraft.domain.lineage.message import StoredMessage, store_message
from regraft.domain.lineage.projection import PROJECTION_VERSION
from regraft.domain.lineage.prompt_digests import SYSTEM

_HEADS = 4_096  # requests without their messages: a client sends few different ones


@dataclass(slots=True, eq=False)
class CachedStep:
    """A history, its last message, and the step before. ``saved``: this step and all before it are stored.

    ``prompts``: the exact digests of the system prompts that it begins with.
    """

    history: History
    message: StoredMessage
    before: CachedStep | None
    prompts: tuple[Digest, ...]
    saved: bool = False

    def back(self) -> Iterator[CachedStep]:
        """This step and those before it, last first."""
        step: CachedStep | None = self
        while step:
            yield step
            step = step.before

    def unsaved(self) -> list[CachedStep]:
        """The steps that are not stored yet, first to last."""
        found: list[CachedStep] = []
        for step in self.back():
            if step.saved:
                break
            found.append(step)
        return found[::-1]

    def mark_saved(self) -> list[CachedStep]:
        """Mark the unsaved steps and return them; should storing fail, their mark has to be taken back."""
        found = self.unsaved()
        for step in found:
            step.saved = True
        return found

    def read(self) -> ReadHistory:
        """The history with the messages and contexts that are not stored yet."""
        new = self.unsaved()
        contexts = [step.history.context for step in new] or [self.history.context]
        return ReadHistory(self.history, [step.message for step in new], contexts)


class HistoryCache:
    """Messages and steps of histories, by their text and by their digest. The oldest are dropped first.

    ``characters`` bounds the texts kept, ``steps`` the steps (about 1 KB each). Threads may share it. Everything in it
    was read under one ``version`` of the projection.
    """

    def __init__(self, characters: int = 32 << 20, steps: int = 200_000, version: int = PROJECTION_VERSION) -> None:
        self.version = version
        self._messages: OrderedDict[str | bytes, StoredMessage] = OrderedDict()
        self._steps: OrderedDict[tuple[Digest, bytes], CachedStep] = OrderedDict()
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
        return Request(
            model=head.model,
            messages=LazyMessages(messages),
            tools=head.tools,
            sampling=head.sampling,
            other=head.other,
        )

    def message(self, message: Any) -> StoredMessage:
        """The digests of a message."""
        body = canonical_json(message)
        with self._lock:
            known = self._messages.get(body)
            if known is None:
                known = store_message(message, body, self.version)
                self._remember(body, known)
        return known

    def answers(self, answer: Answer) -> list[StoredMessage | None]:
        """The messages of an answer's choices."""
        return [None if each.message is None else self.message(each.message) for each in answer.choices]

    def history(self, scope: str, messages: Sequence[Any]) -> CachedStep:
        """The last step of a history of at least one message. Raises CorruptEventError for a text that is not JSON."""
        with self._lock:
            step = self._texts(scope, messages.texts) if isinstance(messages, LazyMessages) else None
            for message in () if isinstance(messages, LazyMessages) else messages:
                step = self._next(scope, step, self.message(message))
        if step is None:
            raise CorruptEventError("the history is empty")
        return step

    def _texts(self, scope: str, texts: Iterable[bytes]) -> CachedStep | None:
        step: CachedStep | None = None
        steps = self._steps
        before = _start(scope)
        for text in texts:
            found = steps.get((before, text))
            if found is None:
                found = self._next(scope, step, self._read(text))
                self._keep((before, text), found)
            step, before = found, found.history.context.context_id
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
            dropped, _ = self._messages.popitem(last=False)
            self._room += len(dropped)

    def _next(self, scope: str, before: CachedStep | None, message: StoredMessage) -> CachedStep:
        key = (before.history.context.context_id if before else _start(scope), message.message_id)
        step = self._steps.get(key)
        if step is None:
            past = before.history if before else empty_history(scope, self.version)
            history = past.extend(message.role, message.message_id, message.projection)
            prompts = before.prompts if before else ()
            if len(prompts) == past.context.depth and message.role in SYSTEM:
                prompts = (*prompts, message.message_id)
            step = CachedStep(history, message, before, prompts)
            self._keep(key, step)
        return step

    def _keep(self, key: tuple[Digest, bytes], step: CachedStep) -> None:
        self._steps[key] = step
        if len(self._steps) > 2 * self._most_steps:  # each step has a key by its text and one by its digest
            self._steps.popitem(last=False)


def _start(scope: str) -> Digest:
    """What takes the place of the step before in a first step's key."""
    return Digest(scope.encode())
