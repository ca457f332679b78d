"""Pairs of answers with votes of people, and judges that say what a test wants, in the truth."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from regraft.domain.evaluation.judge import Judge, JudgedCategory
from regraft.flows.capture.importing import import_files
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.evaluation import judges as store
from regraft.infra.postgres.evaluation import review
from regraft.infra.postgres.pool import Connection, connect

PAIRS = Judge(name="careful", model="big", task="preference", rubric="Which is better?")
OVERLONG = JudgedCategory(name="overlong", definition="Too long.")
CATEGORY = Judge(name="sorts", model="big", task="categories", rubric="Sort.", categories=(OVERLONG,))
RATINGS = Judge(name="rates", model="big", task="rating", rubric="How good?")
ANSWERS = """SELECT t.turn_id, m.body ->> 'content' AS said
    FROM session_turn t JOIN message m ON m.message_id = t.answer_id"""
OTHER = {"a": "b", "b": "a"}


class Planted:
    """Imported conversations, each with two answers, and what people and judges say of them."""

    def __init__(self, dsn: str, bench: Path, folder: Path) -> None:
        self.dsn, self.bench, self._folder = dsn, bench, folder
        self._dice = random.Random(11)
        self._clock = datetime(2026, 1, 1, tzinfo=UTC)
        self._made = 0
        self._texts: dict[UUID, tuple[str, str]] = {}  # by pair: the answers of a and b

    def pairs(self, count: int, *, longer: float, people: bool = True, models: tuple[str, str] = ("m", "m")) -> None:
        """Conversations with a good and a bad answer; the share ``longer`` of the good ones is the longer one. People
        prefer the good one."""
        lines = []
        for _ in range(count):
            self._made += 1
            sizes = (30, 10) if self._dice.random() < longer else (10, 30)
            texts = [f"{word} {self._made}" + " x" * size for word, size in zip(("good", "bad"), sizes, strict=True)]
            named = list(zip(texts, self._dice.sample(models, 2), strict=True))
            for text, model in named:
                asked = {"role": "user", "content": f"Question {self._made}?"}
                lines.append({"messages": [asked, {"role": "assistant", "content": text}], "model": model})
        file = self._folder / f"chats-{self._made}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        import_files(self.dsn, [file])
        self._read()
        if people:
            with connect(self.dsn, autocommit=True) as connection:
                for pair in self.alone(count):
                    self._prefer(connection, pair, self.people(pair), source="human", decided_by="ann")

    def _read(self) -> None:
        propose_pairs(self.dsn, self.bench)
        with connect(self.dsn) as connection:
            rows = connection.execute(ANSWERS).fetchall()
        said = {row["turn_id"]: row["said"] for row in rows}
        for pair in Workbench(self.bench).pairs():
            self._texts[pair["pair_id"]] = (said[pair["turn_a"]], said[pair["turn_b"]])

    def judged(self) -> list[dict[str, Any]]:
        """All pairs."""
        return Workbench(self.bench).pairs()

    def alone(self, count: int) -> list[dict[str, Any]]:
        """The pairs that no one judged, made where there are none."""
        with connect(self.dsn) as connection:
            known = {row["pair_id"] for row in connection.execute("SELECT pair_id FROM preference_labels").fetchall()}
        found = [pair for pair in self.judged() if pair["pair_id"] not in known]
        if not found:
            self.pairs(count, longer=0.5, people=False)
            return self.alone(count)
        return found

    def people(self, pair: Mapping[str, Any]) -> str:
        """The side with the good answer."""
        return "a" if self._texts[pair["pair_id"]][0].startswith("good") else "b"

    def longer(self, pair: Mapping[str, Any]) -> str:
        """The side with the longer answer."""
        a, b = self._texts[pair["pair_id"]]
        return "a" if len(a) > len(b) else "b"

    def of_model(self, pair: Mapping[str, Any], model: str) -> str:
        """The side that a model answered."""
        return "a" if pair["model_a"] == model else "b"

    def other(self, side: str) -> str:
        """The other side."""
        return OTHER[side]

    def prefer(self, judge: Judge, said: Mapping[UUID, str]) -> None:
        """A judge's preferences, without its votes."""
        with connect(self.dsn, autocommit=True) as connection:
            store.use(connection, judge, self._tick())
            for pair in self.judged():
                if pair["pair_id"] in said:
                    self._prefer(connection, pair, said[pair["pair_id"]], judge=judge)

    def vote(
        self,
        judge: Judge,
        pairs: Sequence[dict[str, Any]],
        rule: Callable[[dict[str, Any], str], str],
        snapshot: str = "big@fp1",
    ) -> None:
        """A judge's votes in both orders, by a rule of the pair and the side shown first, and what they come to."""
        with connect(self.dsn, autocommit=True) as connection:
            store.use(connection, judge, self._tick())
            for pair in pairs:
                votes = {first: rule(pair, first) for first in "ab"}
                for first, preference in votes.items():
                    store.add(connection, self._vote(judge, pair, snapshot, first, {"preference": preference}))
                said = votes["a"] if votes["a"] == votes["b"] else "equal"
                self._prefer(connection, pair, said, judge=judge)

    def say(self, judge: Judge, said: Mapping[UUID, dict[str, Any]]) -> None:
        """What a judge says of paths."""
        units = {unit["unit_id"]: unit for unit in Workbench(self.bench).units()}
        with connect(self.dsn, autocommit=True) as connection:
            store.use(connection, judge, self._tick())
            for unit_id, value in said.items():
                store.add(connection, self._vote(judge, units[unit_id], "big@fp1", "", value))

    def _vote(
        self, judge: Judge, record: Mapping[str, Any], snapshot: str, first: str, value: dict[str, Any]
    ) -> store.VoteRow:
        return store.VoteRow(
            vote_id=uuid4(),
            judge_version=judge.version,
            session_id=record["session_id"],
            unit_id=None if first else record["unit_id"],
            pair_id=record["pair_id"] if first else None,
            anchor_turn_id=record["anchor_turn_id"] if first else None,
            node_a=record["node_a"] if first else None,
            node_b=record["node_b"] if first else None,
            shown_first=first,
            vote_index=0,
            turn_id=None,
            model_snapshot=snapshot,
            answer="",
            value=value,
            evidence={},
            problem="",
            shown_hash=b"",
            created_at=self._tick(),
        )

    def _prefer(
        self,
        connection: Connection,
        pair: Mapping[str, Any],
        preference: str,
        *,
        judge: Judge | None = None,
        source: str = "model",
        decided_by: str = "",
    ) -> None:
        review.add_preference(
            connection,
            {
                "label_id": uuid4(),
                **{name: pair[name] for name in ("pair_id", "anchor_turn_id", "node_a", "node_b")},
                "source": source,
                "decided_by": judge.name if judge else decided_by,
                "preference": preference,
                "shown_first": "a",
                "note": "planted",
                "shown_hash": b"",
                "created_at": self._tick(),
                "judge_version": judge.version if judge else None,
            },
        )

    def _tick(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock
