"""What a row says, and digests of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import is_
from typing import Any

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.kind import PlannedRow
from regraft.domain.datasets.messages import Message, RowRefusal, compact, text_of
from regraft.domain.datasets.recipe import Content
from regraft.domain.datasets.rows import LAST_ONLY, PREFILL_JOINED, Row, RowSource
from regraft.domain.datasets.tools import unlisted_call
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.ids import Digest, canonical_json, digest, further, no_parts

LISTS = (
    "messages",
    "prompt",
    "completion",
    "chosen",
    "rejected",
    "alternate",
)  # the fields of a row that hold messages
_CERTIFICATE = ("label", "stratum", "negative", "evidence")  # texts that the first snapshots did not have


def compose(planned: PlannedRow, turns: Mapping[str, RecordedTurn], content: Content) -> Row | RowRefusal:
    """The row of a plan, from recorded turns by id; or why the turns make no row of this kind."""
    by_part: dict[str, RecordedTurn] = {}
    for part, turn_id in planned.turns.items():
        turn = turns.get(turn_id)
        if turn is None:
            return RowRefusal("source_gone", f"the turn {turn_id} is not in the execution log")
        if turn.refusal:
            return turn.refusal
        by_part[part] = _kept(turn, content)
    first = next(iter(by_part.values()))
    row = Row(
        row_id=planned.row_id,
        kind=planned.kind,
        session_id=first.session_id,
        sources=tuple(RowSource(part, turn.node_id, planned.turns[part]) for part, turn in by_part.items()),
        tools=first.tools,
        tools_digest=first.tools_digest,
        anchor=planned.anchor,
        label=planned.label,
        label_source=planned.label_source,
        margin=planned.margin,
        score=planned.score,
        stratum=planned.stratum,
        negative=planned.negative,
        evidence=planned.evidence,
        agreement=planned.agreement,
        notes=_notes(by_part.values(), content),
    )
    filled = KINDS[planned.kind].fill(row, by_part)
    if isinstance(filled, RowRefusal) or content.unlisted_tools == "keep":
        return filled
    return unlisted_call((message for name in LISTS for message in getattr(filled, name)), filled.tools) or filled


def _notes(turns: Iterable[RecordedTurn], content: Content) -> tuple[str, ...]:
    joined = (PREFILL_JOINED,) if any(turn.joined_prefill for turn in turns) else ()
    return (*joined, LAST_ONLY) if content.learn == "last" else joined


def _kept(turn: RecordedTurn, content: Content) -> RecordedTurn:
    """The turn with what the recipe wants of its messages."""
    models = turn.models or ("",) * len(turn.history)
    history = tuple(
        _message(message, content, learned=_is_learned(content, model, last=False))
        for message, model in zip(turn.history, models, strict=True)
    )
    learned = _is_learned(content, turn.model, last=True)
    answer = tuple(_message(one, content, learned=learned) for one in turn.answer)
    unchanged = all(map(is_, history, turn.history)) and all(map(is_, answer, turn.answer))
    return turn if unchanged else replace(turn, history=history, answer=answer)


def _is_learned(content: Content, model: str, *, last: bool) -> bool:
    if content.learn == "models":
        return model in content.learn_models
    return last or content.learn == "all"


def _message(message: Message, content: Content, *, learned: bool) -> Message:
    changed: Message = {}
    if message["reasoning"] is not None and not content.reasoning:
        changed["reasoning"] = None
    if message["role"] == "developer" and content.developer == "system":
        changed["role"] = "system"
    if message["role"] == "assistant" and not learned:
        changed["weight"] = 0.0
    return {**message, **changed} if changed else message


def illegal(row: Row) -> RowRefusal | None:
    """Why no target may train on the row; None when it is legal. What one format cannot express is not considered."""
    return KINDS[row.kind].illegal(row)


def parts_of(row: Row) -> dict[str, Any]:
    """What a trainer sees of a row: its columns of messages, its label where it has one, and its tools."""
    label = {"label": row.label} if row.label is not None else {}
    return {**{name: list(getattr(row, name)) for name in KINDS[row.kind].columns}, **label, "tools": row.tools}


def all_messages(row: Row) -> list[Message]:
    """Every message of a row, in the order in which a trainer reads them; the rejected side comes last."""
    return [message for name in LISTS for message in getattr(row, name)]


def _said(messages: Iterable[Message]) -> bytes:
    """Messages without the ids that differ between two copies of one conversation, as parts that do not run
    together."""
    parts: list[str] = []
    for message in messages:
        parts += (message["role"], text_of(message).strip())
        for call in message["tool_calls"]:
            parts += ("call", call["function"]["name"], "".join(call["function"]["arguments"].split()))
    return "".join(f"{len(part)}:{part}" for part in parts).encode()


def content_keys(row: Row) -> tuple[str, str]:
    """Digests of the prompt and of the whole row, without ids: rows that share one belong to one split."""
    sides = [_said(getattr(row, name)) for name in KINDS[row.kind].columns]
    prompt = _said(KINDS[row.kind].prompt(row))
    more = ((row.tools or "").encode(), (row.label or "").encode())
    return digest(b"prompt", prompt).hex(), digest(b"row", *sides, *more).hex()


def row_line(row: Row, split: str | None = None) -> bytes:
    """A row with its certificate as canonical JSON, and with its split where that is given."""
    line: dict[str, Any] = {
        "tools": row.tools,
        "row_id": row.row_id,
        "session_id": row.session_id,
        "sources": [[source.part, source.node_id, source.turn_id] for source in row.sources],
        "tools_digest": row.tools_digest,
        "anchor": row.anchor,
        "label_source": row.label_source,
        "margin": repr(row.margin),
        "score": repr(row.score),
    }
    if split is not None:
        line["split"] = split
    for name in KINDS[row.kind].columns:
        line[name] = [compact(message) for message in getattr(row, name)]
    line |= {name: value for name in _CERTIFICATE if (value := getattr(row, name))}
    if row.notes:
        line["notes"] = row.notes
    if row.agreement is not None:
        line["agreement"] = repr(row.agreement)
    return canonical_json(line).encode()


def row_digest(row: Row) -> Digest:
    """The digest of a row without its split."""
    return digest(row_line(row))


def content_hash(entries: Iterable[tuple[str, str, bytes]]) -> Digest:
    """The digest of a dataset from (row id, split, digest of the row), in any order, so that rows may stream."""
    hasher = no_parts()
    for row_id, split, row in sorted(entries):
        hasher = further(hasher, row_id.encode() + b"\0" + split.encode() + b"\0" + row)
    return Digest(hasher.digest())


def first_content_hash(rows: Iterable[tuple[Row, str]]) -> Digest:
    """The digest of a dataset as the first snapshots have it: over whole lines, all in memory."""
    return digest(*(row_line(row, split) for row, split in sorted(rows, key=lambda pair: pair[0].row_id)))
