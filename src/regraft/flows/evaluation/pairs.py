"""Candidate preference pairs: read the siblings, compare them, keep every pair with its verdict in the workbench."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.capture.message import messages_of, text_of
from regraft.domain.evaluation.contest import LEAST_ANSWERS, Comparison, Strength, contests, numbered
from regraft.domain.evaluation.outcome import OutcomeReport, outcome_of
from regraft.domain.evaluation.pairs import Candidate, Sibling, Vote, pair_id, propose
from regraft.domain.evaluation.score import ScoreParts, answer_quality, human_part
from regraft.domain.evaluation.trajectory import measure_answer
from regraft.domain.ids import parse_json
from regraft.flows.evaluation.judgements import imported_judgements
from regraft.flows.evaluation.reviewer_agreement import refresh_agreement
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.arrow import reading
from regraft.infra.statistics.strengths import strengths

_BATCH = 500  # sessions read at a time
_PAIRS_AT_ONCE, _SESSIONS_AT_ONCE = 5_000, 10_000  # written at a time: opening the workbench costs more than few pairs

_TEXTS = (
    *("pair_id", "anchor_turn_id", "session_id", "theme", "node_a", "node_b", "turn_a", "turn_b", "kind_a", "kind_b"),
    *("model_a", "model_b", "purpose_a", "purpose_b", "verdict", "reason", "source", "chosen", "rejected"),
    *("tools_digest", "basis", "decided_by", "given_by", "deciders"),
)
_PAIRS = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.float64()) for name in ("margin", "human_a", "human_b", "signals_a", "signals_b")),
        *((name, pa.float64()) for name in ("outcome_a", "outcome_b", "judge_a", "judge_b")),
        *((name, pa.float64()) for name in ("strength_a", "strength_b")),
        *((name, pa.timestamp("us")) for name in ("started_a", "started_b")),
    ]
)


@dataclass(frozen=True, slots=True)
class PairCounts:
    """What one run did: sessions compared again, pairs made, how many are legal, refusals by reason, and the build."""

    sessions: int
    pairs: int
    legal: int
    refused: Mapping[str, int]
    build: int


def propose_pairs(dsn: str, workbench: Path) -> PairCounts:
    """Bring ``candidate_preference_pairs`` up to the graph, the judgements that count today, and what was reported.

    Sessions are compared again when the graph, the judgements or the reports in them changed. Labels of people on a
    contested theme decide nothing until they are adjudicated.
    """
    refresh_agreement(dsn)
    bench = Workbench(workbench)
    seen, before, heard = bench.seen("pairs"), bench.label_states(), bench.outcome_states("pairs")
    made: Counter[str] = Counter()
    with reading(dsn, "postgres/evaluation/evaluation") as truth:
        changed = truth.table("changed_sessions", seen)
        states = {row["session_id"]: row["state"] for row in truth.rows("label_states")}
        judged = {one for one in before.keys() | states.keys() if before.get(one) != states.get(one)}
        outcomes = {row["session_id"]: row["state"] for row in truth.rows("outcome_states")}
        reported = {one for one in heard.keys() | outcomes.keys() if heard.get(one) != outcomes.get(one)}
        ids = sorted({*changed.column("session_id").to_pylist()} | judged | reported)
        build = max(changed.column("build").to_pylist(), default=seen)
        sessions: list[str] = []
        anchors: list[str] = []
        records: list[dict[str, Any]] = []
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            votes: dict[UUID, list[Vote]] = defaultdict(list)
            for row in truth.rows("votes", batch):
                votes[UUID(row["pair_id"])].append(_vote(row))
            for anchor, group in groupby(truth.rows("siblings", batch), key=lambda row: str(row["anchor"])):
                records += _compare(UUID(anchor), list(group), votes)
            sessions += batch
            anchors += truth.table("anchors", batch).column("anchor").to_pylist()
            if len(records) >= _PAIRS_AT_ONCE or len(sessions) >= _SESSIONS_AT_ONCE or start + _BATCH >= len(ids):
                bench.replace_pairs(sessions, anchors, pa.Table.from_pylist(records, schema=_PAIRS))
                made.update(record["reason"] for record in records)
                sessions, anchors, records = [], [], []
    if build != seen or judged:
        bench.finish_pairs(build, states)
    if reported:
        bench.finish_outcomes("pairs", outcomes)
    legal = made.pop("", 0)
    return PairCounts(sessions=len(ids), pairs=legal + made.total(), legal=legal, refused=dict(made), build=build)


def _vote(row: dict[str, Any]) -> Vote:
    return Vote(row["source"], row["preference"], row["decided_by"], row["judge_version"])


def _compare(
    anchor: UUID, rows: Sequence[dict[str, Any]], votes: Mapping[UUID, Sequence[Vote]]
) -> list[dict[str, Any]]:
    answers = [messages_of([parse_json(row["answer"])])[0] if row["answer"] else None for row in rows]
    lengths = [len(text_of(answer)) if answer else None for answer in answers]
    siblings = []
    for index, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        others = [length for place, length in enumerate(lengths) if place != index and length is not None]
        signals = measure_answer(
            answer, status=row["node_status"], finish_reason=row["finish_reason"], sibling_lengths=others
        )
        reported = outcome_of(OutcomeReport(*one) for one in json.loads(row["verdicts"]))
        human = human_part(json.loads(row["ratings"] or "[]"))
        siblings.append(
            Sibling(
                node_id=UUID(row["node_id"]),
                turn_id=UUID(row["turn_id"]),
                branch_kind=row["branch_kind"],
                context_id=row["context_id"],
                tools_id=row["tools_id"],
                answer_projection=row["answer_projection"],
                has_answer=not signals.empty,
                node_status=row["node_status"],
                score=ScoreParts(
                    human=reported.human if human is None else human,
                    outcome=reported.outcome,
                    judge=reported.judge,
                    signals=answer_quality(signals),
                ),
                outcome_source=reported.source,
                judge_source=reported.judge_source,
                judgements=imported_judgements(row["judgements"]),
            )
        )
    by_turn = {row["turn_id"]: row for row in rows}
    return [
        _record(candidate, by_turn[str(candidate.turn_a)], by_turn[str(candidate.turn_b)])
        for candidate in propose(anchor, siblings, votes, strengths=_strengths(anchor, siblings, votes))
    ]


def _strengths(
    anchor: UUID, siblings: Sequence[Sibling], votes: Mapping[UUID, Sequence[Vote]]
) -> dict[str, dict[UUID, Strength]]:
    """By source: the strengths of answers that many votes over several of them were given to."""
    said: dict[str, list[Comparison]] = defaultdict(list)
    nodes = sorted({one.node_id for one in siblings})
    if len(nodes) < LEAST_ANSWERS:
        return {}
    for a, b in combinations(nodes, 2):
        for vote in votes.get(pair_id(anchor, a, b), ()):
            said[vote.source].append(Comparison(a, b, vote.preference))
    found = {source: [(each, strengths(each)) for each in contests(given)] for source, given in said.items()}
    return {source: numbered(fitted) for source, fitted in found.items() if fitted}


def _record(candidate: Candidate, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(candidate).items() if name in _TEXTS and value is not None}
    return {
        **{name: str(value) for name, value in fields.items()},
        "deciders": json.dumps([[one.judge, one.version, one.task, one.preference] for one in candidate.deciders]),
        "session_id": a["session_id"],
        "theme": a["theme"],
        "model_a": a["model"],
        "model_b": b["model"],
        "purpose_a": a["purpose"],
        "purpose_b": b["purpose"],
        "started_a": a["started_at"],
        "started_b": b["started_at"],
        "tools_digest": candidate.tools_id.hex() if candidate.tools_id else None,
        "margin": candidate.margin,
        "human_a": candidate.score_a.human,
        "human_b": candidate.score_b.human,
        "outcome_a": candidate.score_a.outcome,
        "outcome_b": candidate.score_b.outcome,
        "judge_a": candidate.score_a.judge,
        "judge_b": candidate.score_b.judge,
        "signals_a": candidate.score_a.signals,
        "signals_b": candidate.score_b.signals,
        "strength_a": candidate.strength_a,
        "strength_b": candidate.strength_b,
    }
