"""Ask a judge about paths or pairs, through the gateway, and keep every vote."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import UUID

from regraft.domain.capture.answer import Answer, read_answer
from regraft.domain.capture.judges import MODEL
from regraft.domain.capture.message import messages_of, text_of
from regraft.domain.errors import RegraftError, UpstreamError, UsageError
from regraft.domain.evaluation.judge import PURPOSE, Judge, OrderedVote, Side, Vote, decide
from regraft.domain.evaluation.judge_prompt import ShownPair, ShownPath, read_vote, request
from regraft.domain.evaluation.trajectory import printable, render
from regraft.domain.ids import canonical_json, digest, parse_json, time_ordered_uuid, uuid_of
from regraft.domain.lineage.difference import model_snapshot, served_build
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import GatewayClient, GatewayReply, KeyRefusedError
from regraft.infra.llm.retrying_client import RetryingClient
from regraft.infra.postgres.evaluation import judges as store
from regraft.infra.postgres.evaluation import review
from regraft.infra.postgres.pool import Connection, Source, connect, reading_from
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import JudgementMade

CHAT = "/v1/chat/completions"
COMPARABLE = frozenset({"", "no_preference", "judged_equal", "both_bad"})  # reasons of pairs with one context
_PAGE = 5_000  # units or pairs that are read at a time
_KEPT_OF_PAIRS = ("session_id", "anchor_turn_id", "node_a", "node_b", "turn_a", "turn_b")
_OF_PAIRS = ("pair_id", *_KEPT_OF_PAIRS, "reason", "source", "given_by")
_IDS = frozenset({"pair_id", "unit_id", *_KEPT_OF_PAIRS})
_GIVE_UP = 5  # calls that fail one after the other, before any succeeds
_KEPT_FAILURES = 5
Progress = Callable[[int, int], None]  # votes that were asked for, of how many


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingCounts:
    """What one run did: ``asked`` votes were stored, of them ``unparseable`` without a value; ``kept`` were there
    before; ``failed`` calls gave none, ``failures`` says why. ``left_out`` items were gone or erased; ``preferences``
    were written from votes on pairs. ``waiting`` items are left beyond the limit."""

    judge: str
    judge_version: str
    model: str
    items: int
    asked: int
    kept: int
    unparseable: int
    failed: int
    failures: tuple[str, ...]
    left_out: int
    preferences: int
    waiting: int
    problems: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A path or a pair to judge, as the workbench has it."""

    subject_id: UUID
    record: dict[str, Any]


def run_judge(
    dsn: str,
    workbench: Path,
    judge: Judge,
    gateway: GatewayEndpoint | str,
    *,
    limit: int = 100,
    theme: str | None = None,
    judged: bool = False,
    concurrency: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> JudgingCounts:
    """Ask a judge about ``limit`` items (0: all) that it has not judged; a run that was stopped continues where it was.

    Items that people judged come first, so that the judge can be calibrated; ``judged``: only those. The others come in
    the order of a draw by ``seed``. Raises UsageError while another process runs this judge, KeyRefusedError, and
    UpstreamError when the first calls all fail.
    """
    with connect(dsn, autocommit=True, name="regraft-judge") as connection:
        if not store.lock(connection, judge.version):
            raise UsageError(f"The judge {judge.name} is being run by another process.")
        subjects, first = _subjects(connection, dsn, workbench, judge, theme)
        if judged:
            subjects = [each for each in subjects if each.subject_id in first]
        there = store.votes_there(connection, judge.version)
        places = [(order, vote) for order in judge.orders for vote in range(judge.votes)]
        open_ = [each for each in subjects if any((each.subject_id, *place) not in there for place in places)]
        open_.sort(key=lambda each: (each.subject_id not in first, _draw(seed, each.subject_id)))
        chosen = open_[:limit] if limit else open_
        store.use(connection, judge, datetime.now(UTC))
        run = _Run(connection, judge, gateway, there, len(chosen) * len(places), progress)
        try:
            asyncio.run(run.drive(chosen, places, concurrency))
        finally:
            preferences = _settle(connection, judge) if judge.task == "preference" else 0
    return JudgingCounts(
        judge=judge.name,
        judge_version=judge.version,
        model=judge.model,
        items=len(chosen),
        asked=run.asked,
        kept=len(there),
        unparseable=run.problems.total(),
        failed=run.failed,
        failures=tuple(run.failures),
        left_out=run.left_out,
        preferences=preferences,
        waiting=len(open_) - len(chosen),
        problems=dict(run.problems),
    )


def _draw(seed: int, subject: UUID) -> bytes:
    return digest(str(seed).encode(), subject.bytes)


def _subjects(
    connection: Connection, dsn: str, workbench: Path, judge: Judge, theme: str | None
) -> tuple[list[_Subject], set[UUID]]:
    """What there is to judge, and which of it people judged."""
    found: list[_Subject] = []
    if judge.task == "preference":
        propose_pairs(dsn, workbench)
        first = store.judged_by_people(connection, "pairs")
        for row in _pages(workbench, "pair", _OF_PAIRS, theme):
            if row["reason"] in COMPARABLE:
                found.append(_Subject(row["pair_id"], {name: row[name] for name in _KEPT_OF_PAIRS}))
                if row["source"] == "imported" and row["given_by"] != MODEL:
                    first.add(row["pair_id"])
        return found, first
    materialise_units(dsn, workbench)
    first = store.judged_by_people(connection, "units")
    for row in _pages(workbench, "unit", ("unit_id", "session_id", "imported_human"), theme):
        found.append(_Subject(row["unit_id"], {"session_id": row["session_id"]}))
        if row["imported_human"] is not None:
            first.add(row["unit_id"])
    return found, first


def _pages(workbench: Path, noun: str, columns: Sequence[str], theme: str | None) -> Iterator[dict[str, Any]]:
    """Units or pairs with some of their columns, read a page at a time; ids as UUIDs."""
    bench, after = Workbench(workbench), None
    while (page := bench.page(noun, _PAGE, after=after, theme=theme)).num_rows:
        for row in page.select(columns).to_pylist():
            yield {name: UUID(each) if name in _IDS else each for name, each in row.items()}
        after = page.column(f"{noun}_id")[-1].as_py()


class _Run:
    """The calls of one run, so many at a time."""

    def __init__(
        self,
        connection: Connection,
        judge: Judge,
        gateway: GatewayEndpoint | str,
        there: set[tuple[UUID, str, int]],
        total: int,
        progress: Progress | None,
    ) -> None:
        self._connection = connection
        self._judge = judge
        self._gateway = gateway
        self._there = there
        self._total = total
        self._progress = progress
        self.asked = self.failed = self.left_out = self._done = 0
        self.failures: list[str] = []
        self.problems: Counter[str] = Counter()

    async def drive(
        self, subjects: Sequence[_Subject], places: Sequence[tuple[Side | str, int]], concurrency: int
    ) -> None:
        waiting = deque(subjects)
        async with GatewayClient(self._gateway) as client:
            caller = RetryingClient(client)

            async def work() -> None:
                while waiting:
                    await self._judge_one(caller, waiting.popleft(), places)

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(concurrency, len(subjects))):
                        group.create_task(work())
            except* RegraftError as stopped:
                raise _first(stopped) from None

    async def _judge_one(
        self, caller: RetryingClient, subject: _Subject, places: Sequence[tuple[Side | str, int]]
    ) -> None:
        texts = self._texts(subject)
        if texts is None:
            self.left_out += 1
            self._note(len(places))
            return
        for order, number in places:
            if (subject.subject_id, order, number) in self._there:
                self._note(1)
                continue
            shown = (
                ShownPath(texts["conversation"])
                if not order
                else ShownPair(texts["conversation"], texts["a"], texts["b"], "a" if order == "a" else "b")
            )
            body = canonical_json(request(self._judge, shown, number))
            try:
                reply = await caller.post(CHAT, body, self._identity(subject, order, number), self._judge.model)
                self._store(subject, order, number, body, reply)
            except KeyRefusedError:
                raise
            except RegraftError as error:
                self._fail(str(error))
            self._note(1)

    def _identity(self, subject: _Subject, order: str, number: int) -> dict[str, str]:
        identity = {"version": self._judge.version, "subject": str(subject.subject_id), "first": order, "vote": number}
        return {
            "session": f"judge {self._judge.name} {subject.subject_id}",
            "purpose": PURPOSE,
            "variant": canonical_json({"judge": identity}),
        }

    def _texts(self, subject: _Subject) -> dict[str, str] | None:
        """What is shown, None where it is gone or was erased."""
        if self._judge.task != "preference":
            row = store.shown_unit(self._connection, subject.subject_id)
            if row is None:
                return None
            said = parse_json(row["history"]) + ([parse_json(row["answer"])] if row["answer"] else [])
            return {"conversation": render(messages_of(said))}
        turns = [subject.record["turn_a"], subject.record["turn_b"]]
        rows = store.shown_turns(self._connection, turns)
        if len(rows) != len(set(turns)):
            return None
        a, b = (rows[turn] for turn in turns)
        return {
            "conversation": render(messages_of(parse_json(a["history"]))),
            **{
                side: render(messages_of([parse_json(row["answer"])])) if row["answer"] else ""
                for side, row in (("a", a), ("b", b))
            },
        }

    def _store(self, subject: _Subject, order: str, number: int, body: str, reply: GatewayReply) -> None:
        if reply.status >= 400:
            said = " ".join(reply.body[:300].decode("utf-8", "replace").split())
            raise UpstreamError(f"HTTP {reply.status}: {said}")
        answer = read_answer(reply.body, reply.content_type)
        choice = answer.choices[0] if answer.choices else None
        text = text_of(choice.message) if choice and choice.message else ""
        vote = read_vote(self._judge, text, order)
        pair = subject.record if order else {}
        store.add(
            self._connection,
            store.VoteRow(
                vote_id=uuid_of(
                    digest(self._judge.version.encode(), subject.subject_id.bytes, order.encode(), str(number).encode())
                ),
                judge_version=self._judge.version,
                session_id=subject.record["session_id"],
                unit_id=None if order else subject.subject_id,
                pair_id=subject.subject_id if order else None,
                anchor_turn_id=pair.get("anchor_turn_id"),
                node_a=pair.get("node_a"),
                node_b=pair.get("node_b"),
                shown_first=order,
                vote_index=number,
                turn_id=reply.turn_id,
                model_snapshot=printable(_snapshot(answer, self._judge.model)),
                answer=printable(text),
                value=None if vote.value is None else dict(vote.value),
                evidence={name: printable(each) for name, each in vote.evidence.items()},
                problem=vote.problem,
                shown_hash=digest(body.encode()),
                created_at=datetime.now(UTC),
            ),
        )
        self.asked += 1
        emit(
            JudgementMade(
                judge=self._judge.name,
                result="unreadable" if vote.value is None else "valid",
                score=None if vote.value is None or "rating" not in vote.value else (vote.value["rating"] - 1) / 4,
            )
        )
        self._count(vote)

    def _count(self, vote: Vote) -> None:
        if vote.value is None:
            self.problems[vote.problem] += 1

    def _fail(self, reason: str) -> None:
        self.failed += 1
        emit(JudgementMade(judge=self._judge.name, result="failed"))
        if len(self.failures) < _KEPT_FAILURES and reason not in self.failures:
            self.failures.append(reason)
        if not self.asked and self.failed >= _GIVE_UP:
            raise UpstreamError(f"The judge {self._judge.name} gives no answer: {self.failures[0]}")

    def _note(self, votes: int) -> None:
        self._done += votes
        if self._progress:
            self._progress(self._done, self._total)


