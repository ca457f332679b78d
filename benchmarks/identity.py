"""Accuracy of the graph: fracture rate and false-merge rate, for each way in which clients rewrite histories.

    python benchmarks/identity.py [--sample 8] [--data FOLDER]

Conversations whose trees are known (tests/golden, and recorded ones where FOLDER holds them) go through ingest and the
builder of its own PostgreSQL. *Fracture rate*: trees found for each true conversation, 1.00 is right. *False-merge
rate*: the share of conversations that share a tree with another, 0 is right. *Misplaced*: turns whose parent is not the
turn that they follow. *Equal*: conversations that are left out of a cause, because what it leaves of a history is the
same as in another conversation. Writes JSON to benchmarks/results/identity.json; exit code 1 when one of these is not
right."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import zstandard
from _lookalikes import groups
from _postgres import temporary_postgres
from _rewrites import CAUSES, LIMITS, Cause

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.ids import time_ordered_uuid
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
RESULTS = Path(__file__).parent / "results"
BATCH = 500
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A true tree, as the paths from its start to its leaves; they share what they share from the first message on."""

    name: str
    paths: list[list[Message]]
    scope: str = "golden"
    session: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One answer of a conversation, and which answer of it came before (by the keys of what was truly said)."""

    exchange: Exchange
    conversation: int
    key: bytes
    parent: bytes | None


# Causes that leave so little of a history that the branches of a recorded tree have turns with equal answers.
EQUAL_ANSWERS = frozenset(
    {
        "summary, a tool call survives",
        "sliding window",
        "old calls and results as text",
        "answers without Markdown",
    }
)


@dataclass(slots=True, kw_only=True)
class Figures:
    """What a set of conversations became. ``trees`` and ``conversations`` are counts; so is ``merged``, the
    conversations that share a tree with another; ``misplaced`` counts turns, ``compactions`` edges of that kind."""

    name: str
    conversations: int = 0
    calls: int = 0
    trees: int = 0
    merged: int = 0
    misplaced: int = 0
    compactions: int = 0
    unplaced: int = 0
    equal: int = 0

    @property
    def fracture_rate(self) -> float:
        return self.trees / self.conversations if self.conversations else 1.0

    @property
    def false_merge_rate(self) -> float:
        return self.merged / self.conversations if self.conversations else 0.0

    @property
    def right(self) -> bool:
        """The trees are the true ones, and each turn has its own parent. Under the causes of ``EQUAL_ANSWERS`` one turn
        in fifty may have another parent of its tree."""
        bearable = self.calls // 50 if self.name in EQUAL_ANSWERS else 0
        return self.trees == self.conversations and not (self.merged or self.unplaced) and self.misplaced <= bearable

    def add(self, other: Figures) -> None:
        for name in ("conversations", "calls", "trees", "merged", "misplaced", "compactions", "unplaced", "equal"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "fracture_rate": self.fracture_rate, "false_merge_rate": self.false_merge_rate}


# Conversations


def golden(folder: Path = GOLDEN) -> list[Conversation]:
    """The conversations that were written for this, with their branches."""
    found = []
    for path in sorted(folder.glob("*.json")):
        kept = json.loads(path.read_text())
        trunk = kept["messages"]
        branches = [[*trunk[: branch["after"]], *branch["messages"]] for branch in kept.get("branches", [])]
        found.append(Conversation(path.stem, [trunk, *branches], settings=kept.get("request", {})))
    return found


def recorded(folder: Path) -> list[Conversation]:
    """The recorded conversations of one folder: those that start with the same words are paths of one."""
    paths: dict[bytes, list[list[Message]]] = defaultdict(list)
    for path in sorted(folder.glob("conversations*.jsonl.zst")):
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
                messages = json.loads(line)["messages"]
                if answers := answers_of(messages):
                    paths[said(messages[: answers[0]])].append(messages)
    return [Conversation(f"{folder.name} {key.hex()[:8]}", each, "recorded") for key, each in paths.items()]


def recorded_folders(data: Path) -> list[Path]:
    return sorted({path.parent for path in data.glob("*/conversations*.jsonl.zst")})


def answers_of(messages: list[Message]) -> list[int]:
    """Where the answers of a conversation stand: what the model said after someone had asked."""
    roles = [each.get("role") for each in messages]
    asked = next((at for at, role in enumerate(roles) if role not in ("system", "developer", "assistant")), len(roles))
    return [at for at, role in enumerate(roles) if role == "assistant" and at > asked]


def said(messages: Iterable[Message]) -> bytes:
    """What was truly said, counted without the product's own rules: roles, texts, calls by name and arguments."""
    hashed = hashlib.sha256()
    for message in messages:
        calls = [call.get("function") or call for call in message.get("tool_calls") or []]
        calls += [message["function_call"]] if message.get("function_call") else []
        told = [[call.get("name"), _parsed(call.get("arguments"))] for call in calls]
        text = json.dumps([message.get("role"), message.get("content") or "", told], sort_keys=True)
        hashed.update(hashlib.sha256(text.encode()).digest())
    return hashed.digest()


