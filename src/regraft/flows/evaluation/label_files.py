"""Labels from a CSV or JSONL file into the truth: read each line, find the answer that it names, add the judgement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord, UnreadableLine, records
from regraft.domain.errors import UsageError
from regraft.domain.evaluation.label_lines import (
    LabelDefaults,
    LabelLine,
    Target,
    UnreadableLabelError,
    given_at,
    is_label_line,
    read_label_line,
)
from regraft.domain.ids import digest, uuid_of
from regraft.flows.capture.import_report import ImportCounts
from regraft.infra.files.exports import Part, opened, parts
from regraft.infra.files.json_lines import json_lines
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.evaluation import labels as store
from regraft.infra.postgres.pool import Connection, connect

FORM = "labels"
_BATCH = 2_000  # lines
_KEYS = ("answered_with", "imported_messages", "imported_conversations")
_Line = tuple[int, LabelLine]
Refuse = Callable[[int, str], None]


def is_label_file(path: Path) -> bool:
    """Whether the first record of a file is a line of labels."""
    if not path.is_file():
        return False
    try:
        for part in parts(path)[:1]:
            with opened(part) as file:
                return any(
                    isinstance(each, JsonRecord) and is_label_line(each.value)
                    for each in islice(records(file.pieces), 1)
                )
    except UsageError:  # it cannot be read: the import says why
        return False
    return False


def import_labels(
    dsn: str | None,
    paths: Sequence[Path],
    *,
    scope: str,
    defaults: LabelDefaults,
    counts: ImportCounts | None = None,
    report: Path | None = None,
) -> ImportCounts:
    """Add the labels of files, each line as one or two judgements. Without a DSN lines are only read and counted.

    Lines that cannot be read, or name no answer of the tenant or several, are counted and written to ``report`` with
    the reason. The same labels again add nothing.
    """
    counts = counts or ImportCounts()
    with ExitStack() as stack:
        write = stack.enter_context(json_lines(report)) if report else None
        connection = stack.enter_context(connect(dsn, name="regraft-labels")) if dsn else None
        for path in paths:
            for part in parts(path):
                counts.files += 1
                counts.forms[FORM] = counts.forms.get(FORM, 0) + 1

                def refuse(position: int, reason: str, part: Part = part) -> None:
                    place = f"{part.name} line {position + 1}"
                    counts.refuse(RefusedConversation(place, reason))
                    if write:
                        refused = [{"name": place, "reason": reason}]
                        write({"file": part.name, "format": FORM, "record": position + 1, "refused": refused})

                for lines in _batches(_lines(part, defaults, refuse)):
                    if connection is None:
                        counts.judgements += sum(len(line.judgements) for _, line in lines)
                        continue
                    with connection.transaction():
                        counts.judgements += _store(connection, scope, lines, refuse)
    return counts


def _lines(part: Part, defaults: LabelDefaults, refuse: Refuse) -> Iterator[_Line]:
    with opened(part) as file:
        for each in records(file.pieces):
            if isinstance(each, UnreadableLine):
                refuse(each.position, each.reason)
                continue
            try:
                yield each.position, read_label_line(each.value, defaults)
            except UnreadableLabelError as error:
                refuse(each.position, str(error))


def _batches(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    while batch := list(islice(lines, _BATCH)):
        yield batch


def _store(connection: Connection, scope: str, lines: Sequence[_Line], refuse: Refuse) -> int:
    turns = _turns(connection, scope, {target for _, line in lines for target, _ in line.judgements})
    now = datetime.now(UTC)
    found: list[dict[str, Any]] = []
    for position, line in lines:
        named = [turns.get(target, f"no answer with this {target.kind}") for target, _ in line.judgements]
        missing = next((each for each in named if isinstance(each, str)), None)
        if missing is not None:
            refuse(position, missing)
            continue
        ids = [each for each in named if isinstance(each, UUID)]
        if line.pair and ids[0] == ids[1]:
            refuse(position, "a preference between an answer and itself")
            continue
        together = f"pair {' '.join(sorted(map(str, ids)))}" if line.pair else ""
        found += _rows(line, ids, scope, together, now)
    return store.add_labels(connection, found)


def _rows(line: LabelLine, turns: Sequence[UUID], scope: str, together: str, now: datetime) -> Iterator[dict[str, Any]]:
    for turn, (_, judgement) in zip(turns, line.judgements, strict=True):
        comparison = judgement.comparison or together
        who = (judgement.name, judgement.source, judgement.annotator, comparison, str(line.given_ns or ""))
        meaning = (turn.bytes, *(each.encode("utf-8", "surrogatepass") for each in (*who, repr(judgement.value))))
        yield {
            "feedback_id": uuid_of(digest(b"label", *meaning)),
            "scope": scope,
            "turn_id": turn,
            "name": storable(judgement.name),
            "value": judgement.value,
            "comment": storable(judgement.comment),
            "source": storable(judgement.source),
            "given_at": given_at(line, now),
            "annotator": storable(judgement.annotator or None),
            "given_by": judgement.given_by or None,
            "comparison": storable(comparison or None),
            "scale_low": judgement.scale[0] if judgement.scale else None,
            "scale_high": judgement.scale[1] if judgement.scale else None,
        }


def _turns(connection: Connection, scope: str, targets: set[Target]) -> dict[Target, UUID | str]:
    """The turn of each target, or why there is none. A key is a response's id, an imported message's or an imported
    conversation's, in this order; a conversation means its last answer."""
    found: dict[Target, UUID | str] = {}
    ids = {UUID(each.name): each for each in targets if each.kind != "key"}
    by_id = {row["named"]: row for row in store.named_turns(connection, scope, list(ids))}
    for target in targets:
        if target.kind != "key" and (row := by_id.get(UUID(target.name))):
            found[target] = row["turn_id"]
    waiting = {each.name for each in targets if each.kind == "key"}
    for query in _KEYS:
        if not waiting:
            break
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in store.keyed_turns(connection, query, scope, sorted(key for key in waiting if storable(key) == key)):
            rows[row["named"]].append(row)
        for key, named in rows.items():
            found[Target("key", key)] = _only(named)
            waiting.discard(key)
    return found


def _only(rows: Sequence[dict[str, Any]]) -> UUID | str:
    """The one answer among turns; of a conversation without branches the last."""
    turn: UUID
    if all("context_depth" in row for row in rows):
        depths = [row["context_depth"] for row in rows]
        if len(set(depths)) == len(depths):
            turn = max(rows, key=lambda row: row["context_depth"])["turn_id"]
            return turn
        return "a key of a conversation with several last answers"
    if len({row.get("node_id", row["turn_id"]) for row in rows}) > 1:
        return "a key of several answers"
    turn = min(row["turn_id"] for row in rows)
    return turn
