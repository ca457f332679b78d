"""The content of a row, and its digests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import is_
from typing import Any

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.kind import PlannedRow
from regraft.domain.datasets.messages import Message, RowRefusal, text_of
from regraft.domain.datasets.recipe import Content
from regraft.domain.datasets.row_text import row_line
from regraft.domain.datasets.rows import LAST_ONLY, PREFILL_JOINED, Row, RowSource
from regraft.domain.datasets.tools import unlisted_call
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.ids import Digest, digest, further, no_parts

LISTS = (
    "messages",
    "prompt",
    "completion",
    "chosen",
    "rejected",
    "alternate",
)  # the fields of a row that hold messages


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
    filled = KINDS[planned.kind].fill(by_part)
    if isinstance(filled, RowRefusal):
        return filled
    first = next(iter(by_part.values()))
    if content.unlisted_tools == "refuse" and first.tools is not None:
        refusal = unlisted_call((message for part in filled.values() for message in part), first.tools)
        if refusal:
            return refusal
    return Row(
        row_id=planned.row_id,
        kind=planned.kind,
        session_id=first.session_id,
        sources=tuple([RowSource(part, turn.node_id, planned.turns[part]) for part, turn in by_part.items()]),
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
        **filled,
    )


def _notes(turns: Iterable[RecordedTurn], content: Content) -> tuple[str, ...]:
    joined = (PREFILL_JOINED,) if any(turn.joined_prefill for turn in turns) else ()
    return (*joined, LAST_ONLY) if content.learn == "last" else joined


def _kept(turn: RecordedTurn, content: Content) -> RecordedTurn:
    """The turn with what the recipe wants of its messages."""
    if content.learn == "all" and not any(
        (one["reasoning"] is not None and not content.reasoning)
        or (one["role"] == "developer" and content.developer == "system")
        for one in (*turn.history, *turn.answer)
    ):
        return turn
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


def _said(message: Message) -> str:
    """A message without the ids that differ between two copies of one conversation, as parts that do not run
    together."""
    role, text = message["role"], text_of(message).strip()
    said = f"{len(role)}:{role}{len(text)}:{text}"
    for call in message["tool_calls"]:
        name, arguments = call["function"]["name"], "".join(call["function"]["arguments"].split())
        said += f"4:call{len(name)}:{name}{len(arguments)}:{arguments}"
    return said


def content_keys(row: Row) -> tuple[str, str]:
    """Digests of the prompt and of the whole row, without ids: rows that share one belong to one split."""
    kind = KINDS[row.kind]
    sides = [getattr(row, name) for name in kind.columns]
    each = {id(message): _said(message) for side in sides for message in side}  # a prompt is made of these

    def said(messages: Iterable[Message]) -> bytes:
        return "".join([each[id(message)] for message in messages]).encode()

    more = ((row.tools or "").encode(), (row.label or "").encode())
    prompt = digest(b"prompt", said(kind.prompt(row)))
    return prompt.hex(), digest(b"row", *map(said, sides), *more).hex()


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