def _parsed(arguments: Any) -> Any:
    try:
        return json.loads(arguments, parse_float=str)
    except (TypeError, ValueError):
        return arguments


# Calls


class Clock:
    """Gives calls their times and ids, a second apart."""

    def __init__(self) -> None:
        self.made = 0

    def exchange(self, conversation: Conversation, history: list[Message], answer: Message) -> Exchange:
        self.made += 1
        at_ms = 1_700_000_000_000 + self.made * 1000
        asked = {"model": "m", **conversation.settings, "messages": history}
        choice = {"index": 0, "message": answer, "finish_reason": "stop"}
        reply = {"id": f"chatcmpl-{self.made}", "model": "m", "choices": [choice], "usage": {"total_tokens": 8}}
        return Exchange(
            event_id=time_ordered_uuid(at_ms, self.made.to_bytes(10, "big")),
            scope=conversation.scope,
            endpoint="/v1/chat/completions",
            upstream="main",
            upstream_pin="",
            started_ns=at_ms * 1_000_000,
            first_byte_ns=1_000_000,
            duration_ns=5_000_000,
            request_body=json.dumps(asked).encode(),
            status=200,
            response_type="application/json",
            response_encoding="",
            response_body=json.dumps(reply).encode(),
            identity=Identity(session=conversation.session),
        )


def calls_of(clock: Clock, conversation: Conversation, number: int, cause: Cause) -> list[Call]:
    """One call for each answer, as a client under ``cause`` makes them; none at all if the cause changes nothing."""
    made: list[Call] = []
    keys: set[bytes] = set()
    touched = cause.name == "nothing"
    for path in conversation.paths:
        parent = None
        replaced, upto = path[:0], 0  # a client that replaced its history continues from what it has
        for at in answers_of(path):
            key = said(path[: at + 1])
            turn = len(made)
            history = [*replaced, *(cause.sent(each, number, turn) for each in path[upto:at])]
            if cause.history and (shorter := cause.history(path[:at])) is not None:
                history, replaced, upto, touched = shorter, shorter, at, True
            if cause.request:
                history = cause.request(history, number, turn)
            if key not in keys:
                keys.add(key)
                answer = cause.given(path[at], number, turn)
                touched = touched or (turn > 0 and history != path[:at]) or answer != path[at]
                made.append(Call(clock.exchange(conversation, history, answer), number, key, parent))
            parent = key
    return made if touched else []


# Replaying and counting


def replay(dsn: str, calls: list[Call], shuffled: int | None = None) -> None:
    """Send calls through ingest and the builder; in a mixed order, built after each batch, if a seed is given."""
    order = list(calls)
    if shuffled is not None:
        random.Random(shuffled).shuffle(order)
    with connect(dsn, autocommit=True) as connection:
        stored = SeenIds()
        for start in range(0, len(order), BATCH):
            counts = ingest(
                connection, [encode_exchange(each.exchange) for each in order[start : start + BATCH]], stored
            )
            if counts.quarantined or counts.waiting:
                raise RuntimeError(f"{counts.quarantined + counts.waiting} calls were not taken")
            if shuffled is not None:
                lineage.build(dsn)
    lineage.build(dsn)


_PLACES = """
SELECT t.event_id, n.node_id, n.parent_node_id, n.session_id AS tree, n.depth, n.branch_kind
FROM session_turn t JOIN conversation_branch_nodes n USING (node_id) WHERE t.event_id = ANY(%s)
"""


