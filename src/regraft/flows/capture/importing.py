"""Import conversations into the execution log: read, digest, store in batches; stored ones are skipped.

A batch is a transaction of whole conversations, written by a second thread while the next one is read. Ids are
deterministic, so that an import that was cut short continues when it is started again, and importing twice adds
nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any
from uuid import UUID

from regraft.domain.capture.importers import FORMS, Importer, conversations, detected, importer_of, logged_calls
from regraft.domain.capture.importers.conversation import Conversation, RefusedConversation
from regraft.domain.capture.importers.growing import Age, settled, whole_lines
from regraft.domain.capture.importers.records import JsonRecord, UnreadableLine, records
from regraft.domain.errors import UnavailableError, UsageError
from regraft.domain.lineage.imported_calls import Projections, TreeMessage, calls, feedback_ids, steps
from regraft.flows.capture.batch_requests import BatchRequests
from regraft.flows.capture.import_report import ImportCounts, ImportReport
from regraft.flows.capture.ingest import SeenIds
from regraft.flows.lineage import build as lineage
from regraft.infra.files.exports import LINES, Part, beside, opened, parts
from regraft.infra.files.json_lines import json_lines
from regraft.infra.files.request_index import RequestIndex
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.postgres.capture import imports as store
from regraft.infra.postgres.capture import inbox
from regraft.infra.postgres.lineage import projection
from regraft.infra.postgres.pool import Connection, connect
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import CallsImported

_BATCH_MESSAGES = 4_000
_BATCH_CHARACTERS = 8_000_000
_LOOKED_AT = 100  # records in which the format of a file is searched for
DEFAULT_SCOPE = "default"


Progress = Callable[[ImportCounts, int], None]  # after each batch: counts, and packed bytes read


def import_files(
    dsn: str | None,
    paths: Sequence[Path],
    *,
    form: str | None = None,
    theme: str | None = None,
    scope: str = DEFAULT_SCOPE,
    progress: Progress | None = None,
    build: bool = True,
    report: Path | None = None,
    growing: Mapping[Path, Age] | None = None,
    requests: Sequence[Path] = (),
) -> ImportCounts:
    """Import files, then place their turns in the graph. Without a DSN only count: nothing is read or written there.
    ``report`` is a file to write a line of JSON to for each conversation, while they are read. ``growing`` says
    how long ago each file changed, where files are watched: then ends that are not closed wait (``settled``).
    ``requests`` are files with the requests of batches, for files with their answers; without them requests are looked
    for among the files, and beside them.

    Raises UsageError when no file holds anything of a known format.
    """
    chosen = importer_of(form) if form else None
    files = list(dict.fromkeys(part for path in paths for part in parts(path)))
    counts = ImportCounts()
    with ExitStack() as stack:
        stack.enter_context(reduced_garbage_collection())
        told = ImportReport(counts, stack.enter_context(json_lines(report)) if report else None)
        if dsn is None:
            sink: _Sink = _Counting(counts, scope, progress)
        else:
            reading = stack.enter_context(connect(dsn, autocommit=True, name="regraft-import"))
            writing = stack.enter_context(connect(dsn, name="regraft-import"))
            sink = stack.enter_context(_Storing(reading, writing, counts, scope, progress))
        batches = None
        if requests and form not in (None, logged_calls.FORM):
            raise UsageError(f"--requests is for answers of batches, which are of the format {logged_calls.FORM}.")
        if growing is None and form in (None, logged_calls.FORM):
            batches = BatchRequests(files, requests, stack.enter_context(RequestIndex()))
            files = batches.ordered(files)
        _read_all(files, chosen, theme, told, sink, growing, batches)
    if dsn is not None and build:
        counts.placed = lineage.build(dsn).turns
    return counts


def _read_all(
    files: list[Part],
    chosen: Importer | None,
    theme: str | None,
    report: ImportReport,
    sink: _Sink,
    growing: Mapping[Path, Age] | None,
    batches: BatchRequests | None,
) -> None:
    done = 0
    counts = report.counts
    for part in files:
        try:
            _read(part, chosen, theme, report.begin(part.name), sink, done, growing, batches)
        except UsageError as error:  # the rest of this file is lost; the others are not
            report.refuse(RefusedConversation(part.name, str(error)))
        counts.files += 1
        done += part.packed_bytes
        sink.done = done
    for name, missing in batches.missing() if batches else ():
        report.begin(name, logged_calls.FORM).refuse(missing)
    if not counts.forms and not counts.recognised and growing is None:
        named = (f"{reason} ({', '.join(names)})" for reason, names in counts.refused_names.items())
        reasons = "; ".join(named) or "the files are empty"
        raise UsageError(f"Nothing could be imported: {reasons}. Name the format with --format: {', '.join(FORMS)}.")


def _read(
    part: Part,
    chosen: Importer | None,
    theme: str | None,
    report: ImportReport,
    sink: _Sink,
    done: int,
    growing: Mapping[Path, Age] | None,
    batches: BatchRequests | None,
) -> None:
    head = _head(part)
    with opened(part) as file:
        half = growing is not None and growing.get(part.path) != "settled" and part.path.suffix in LINES
        found = records(whole_lines(file.pieces) if half else file.pieces)
        if batches is not None:
            found = batches.joined(part, found)
        ahead, importer = _recognised(found, chosen, head)
        if not ahead:
            return
        if importer is None:
            for each in ahead:
                if isinstance(each, UnreadableLine):
                    report.refuse(
                        RefusedConversation(f"{part.name} line {each.position + 1}", each.reason), each.position
                    )
            if any(isinstance(each, JsonRecord) for each in ahead):
                report.refuse(RefusedConversation(part.name, "a file of no known format"))
            return
        report.begin(part.name, importer.form)
        report.counts.recognised += 1
        if importer.beside and (companion := beside(part, importer.beside[0])):
            head = {**head, **_beside(companion, importer)}
        everything: Iterator[JsonRecord | UnreadableLine] = chain(ahead, found)
        if head:
            everything = (
                replace(each, head={**each.head, **head}) if isinstance(each, JsonRecord) else each
                for each in everything
            )
        for position, one in conversations(importer, everything):
            if isinstance(one, RefusedConversation):
                report.refuse(one, position)
                continue
            if growing is not None and importer.gather is not None:
                left = settled(one, growing.get(part.path, "settled"))
                if left is None:
                    continue
                one = left
            report.read(one, position)
            sink.done = done + min(file.done(), part.packed_bytes)
            sink.add(replace(one, theme=theme) if theme else one, importer.form, position)


def _head(part: Part) -> dict[str, Any]:
    if part.head is None:
        return {}
    with opened(part, part.head) as file:
        for record in records(file.pieces):
            if isinstance(record, JsonRecord) and isinstance(record.value, dict):
                return record.value
    return {}


def _beside(companion: Part, importer: Importer) -> dict[str, Any]:
    assert importer.beside is not None
    with opened(companion) as file:
        return importer.beside[1](each for each in records(file.pieces) if isinstance(each, JsonRecord))


def _recognised(
    found: Iterator[JsonRecord | UnreadableLine], chosen: Importer | None, head: dict[str, Any]
) -> tuple[list[JsonRecord | UnreadableLine], Importer | None]:
    """What was read to find the importer that knows a file's records, and that importer: the first may be odd ones."""
    ahead: list[JsonRecord | UnreadableLine] = []
    for each in islice(found, _LOOKED_AT):
        ahead.append(each)
        known = chosen
        if isinstance(each, JsonRecord) and not known:
            known = detected(replace(each, head=head or each.head))
        if known:
            return ahead, known
    return ahead, None


