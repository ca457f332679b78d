"""The requests of batches, for the answers that name them: found in the files given, or beside the answers' file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from itertools import islice
from pathlib import Path

from regraft.domain.capture.importers import batch_files
from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord, UnreadableLine, records
from regraft.domain.capture.importers.values import mapping, mappings
from regraft.domain.errors import NotFoundError, UsageError
from regraft.infra.files.exports import Part, is_json, opened, parts
from regraft.infra.files.request_index import RequestIndex

_LOOKED_AT = 20  # records in which it shows that a file is of a batch
_MARKS = ('"custom_id"', '"key"')


class _Kind(Enum):
    REQUESTS = "requests"
    ANSWERS = "answers"


Records = Iterator[JsonRecord | UnreadableLine]


class BatchRequests:
    """Joins the answers of batches with their requests. ``named`` are the files of requests that the user names;
    without them requests are searched in ``files``, and in the folders of the answers.

    Raises UsageError for named files without requests, or without an answer to join them with.
    """

    def __init__(self, files: Sequence[Part], named: Sequence[Path], index: RequestIndex) -> None:
        self._index = index
        self._kinds = {part: kind for part in files if (kind := _kind(part)) is not None}
        answers = [part for part, kind in self._kinds.items() if kind is _Kind.ANSWERS]
        if named and not answers:
            raise UsageError("--requests names the requests of a batch, but no file contains answers of a batch.")
        if named:
            sources = [part for path in named for part in parts(path)]
        elif answers:
            given = [part for part, kind in self._kinds.items() if kind is _Kind.REQUESTS]
            sources = [*given, *_beside(answers, set(files))]
        else:
            sources = []
        self._own = {_name(part) for part in files}
        for part in sources:
            if not self._add(part) and named:
                raise UsageError(f"{part.name} contains no requests of a batch.")

    def ordered(self, files: Sequence[Part]) -> list[Part]:
        """The files with those of requests last: by then it is known which were answered."""
        return sorted(files, key=lambda part: self._kinds.get(part) is _Kind.REQUESTS)

    def joined(self, part: Part, found: Records) -> Records:
        """The records of a file: answers with their requests, and of requests those that have no answer."""
        kind = self._kinds.get(part)
        if kind is _Kind.ANSWERS:
            return (self._answer(each) if isinstance(each, JsonRecord) else each for each in found)
        return self._unanswered(part, found) if kind is _Kind.REQUESTS else found

    def missing(self) -> Iterator[tuple[str, RefusedConversation]]:
        """Requests without an answer, of files that are not imported themselves but were joined with answers; with the
        names of these files."""
        for key, source in self._index.unused():
            if source not in self._own and self._index.is_source_used(source):
                yield Path(source).name, RefusedConversation(key, batch_files.UNANSWERED)

    def _answer(self, record: JsonRecord) -> JsonRecord:
        key = batch_files.answer_id(record.value)
        if key is None:
            return record
        try:
            request = self._index.use(key)
        except KeyError:
            return replace(record, head={**record.head, batch_files.SEVERAL: True})
        return record if request is None else replace(record, value=batch_files.joined(record.value, request))

    def _unanswered(self, part: Part, found: Records) -> Records:
        known = self._index.is_source_used(_name(part))
        for record in found:
            if isinstance(record, UnreadableLine):
                yield record
                continue
            for line in _lines(record):
                key = batch_files.request_id(line.value)
                if key is None or not known:
                    yield line
                elif not self._index.is_used(key):
                    yield replace(line, head={**line.head, batch_files.MISSING: True})

    def _add(self, part: Part) -> bool:
        some = False
        with opened(part) as file:
            for record in records(file.pieces):
                for line in _lines(record) if isinstance(record, JsonRecord) else ():
                    key = batch_files.request_id(line.value)
                    if key is not None:
                        some = True
                        self._index.add(key, line.value, _name(part))
        return some


def _lines(record: JsonRecord) -> Iterator[JsonRecord]:
    """The record, or the requests in it where it is the body of the call that makes a batch of them."""
    listed = mappings(mapping(record.value).get("requests"))
    if listed and all(batch_files.request_id(each) is not None for each in listed):
        yield from (replace(record, position=record.position + at, value=each) for at, each in enumerate(listed))
    else:
        yield record


def _kind(part: Part) -> _Kind | None:
    """What of a batch a file holds. Looks at its first piece, and reads records only where it may be of one."""
    if part.problem or not is_json(part):
        return None
    try:
        with opened(part) as file:
            first = next(file.pieces, "")
            if not any(mark in first for mark in _MARKS):
                return None
        with opened(part) as file:
            for record in islice(records(file.pieces), _LOOKED_AT):
                for line in _lines(record) if isinstance(record, JsonRecord) else ():
                    if batch_files.request_id(line.value) is not None:
                        return _Kind.REQUESTS
                    if batch_files.answer_id(line.value) is not None:
                        return _Kind.ANSWERS
    except UsageError:  # it is said where the file is imported
        return None
    return None


def _beside(answers: Sequence[Part], given: set[Part]) -> list[Part]:
    """Files of requests in the folders of answers, without those that are given."""
    names = {_name(part) for part in given}
    found = []
    for folder in dict.fromkeys(part.path.parent for part in answers):
        for path in sorted(folder.iterdir()):
            if not path.is_file():
                continue
            try:
                listed = parts(path)
            except NotFoundError:
                continue
            found += [part for part in listed if _name(part) not in names and _kind(part) is _Kind.REQUESTS]
    return found


def _name(part: Part) -> str:
    return f"{part.path.resolve()}{'!' if part.member else ''}{part.member or ''}"