def told_apart(calls: list[Call], *, instructed: bool) -> tuple[list[Call], int]:
    """The calls without those of conversations that send what another one sends too, and how many these are. Nothing in
    such a call says whose it is but the ids of tool calls, which clients rewrite. Where it is not ``instructed``, the
    instruction does not say it either, and what came after the last answer is new."""
    senders: dict[bytes, set[int]] = defaultdict(set)
    for each in calls:
        if (sent := _sent(each) if instructed else _returned(each)) is not None:
            senders[sent].add(each.conversation)
    equal = {each for group in senders.values() if len(group) > 1 for each in group}
    return [each for each in calls if each.conversation not in equal], len(equal)


def _sent(call: Call) -> bytes:
    return said(json.loads(call.exchange.request_body)["messages"])


def _returned(call: Call) -> bytes | None:
    """A history up to its last answer, without its instruction; None where it has no answer."""
    sent = json.loads(call.exchange.request_body)["messages"]
    last = max((at for at, each in enumerate(sent) if each["role"] == "assistant"), default=None)
    if last is None:
        return None
    return said(each for each in sent[: last + 1] if each["role"] not in ("system", "developer"))


def count(connection: psycopg.Connection[Any], name: str, calls: list[Call]) -> Figures:
    """Compare where calls hang with where they must."""
    rows = connection.execute(_PLACES, ([each.exchange.event_id for each in calls],)).fetchall()
    found = {row["event_id"]: row for row in rows}
    figures = Figures(name=name, conversations=len({each.conversation for each in calls}), calls=len(calls))
    figures.unplaced = sum(each.exchange.event_id not in found for each in calls)
    nodes = {
        (each.conversation, each.key): found[each.exchange.event_id]["node_id"]
        for each in calls
        if each.exchange.event_id in found
    }
    held: dict[Any, set[int]] = defaultdict(set)
    turns: dict[Any, set[tuple[int, bytes]]] = defaultdict(set)
    for each in calls:
        row = found.get(each.exchange.event_id)
        if row is None:
            continue
        held[row["tree"]].add(each.conversation)
        turns[row["node_id"]].add((each.conversation, each.key))
        above = nodes.get((each.conversation, each.parent)) if each.parent else None
        right = row["parent_node_id"] == above if above else row["depth"] == 1
        figures.misplaced += not right or len(turns[row["node_id"]]) > 1
        figures.compactions += row["branch_kind"] == "compaction"
    figures.trees = len(held)
    figures.merged = len({each for group in held.values() if len(group) > 1 for each in group})
    return figures


def run(
    dsn: str, sets: list[tuple[str, list[Call]]], shuffled: int | None = None, blind: Mapping[str, bool] | None = None
) -> list[Figures]:
    """Replay sets of calls, each of tenants of its own, in one database; their figures in the same order. ``blind``:
    the sets of which conversations with equal histories are left out, and whether their instructions are compared."""
    sets = list(sets)
    equal = dict.fromkeys((name for name, _ in sets), 0)
    for at, (name, calls) in enumerate(sets):
        if blind and name in blind:
            apart, equal[name] = told_apart(calls, instructed=blind[name])
            sets[at] = (name, apart)
    replay(dsn, [each for _, calls in sets for each in calls], shuffled)
    with connect(dsn, autocommit=True) as connection:
        found = [count(connection, name, calls) for name, calls in sets]
    for figures in found:
        figures.equal = equal[figures.name]
    return found


def under(clock: Clock, causes: Iterable[Cause], conversations: list[Conversation]) -> list[tuple[str, list[Call]]]:
    """Each cause applied to each conversation, in a tenant of the cause's own."""
    sets = []
    for cause in causes:
        calls: list[Call] = []
        for number, each in enumerate(conversations):
            # First questions that each call changes have nothing in common: a conversation is one path of answers then.
            paths = each.paths[:1] if cause.request else each.paths
            moved = Conversation(each.name, paths, f"{each.scope}: {cause.name}", each.session, each.settings)
            calls += calls_of(clock, moved, number, cause)
        sets.append((cause.name, calls))
    return sets


def lookalikes(clock: Clock) -> list[tuple[str, list[Call]]]:
    """The groups of conversations that look alike, each in tenants of its own."""
    sets = []
    for name, members in groups().items():
        calls: list[Call] = []
        for number, (scope, session, paths) in enumerate(members):
            conversation = Conversation(name, paths, f"{name}: {scope}", session)
            calls += calls_of(clock, conversation, number, CAUSES[0])
        sets.append((name, calls))
    return sets


