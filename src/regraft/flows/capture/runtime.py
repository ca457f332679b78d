"""The runtime tables: read what is new in the log, pair tool calls with results, keep it all in the workbench."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.capture.message import messages_of, text_of
from regraft.domain.evaluation.trajectory import printable
from regraft.domain.ids import parse_json
from regraft.domain.lineage.tool_calls import pair_calls
from regraft.domain.usage import tokens
from regraft.infra.duckdb.capture.runtime import RuntimeTables
from regraft.infra.postgres import pipeline
from regraft.infra.postgres.arrow import ArrowReader, reading
from regraft.infra.postgres.pool import transaction

_CHUNK = 5_000  # numbers of the inbox in memory at a time

_TEXT, _COUNT, _SECONDS, _MOMENT = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us")
_WHO = ("scope", "upstream", "purpose", "plan", "model")
_CALLS = pa.schema(
    [
        *((name, _TEXT) for name in ("event_id", "session_id", "endpoint", *_WHO)),
        *((name, _COUNT) for name in ("seq", "prompt_tokens", "completion_tokens", "cached_tokens", "attempt")),
        ("started_at", _MOMENT),
        ("seconds", _SECONDS),
        ("final", pa.bool_()),
        ("failed", pa.bool_()),
    ]
)
_TURNS = pa.schema(
    [
        *((name, _TEXT) for name in ("turn_id", "event_id", "session_id", "node_id", "theme", "task_key", *_WHO)),
        *((name, _TEXT) for name in ("node_status", "finish_reason", "asked_role", "asked", "answer")),
        *((name, _COUNT) for name in ("seq", "choice_index", "messages", "tool_calls")),
        ("started_at", _MOMENT),
        ("seconds", _SECONDS),
        ("first_byte_seconds", _SECONDS),
    ]
)
_TOOL_CALLS = pa.schema(
    [
        *((name, _TEXT) for name in ("turn_id", "session_id", "call_id", "name", "arguments", "result")),
        *((name, _TEXT) for name in ("result_turn_id", "model")),
        ("position", _COUNT),
        ("result_length", _COUNT),
        ("is_error", pa.bool_()),
        ("called_at", _MOMENT),
        ("seconds", _SECONDS),
    ]
)


@dataclass(frozen=True, slots=True)
class RuntimeCounts:
    """What one run did: ``calls`` and ``turns`` that were new, the number ``seq`` of the inbox up to which the tables
    are made (0: nothing was ever captured), and the ``rows`` of each table."""

    calls: int
    turns: int
    seq: int
    rows: Mapping[str, int]


def rows(workbench: Path, table: str, *, session: UUID | None = None, limit: int = 20) -> list[dict[str, Any]]:
    """Rows of one of ``TABLES``, of one session or of all; edges are summed over sessions."""
    return RuntimeTables(workbench).rows(table, session=session, limit=limit)


def build_runtime(dsn: str, workbench: Path) -> RuntimeCounts:
    """Bring the runtime tables up to the log. Work is proportional to what is new, and the sessions it belongs to."""
    bench = RuntimeTables(workbench)
    with transaction(dsn, name="regraft-runtime") as connection:
        end = pipeline.settled(connection)
    seen = bench.seen()
    if end < seen:  # another truth, or an older one that was restored
        bench.forget()
        seen = -1
    calls = turns = 0
    with reading(dsn, "postgres/capture/runtime") as truth:
        for start in range(max(seen, 0), end, _CHUNK):
            new_calls, new_turns = _chunk(bench, truth, start, min(start + _CHUNK, end))
            calls += new_calls
            turns += new_turns
    return RuntimeCounts(calls=calls, turns=turns, seq=end, rows=bench.counts())


def _chunk(bench: RuntimeTables, truth: ArrowReader, after: int, last: int) -> tuple[int, int]:
    calls = [_call(row) for row in truth.rows("calls", after, last)]
    turns = [_turn(row) for row in truth.rows("turns", after, last)]
    answers = truth.rows("tool_calls", after, last)
    tool_calls = [call for row in answers for call in _tool_calls(row)]
    bench.add(
        last,
        pa.Table.from_pylist(calls, schema=_CALLS),
        pa.Table.from_pylist(turns, schema=_TURNS),
        pa.Table.from_pylist(tool_calls, schema=_TOOL_CALLS),
        [row["turn_id"] for row in answers],
    )
    return len(calls), len(turns)


def _call(row: dict[str, Any]) -> dict[str, Any]:
    usage = parse_json(row["usage"]) if row["usage"] else None
    spent = tokens(usage if isinstance(usage, Mapping) else {})
    return {
        **{name: row[name] for name in _CALLS.names if name in row},
        "plan": _said(parse_json(row["identity"]), "plan"),
        "seconds": row["duration_ms"] / 1000,
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.completion,
        "cached_tokens": spent.cached,
        "failed": not 200 <= row["http_status"] < 300 or bool(row["cut"]) or row["told_error"],
    }


def _turn(row: dict[str, Any]) -> dict[str, Any]:
    identity = parse_json(row["identity"])
    return {
        **{name: row[name] for name in _TURNS.names if name in row},
        "theme": _said(identity, "theme"),
        "task_key": _said(identity, "task"),
        "plan": _said(identity, "plan"),
        "messages": row["context_depth"],
        "seconds": row["duration_ms"] / 1000,
        "first_byte_seconds": None if row["first_byte_ms"] is None else row["first_byte_ms"] / 1000,
        "asked": _words(row["asked"]),
        "answer": _words(row["answer"]) if row["answer"] else None,
    }


def _tool_calls(row: dict[str, Any]) -> list[dict[str, Any]]:
    (answer,) = messages_of([parse_json(row["answer"])])
    following = messages_of(parse_json(row["following"])) if row["following"] else []
    made = []
    for call in pair_calls(answer, following):
        came = call.result is not None
        made.append(
            {
                **{name: row[name] for name in ("turn_id", "session_id", "model")},
                "position": call.position,
                "call_id": printable(call.call_id) if call.call_id is not None else None,
                "name": printable(call.name),
                "arguments": printable(call.arguments),
                "result": printable(call.result) if call.result is not None else None,
                "result_length": len(call.result) if call.result is not None else None,
                "is_error": call.is_error,
                "result_turn_id": row["result_turn_id"] if came else None,
                "called_at": row["started_at"] + timedelta(milliseconds=row["duration_ms"]),
                "seconds": max(0.0, row["until_next"] - row["duration_ms"] / 1000) if came else None,
            }
        )
    return made


def _words(body: str) -> str:
    return printable(text_of(messages_of([parse_json(body)])[0]))


def _said(identity: Any, name: str) -> str | None:
    value = identity.get(name) if isinstance(identity, Mapping) else None
    return printable(value) if isinstance(value, str) and value else None