class _Sink(ABC):
    """Where conversations go; ``done`` is how many packed bytes were read for them."""

    def __init__(self, counts: ImportCounts, scope: str, progress: Progress | None) -> None:
        self.counts = counts
        self.scope = scope
        self.progress = progress
        self.done = 0

    @abstractmethod
    def add(self, conversation: Conversation, form: str, position: int) -> None:
        """Take one conversation."""

    def count(self, conversation: Conversation, tree: list[TreeMessage]) -> None:
        """Add a conversation to the counts."""
        counts, said = self.counts, conversation.said
        answered = sum(each.answered and each.parent is not None for each in said)
        ends = len(said) - len({each.parent for each in said if each.parent is not None})
        counts.conversations += 1
        counts.messages += len(said)
        counts.calls += answered
        counts.branches += ends
        counts.unanswered += sum(step.event_id is not None for step in tree) - answered


class _Counting(_Sink):
    """Counts, and stores nothing."""

    def add(self, conversation: Conversation, form: str, position: int) -> None:
        self.count(conversation, steps(conversation, form, self.scope))
        self.counts.judgements += sum(len(each.judgements) for each in conversation.said)
        if self.progress and self.counts.conversations % 100 == 0:
            self.progress(self.counts, self.done)


@dataclass(frozen=True, slots=True)
class _Waiting:
    conversation: Conversation
    tree: list[TreeMessage]
    form: str
    position: int