def sample(conversations: list[Conversation], size: int, paths: int = 3) -> list[Conversation]:
    """A few conversations, evenly from the first to the last, each with its first paths."""
    step = max(1, len(conversations) // size) if size else 1
    return [
        Conversation(each.name, each.paths[:paths], each.scope, each.session, each.settings)
        for each in conversations[::step][:size]
    ]


def measure(fresh: Callable[[], str], data: Path | None, size: int) -> dict[str, list[Figures]]:
    """All figures, by part. ``fresh`` gives the DSN of an empty, migrated database."""
    clock = Clock()
    parts = {
        "golden": run(fresh(), under(clock, CAUSES, golden()), shuffled=1),
        "look-alikes": run(fresh(), lookalikes(clock), shuffled=2),
        "known limits": run(fresh(), under(clock, LIMITS, golden())),
    }
    if data is not None:
        folders = [recorded(folder) for folder in recorded_folders(data)]
        few = distinct((each for conversations in folders for each in sample(conversations, size)), "recorded")
        blind = {cause.name: not cause.blind for cause in CAUSES if cause.joins or cause.blind}
        parts["recorded, sample"] = run(fresh(), under(clock, CAUSES, few), blind=blind)
        every = together(clock, (each for conversations in folders for each in conversations))
        parts["recorded, all in one tenant"] = run(fresh(), [("all", every)])
    return parts


def distinct(conversations: Iterable[Conversation], scope: str) -> list[Conversation]:
    """The same conversations in one tenant, where those that start with the same words are one."""
    paths: dict[bytes, list[list[Message]]] = defaultdict(list)
    for each in conversations:
        first = each.paths[0]
        paths[said(first[: answers_of(first)[0]])] += each.paths
    return [Conversation(key.hex()[:8], each, scope) for key, each in paths.items()]


def together(clock: Clock, conversations: Iterable[Conversation]) -> list[Call]:
    """The calls of recorded conversations as those of one tenant."""
    alone = distinct(conversations, "recorded, all")
    return [call for number, each in enumerate(alone) for call in calls_of(clock, each, number, CAUSES[0])]


def judged(parts: dict[str, list[Figures]]) -> Iterator[Figures]:
    """The figures that have to be right: all but those of the known limits."""
    for part, found in parts.items():
        for figures in found:
            if part == "known limits" or not figures.calls:
                continue
            yield figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=8, help="recorded conversations of each folder to rewrite")
    named = os.environ.get("REGRAFT_CORPUS")
    beside = Path(named) if named else ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside, help="the folder of recorded conversations")
    asked = parser.parse_args()
    with temporary_postgres() as postgres:
        parts = measure(postgres.database, asked.data if asked.data.is_dir() else None, asked.sample)
    return report(parts)


def report(parts: dict[str, list[Figures]]) -> int:
    """Print and write the figures; 1 when one of them that has to be right is not."""
    total = Figures(name="in all")
    for each in judged(parts):
        total.add(each)
    print(
        f"{'':<58}{'conv.':>7}{'calls':>8}{'fracture':>10}{'merged':>8}{'misplaced':>11}{'compactions':>13}{'equal':>7}"
    )
    for part, found in parts.items():
        print(part)
        for each in found:
            print(_line(f"  {each.name}", each))
    print(_line("in all, without the known limits", total))
    RESULTS.mkdir(exist_ok=True)
    document = {
        "fracture_rate": total.fracture_rate,
        "false_merge_rate": total.false_merge_rate,
        "misplaced": total.misplaced,
        "conversations": total.conversations,
        "calls": total.calls,
        "parts": {part: [each.json() for each in found] for part, found in parts.items()},
    }
    (RESULTS / "identity.json").write_text(json.dumps(document, indent=1) + "\n")
    wrong = [each.name for each in judged(parts) if not each.right]
    wrong += [each.name for each in parts.get("recorded, all in one tenant", []) if each.compactions]
    if wrong:
        print(f"not as it must be: {', '.join(wrong)}")
    return 1 if wrong else 0


def _line(name: str, each: Figures) -> str:
    return (
        f"{name:<58}{each.conversations:>7,}{each.calls:>8,}{each.fracture_rate:>10.4f}"
        f"{each.false_merge_rate:>8.4f}{each.misplaced:>11,}{each.compactions:>13,}{each.equal:>7,}"
    )


if __name__ == "__main__":
    sys.exit(main())