def _first(group: BaseExceptionGroup[RegraftError]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _snapshot(answer: Answer, model: str) -> str:
    return model_snapshot(answer.model or model, served_build(answer.rest), "")


def _settle(connection: Connection, judge: Judge) -> int:
    """Write the preferences that follow from votes on pairs, as far as they are not written; how many."""
    written = 0
    for row in store.to_settle(connection, judge.version, judge.votes * len(judge.orders)):
        decision = decide([OrderedVote(*each) for each in row["votes"]])
        if decision is None or decision.note == row["note"]:
            continue
        with connection.transaction():
            review.add_preference(
                connection,
                {
                    "label_id": time_ordered_uuid(time.time_ns() // 1_000_000, token_bytes(10)),
                    **{name: row[name] for name in ("pair_id", "anchor_turn_id", "node_a", "node_b")},
                    "source": "model",
                    "decided_by": judge.name,
                    "preference": decision.preference,
                    "shown_first": row["votes"][0][0],
                    "note": decision.note,
                    "shown_hash": digest(row["shown"].encode()),
                    "created_at": datetime.now(UTC),
                    "judge_version": judge.version,
                },
            )
        written += 1
    return written


def votes_on(source: Source, subject: UUID) -> list[dict[str, Any]]:
    """All votes of judges on a path, a pair, or the pairs of which a node is a side, by judge and time."""
    with reading_from(source) as connection:
        return store.votes_on(connection, subject)


def judge_versions(source: Source, scope: str | None = None) -> list[dict[str, Any]]:
    """Every version of every judge that was ever run, with how much it voted; of a tenant those that voted there."""
    with reading_from(source) as connection:
        return store.versions(connection, scope)