class _Storing(_Sink):
    """Collects batches and stores them one after the other."""

    def __init__(
        self, reading: Connection, writing: Connection, counts: ImportCounts, scope: str, progress: Progress | None
    ) -> None:
        super().__init__(counts, scope, progress)
        self._reading, self._writing = reading, writing
        self._waiting: list[_Waiting] = []
        self._messages = self._characters = 0
        self._version = projection.held(reading)
        self._projections = Projections(version=self._version)
        self._seen = SeenIds()
        self._writer = ThreadPoolExecutor(1, "regraft-import")
        self._running: Future[tuple[int, int]] | None = None

    def __enter__(self) -> _Storing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                self._finish()
        finally:
            self._writer.shutdown(wait=True)

    def add(self, conversation: Conversation, form: str, position: int) -> None:
        tree = steps(conversation, form, self.scope)
        self.count(conversation, tree)
        self._waiting.append(_Waiting(conversation, tree, form, position))
        self._messages += len(tree)
        self._characters += sum(len(step.body) for step in tree)
        if self._messages >= _BATCH_MESSAGES or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._messages, self._characters = self._waiting, [], 0, 0
        if not waiting:
            return
        events = {step.event_id for each in waiting for step in each.tree if step.event_id}
        judged = {one for each in waiting for one in feedback_ids(each.conversation, each.tree)}
        known = store.known_calls(self._reading, events) | store.known_feedback(self._reading, judged)
        batch = inbox.InboxBatch(version=self._version)
        forms: dict[UUID, str] = {}
        for each in waiting:
            wanted = {step.event_id for step in each.tree if step.event_id}
            if known.issuperset(wanted) and known.issuperset(feedback_ids(each.conversation, each.tree)):
                self.counts.already += 1
            else:
                self._fill(batch, each, known, forms)
        self._finish()
        batch.messages = {key: value for key, value in batch.messages.items() if key not in self._seen}
        batch.contexts = {key: value for key, value in batch.contexts.items() if key not in self._seen}
        self._running = self._writer.submit(self._store, batch, forms)

    def _fill(self, batch: inbox.InboxBatch, each: _Waiting, known: set[UUID], forms: dict[UUID, str]) -> None:
        """Add what of a conversation is not known, and know it: a second one in the same batch is the same. ``forms``
        gets the format of each call."""
        for call in calls(each.conversation, each.tree, each.form, self.scope, each.position, self._projections):
            if call.exchange.event_id in known:
                batch.messages.update((message.message_id, message) for message in call.capture.messages)
                batch.contexts.update((context.context_id, context) for context in call.capture.contexts)
            else:
                known.add(call.exchange.event_id)
                forms[call.exchange.event_id] = each.form
                batch.add(call.exchange, call.request, call.answer, call.capture)
            for given in call.feedback:
                if given.feedback_id not in known:
                    known.add(given.feedback_id)
                    batch.add_feedback(given, call.exchange)

    def _store(self, batch: inbox.InboxBatch, forms: Mapping[UUID, str]) -> tuple[int, int]:
        with self._writing.transaction():
            if projection.held(self._writing) != self._version:
                raise UnavailableError(
                    "The log was switched to another projection during this import. Import the files again: what is "
                    "stored already is skipped."
                )
            inbox.prepare(self._writing)
            stored = inbox.store(self._writing, batch)
        self._seen.add([*batch.messages, *batch.contexts])
        for form, number in Counter(forms[each] for each in stored.events).items():
            emit(CallsImported(format=form, calls=number))
        return stored.turns, len(batch.feedback)

    def _finish(self) -> None:
        """Wait for the batch that is being written."""
        if self._running is None:
            return
        running, self._running = self._running, None
        turns, judgements = running.result()
        self.counts.turns += turns
        self.counts.judgements += judgements
        if self.progress:
            self.progress(self.counts, self.done)
