"""Trajectory units: read what the graph changed, measure it, keep it in the workbench."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from regraft.domain.capture.message import messages_of
from regraft.domain.evaluation.imported import worth_of
from regraft.domain.evaluation.outcome import OutcomeReport, outcome_of
from regraft.domain.evaluation.score import unit_quality
from regraft.domain.evaluation.trajectory import TrajectoryStep, measure_unit, render
from regraft.domain.ids import parse_json
from regraft.flows.evaluation.judgements import imported_judgements
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.arrow import reading

_BATCH = 250  # sessions that are read at a time
_UNITS_AT_ONCE, _CHARACTERS_AT_ONCE = 10_000, 64_000_000  # that are written to the workbench at a time

_IDS = pa.list_(pa.string())
_UNITS = pa.schema(
    [
        *((name, pa.string()) for name in ("unit_id", "session_id", "turn_id", "anchor", "theme", "task_key")),
        *((name, pa.string()) for name in ("purpose", "model", "node_status", "text")),
        *((name, _IDS) for name in ("path_nodes", "path_anchors", "kinds", "finish_reasons")),
        *((name, pa.int64()) for name in ("turns", "tool_calls", "tool_errors", "repeated_calls", "recovered_calls")),
        *((name, pa.int64()) for name in ("prompt_tokens", "completion_tokens", "answer_length")),
        *((name, pa.float64()) for name in ("seconds", "relative_length", "repetition", "quality")),
        ("answer_empty", pa.bool_()),
        ("started_at", pa.timestamp("us")),
        ("outcome_source", pa.string()),
        *((name, pa.float64()) for name in ("outcome", "human_outcome", "judge_outcome", "fidelity")),
        *((f"imported_{name}", pa.float64()) for name in ("human", "outcome", "judge", "rank")),
        *((name, pa.string()) for name in ("judge_source", "imported_judges")),
    ]
)


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """What one materialisation did: sessions measured again, their units, and the graph's build it has seen."""

    sessions: int
    units: int
    build: int


@dataclass(slots=True)
class _Measured:
    """Units that are not stored yet: opening the workbench costs as much as measuring a hundred of them."""

    sessions: list[str]
    units: list[dict[str, Any]]
    characters: int = 0

    def add(self, sessions: list[str], units: list[dict[str, Any]]) -> None:
        self.sessions += sessions
        self.units += units
        self.characters += sum(len(unit["text"]) for unit in units)

    def is_large(self) -> bool:
        return len(self.units) >= _UNITS_AT_ONCE or self.characters >= _CHARACTERS_AT_ONCE

    def take(self) -> tuple[list[str], pa.Table]:
        taken = self.sessions, pa.Table.from_pylist(self.units, schema=_UNITS)
        self.sessions, self.units, self.characters = [], [], 0
        return taken


def materialise_units(dsn: str, workbench: Path) -> UnitCounts:
    """Update ``trajectory_units`` from the graph and from reported outcomes.

    Work is proportional to the sessions that changed or have new reports.
    """
    bench = Workbench(workbench)
    seen, before = bench.seen("units"), bench.outcome_states("units")
    sessions = units = 0
    build = seen
    with reading(dsn, "postgres/evaluation/evaluation") as truth:
        changed = truth.table("changed_sessions", seen)
        states = {row["session_id"]: row["state"] for row in truth.rows("outcome_states")}
        reported = {one for one in before.keys() | states.keys() if before.get(one) != states.get(one)}
        ids = sorted({*changed.column("session_id").to_pylist()} | reported)
        build = max(changed.column("build").to_pylist(), default=seen)
        waiting = _Measured([], [])
        for batch, rows in truth.batches("units", ids, _BATCH):
            waiting.add(batch, [_unit(row) for row in rows])
            sessions += len(batch)
            units += len(rows)
            if waiting.is_large():
                bench.replace_units(*waiting.take())
        if waiting.sessions:
            bench.replace_units(*waiting.take())
        # A graph that was derived again may have merged sessions: what it no longer has is no longer measured.
        if truth.rows("session_count")[0]["sessions"] != bench.measured_sessions():
            bench.keep_sessions([row["session_id"] for row in truth.rows("session_ids")])
    if build != seen:
        bench.set_watermark("units", build)
    if reported:
        bench.finish_outcomes("units", states)
    return UnitCounts(sessions=sessions, units=units, build=build)


def _unit(row: dict[str, Any]) -> dict[str, Any]:
    path = orjson.loads(row["steps"])
    steps = [_step(step) for step in path]
    history = messages_of(parse_json(row["history"]))
    answer = messages_of([parse_json(row["answer"])])[0] if row["answer"] else None
    lengths = [length for length in orjson.loads(row["sibling_lengths"] or "[]") if length is not None]
    signals = measure_unit(steps, history, answer, sibling_lengths=lengths)
    reported = outcome_of(OutcomeReport(*one) for one in orjson.loads(row["verdicts"]))
    imported = worth_of(imported_judgements(row["judgements"]))
    same = ("unit_id", "session_id", "turn_id", "anchor", "theme", "task_key", "purpose", "model", "node_status")
    return {
        **{name: row[name] for name in same},
        "path_nodes": [step["node_id"] for step in path],
        "path_anchors": [step["anchor"] for step in path if step["anchor"]],
        "kinds": list(signals.kinds),
        "finish_reasons": list(signals.finish_reasons),
        "turns": signals.turns,
        "tool_calls": signals.tool_calls,
        "tool_errors": signals.tool_errors,
        "repeated_calls": signals.repeated_calls,
        "recovered_calls": signals.recovered_calls,
        "prompt_tokens": signals.prompt_tokens,
        "completion_tokens": signals.completion_tokens,
        "seconds": signals.seconds,
        "answer_empty": signals.answer.empty,
        "answer_length": signals.answer.length,
        "relative_length": signals.answer.relative_length,
        "repetition": signals.answer.repetition,
        "quality": unit_quality(signals),
        "outcome": reported.outcome,
        "outcome_source": reported.source,
        "human_outcome": reported.human,
        "judge_outcome": reported.judge,
        "imported_human": imported.human,
        "imported_outcome": imported.outcome,
        "imported_judge": imported.judge,
        "imported_rank": imported.rank,
        "judge_source": reported.judge_source,
        "imported_judges": json.dumps([[one.judge, one.version, one.task] for one in imported.judges]),
        "fidelity": row["fidelity"],
        "started_at": row["started_at"],
        "text": render([*history, answer] if answer else history),
    }


def _step(step: dict[str, Any]) -> TrajectoryStep:
    return TrajectoryStep(
        kind=step["kind"],
        status=step["status"],
        model=step["model"],
        finish_reason=step["finish_reason"],
        prompt_tokens=step["prompt_tokens"],
        completion_tokens=step["completion_tokens"],
        duration_ms=step["duration_ms"],
    )
