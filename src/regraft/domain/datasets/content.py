"""What a row says, and digests of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.kind import PlannedRow, RecordedTurn
from regraft.domain.datasets.rows import Message, Row, RowRefusal, RowSource
from regraft.domain.ids import Digest, canonical_json, digest


def compose(planned: PlannedRow, turns: Mapping[str, RecordedTurn]) -> Row | RowRefusal:
    """The row of a plan, from recorded turns by id; or why the turns make no row of this kind."""
    by_part: dict[str, RecordedTurn] = {}
    for part, turn_id in planned.turns.items():
        turn = turns.get(turn_id)
        if turn is None:
            return RowRefusal("source_gone", f"the turn {turn_id} is not in the execution log")
        if turn.refusal:
            return turn.refusal
        by_part[part] = turn
    first = next(iter(by_part.values()))
    row = Row(
        row_id=planned.row_id,
        kind=planned.kind,
        session_id=first.session_id,
        sources=tuple(RowSource(part, turn.node_id, planned.turns[part]) for part, turn in by_part.items()),
        tools=first.tools,
        tools_digest=first.tools_digest,
        anchor=planned.anchor,
        label_source=planned.label_source,
        margin=planned.margin,
        score=planned.score,
    )
    return KINDS[planned.kind].fill(row, by_part)


def illegal(row: Row) -> RowRefusal | None:
    """Why no target may train on the row; None when it is legal. What one format cannot express is not considered."""
    return KINDS[row.kind].illegal(row)


def parts_of(row: Row) -> dict[str, Any]:
    """What a trainer sees of a row: its columns of messages, and its tools."""
    return {**{name: list(getattr(row, name)) for name in KINDS[row.kind].columns}, "tools": row.tools}


def _text_of(messages: Iterable[Message]) -> list[Any]:
    """Messages without the ids that differ between two copies of one conversation."""
    return [
        (
            message["role"],
            (message["content"] or "").strip(),
            [
                (call["function"]["name"], "".join(call["function"]["arguments"].split()))
                for call in message["tool_calls"]
            ],
        )
        for message in messages
    ]


def content_keys(row: Row) -> tuple[str, ...]:
    """Digests of the prompt and of the whole row, without ids: rows that share one belong to one split."""
    prompt = KINDS[row.kind].prompt(row)
    whole = [_text_of(row.messages), _text_of(row.prompt), _text_of(row.chosen), _text_of(row.rejected), row.tools]
    return digest(b"prompt", canonical_json(_text_of(prompt)).encode()).hex(), digest(
        b"row", canonical_json(whole).encode()
    ).hex()


def content_hash(rows: Iterable[tuple[Row, str]]) -> Digest:
    """The digest of a dataset: each (row, split) with its certificate, in the order of row ids."""
    lines = []
    for row, split in sorted(rows, key=lambda pair: pair[0].row_id):
        lines.append(
            canonical_json(
                {
                    **parts_of(row),
                    "row_id": row.row_id,
                    "split": split,
                    "session_id": row.session_id,
                    "sources": [[source.part, source.node_id, source.turn_id] for source in row.sources],
                    "tools_digest": row.tools_digest,
                    "anchor": row.anchor,
                    "label_source": row.label_source,
                    "margin": repr(row.margin),
                    "score": repr(row.score),
                }
            ).encode()
        )
    return digest(*lines)
