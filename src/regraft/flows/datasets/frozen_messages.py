"""What frozen rows say, read from their files a batch at a time: to find a text in them, and to write them out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from regraft.domain.ids import canonical_json
from regraft.infra.iceberg import snapshots

_PARTS = ("messages", "chosen", "rejected", "completion", "response", "alternate")
_RETAINED = 1_000  # rows of what may stay, at most, a snapshot


def stored_records(dsn: str, warehouse: str, table: str, snapshot_id: int) -> Iterator[dict[str, Any]]:
    """The stored rows of a snapshot. Raises IntegrityError when its files cannot be read."""
    with snapshots.catalog(dsn, warehouse) as opened:
        for batch in snapshots.read(opened, table, snapshot_id):
            yield from batch.to_pylist()


def rows_that_hold(records: Iterator[dict[str, Any]], holds: Callable[[str], bool]) -> list[str]:
    """The ids of rows in which a text is."""
    return [record["row_id"] for record in records if holds(canonical_json(_plain(record)))]


def write_forget_set(
    folder: Path, held: Mapping[str, Collection[str]], records: Callable[[str], Iterator[dict[str, Any]]]
) -> dict[str, int]:
    """Write rows of snapshots, in the form of TRL's ``messages``: those that are erased to ``forget.jsonl``, and up to
    a thousand others of each snapshot to ``retain.jsonl``; how many of each. Files of these names are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"forget": 0, "retain": 0}
    with (
        (folder / "forget.jsonl").open("w", encoding="utf-8") as forget,
        (folder / "retain.jsonl").open("w", encoding="utf-8") as retain,
    ):
        for snapshot, ids in held.items():
            retained = 0
            for record in records(snapshot):
                erased = record["row_id"] in ids
                if not erased and retained >= _RETAINED:
                    continue
                retained += not erased
                for line in _conversations(record, snapshot):
                    (forget if erased else retain).write(line + "\n")
                    counts["forget" if erased else "retain"] += 1
    return counts


def _conversations(record: Mapping[str, Any], snapshot: str) -> Iterator[str]:
    prompt = record.get("prompt") or []
    for part in _PARTS:
        said = record.get(part)
        if not said:
            continue
        messages = [_message(each) for each in ([*prompt, *said] if part != "messages" else said)]
        line: dict[str, Any] = {"messages": messages, "part": part, "row_id": record["row_id"], "snapshot": snapshot}
        if record.get("tools"):
            line["tools"] = record["tools"]
        yield json.dumps(line, ensure_ascii=False)


def _message(stored: Mapping[str, Any]) -> dict[str, Any]:
    """As TRL's chat templates read it: arguments are an object, and nothing is there for what was not said."""
    said = {name: value for name, value in stored.items() if value not in (None, [], "") or name == "content"}
    if calls := said.get("tool_calls"):
        said["tool_calls"] = [_call(call) for call in calls]
    return said


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    with contextlib.suppress(TypeError, ValueError):
        function["arguments"] = json.loads(function["arguments"])
    return {**call, "function": function}


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str | int | list | dict | None) else str(value)
        for name, value in record.items()
    }
