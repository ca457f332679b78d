"""Rollouts on the whole path of a call: what was recorded, a model that gives answers by its name, how they end."""

from __future__ import annotations

import asyncio
import json

from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.replay.job import Variant, plan
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.lineage import build as lineage
from regraft.flows.replay.execution import JobWatcher, Tally, execute
from regraft.flows.replay.rollouts import RolloutOptions, Rollouts
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect, transaction
from regraft.infra.postgres.replay import plans as replays
from support.messages import user
from support.regraft_command import regraft_command
from support.scripted_upstream import plain
from support.whole_path import WholePath

MODEL = "model"


def says(text):
    return {"role": "assistant", "content": text}


def calls_tool(name, arguments, call_id="c"):
    made = {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"role": "assistant", "content": None, "tool_calls": [made]}


def result(content, call_id="c"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


HELLO = [{"role": "system", "content": "Book flights."}, user("to Rome, please")]
STORY = [
    calls_tool("find", {"to": "Rome"}),
    result("flight 7"),
    says("Flight 7?"),
    user("yes"),
    calls_tool("book", {"flight": 7}),
    result("booked"),
    says("Booked."),
    user("thanks"),
    says("Bye."),
]


def answers_of(story):
    return [message for message in story if message["role"] == "assistant"]


class ScriptedModel:
    """A model that gives, for each name that it is called by, a list of answers, the next one with each call.

    ``followed`` keeps the messages of every call by the model's name.
    """

    def __init__(self):
        self.answers = {}
        self.followed = {}
        self.finish_reasons = {}

    def __call__(self, seen):
        asked = parse_json(seen.body)
        name = asked["model"]
        place = len(self.followed.setdefault(name, []))
        self.followed[name].append(asked["messages"])
        given = self.answers[name]
        if place >= len(given) or given[place] is None:
            return plain(500, b'{"error":{"message":"no more answers"}}')
        reply = {
            "id": "x",
            "model": name,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": self.finish_reasons.get((name, place), "stop"),
                    "message": given[place],
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        return plain(200, canonical_json(reply).encode())


class RolloutPath(WholePath):
    """The whole path of a call, and what was recorded and grown on it."""

    def __init__(self, dsn, nats_url, port, script, calls, environment):
        super().__init__(dsn, nats_url, port)
        self.script, self.calls, self.environment = script, calls, environment

    def command(self, *arguments):
        """Run `regraft` in a process of its own, on the same servers, with a gateway of its own."""
        home = self.environment["HOME"]
        return regraft_command(*map(str, arguments), cwd=home, environment=self.environment, timeout=300)

    def record(self, story=STORY, opening=HELLO, before=0, **more):
        """Store a conversation as its client had it, but for what is ``before``; the nodes of its answers."""
        made = []
        for at, message in enumerate(story):
            if message["role"] == "assistant" and at >= before:
                made.append(self.calls([*opening, *story[:at]], message, **more))
        with connect(self.dsn, autocommit=True) as connection:
            ingest(connection, [encode_exchange(each) for each in made], SeenIds())
        lineage.build(self.dsn)
        turns = [each.event_id for each in made]
        nodes = {row["turn_id"]: row["node_id"] for row in self.ask("SELECT turn_id, node_id FROM session_turn")}
        return [nodes[turn] for turn in turns]

    def grow(self, *work, concurrency=4):
        """Roll out (node, variant, options) each, and give how each ended."""
        ended = []
        jobs, growers = [], {}
        for node, variant, options in work:
            with transaction(self.dsn) as connection:
                origins = replays.origins(connection, [node])
            (job,) = plan(origins, [variant], 1, growth=options.growth())
            jobs.append(job)
            growers[job.fingerprint] = Rollouts(self.dsn, options, lambda _, row: ended.append(row)).grow
        watcher = Turns()

        async def grow(caller, job):
            return await growers[job.fingerprint](caller, job)

        asyncio.run(execute(self.url, jobs, concurrency, Tally(total=len(jobs)), watcher, None, grow))
        wait_until_stored(self.dsn, watcher.turns)
        lineage.build(self.dsn)
        places = {job.fingerprint: place for place, job in enumerate(jobs)}
        return sorted(ended, key=lambda row: places[row["fingerprint"]]), watcher

    def rollout(self, node, answers, *, variant=None, **options):
        """Roll one node out on a model that gives these answers; how it ended."""
        self.script.answers[MODEL] = answers
        self.script.followed.pop(MODEL, None)
        (row,), _ = self.grow((node, variant or Variant(model=MODEL), RolloutOptions(**options)))
        return row

    def graph(self):
        """What a rebuild must give again."""
        tables = {
            "conversation_branch_nodes": "node_id, parent_node_id, depth, branch_kind, runs, context_snapshot_id",
            "response_branch_records": "turn_id, node_id, parent_node_id, context_anchor_turn_id, branch_index,"
            " branch_kind, is_replay, fidelity, first_divergence::text",
            "execution_run_records": "run_id, node_id, purpose, variant::text",
        }
        return {
            table: sorted(map(repr, self.ask(f"SELECT {columns} FROM {table}"))) for table, columns in tables.items()
        }


class Turns(JobWatcher):
    """Collects captured calls and failures."""

    def __init__(self):
        self.turns, self.failures = [], []

    def ended(self, job, grown):
        self.turns += grown.turns
        if grown.failure:
            self.failures.append(grown.failure)
