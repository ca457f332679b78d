"""Turns of the execution log in the canonical form of dataset rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regraft.domain.capture.endings import recorded_ending
from regraft.domain.datasets.kinds.kind import RecordedTurn
from regraft.domain.datasets.rows import (
    RowRefusal,
    canonical_messages,
    dropped_fields,
    is_weighted,
    result_without_call,
    tool_list,
)
from regraft.domain.ids import parse_json
from regraft.infra.postgres.arrow import ArrowReader


def recorded_turns(reader: ArrowReader, turn_ids: Sequence[str]) -> dict[str, RecordedTurn]:
    """The turns with these ids, by id; ids that the log does not hold are left out."""
    return {row["turn_id"]: _turn(row) for row in reader.rows("recorded_turns", sorted(set(turn_ids)))}


def _turn(row: Mapping[str, Any]) -> RecordedTurn:
    bodies = parse_json(row["history"])
    answers = [parse_json(row["answer"])] if row["answer"] else []
    history, answer = canonical_messages(bodies), canonical_messages(answers)
    tools = tool_list(parse_json(row["tools"]) if row["tools"] else {})
    refusal = next((one for one in (history, answer, tools) if isinstance(one, RowRefusal)), None)
    if not isinstance(history, RowRefusal):
        refusal = refusal or result_without_call(history)
    if row["parent_missing"]:
        refusal = RowRefusal("parent_missing", "what was said before this history is not in the file it came from")
    if not refusal and not answer:
        refusal = RowRefusal("no_answer")
    return RecordedTurn(
        node_id=row["node_id"],
        session_id=row["session_id"],
        history=() if isinstance(history, RowRefusal) else history,
        answer=() if isinstance(answer, RowRefusal) else answer,
        tools=None if isinstance(tools, RowRefusal) else tools,
        tools_digest=row["tools_id"].hex() if row["tools_id"] else None,
        dropped=frozenset().union(*map(dropped_fields, [*bodies, *answers])),
        refusal=refusal,
        ending=recorded_ending(row["node_status"], row["finish_reason"]),
        weighted_history=any(map(is_weighted, bodies)),
        weighted_answer=any(map(is_weighted, answers)),
    )
