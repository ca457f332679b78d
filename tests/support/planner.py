"""A scripted model server that plans, and the whole path of a call before it."""

from __future__ import annotations

import contextlib
import json

from regraft.flows.orchestration import taskify
from regraft.infra.files.rules import rule_of
from regraft.infra.postgres.orchestration import taskification
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import Settings
from support.consumer import consuming
from support.gateways import Upstream
from support.messages import user
from support.scripted_upstream import plain
from support.whole_path import WholePath, gateway_before

RULE = rule_of(Settings(), "default")
STEP = {"instruction": "do it", "inputs": ["prompt"], "worker": "w", "acceptance": "it is done"}
GOOD = json.dumps({"s1": STEP, "s2": {**STEP, "inputs": ["s1"], "dependencies": ["s1"]}, "s3": None})


class Planner:
    """A scripted model server: it gives the next of its plans to anyone who asks for one."""

    def __init__(self, *plans):
        self.plans = list(plans) or [GOOD]
        self.asked = []

    def __call__(self, seen):
        asked = json.loads(seen.body)
        said = "hello"
        if "response_format" in asked:
            self.asked.append(asked)
            said = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
            if said is None:
                return plain(400, b'{"error":{"message":"no such model"}}')
        message = {"role": "assistant", "content": said}
        reply = {
            "id": "x",
            "model": asked["model"],
            "system_fingerprint": "fp",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        return plain(200, json.dumps(reply).encode())


class PlanningPath(WholePath):
    """The whole path of a call, for what the planner is asked."""

    def ask_once(self, text):
        """The node of a call that says this."""
        turn, _, _ = self.call([user(text)])
        return self.node(turn)

    def taskify(self, todo, rule=RULE):
        """The stored plan."""
        return taskify.taskify(self.dsn, self.url, todo, rule)

    def count(self):
        """How many plans are stored."""
        with connect(self.dsn) as truth:
            return taskification.counts(truth)["rows"]


@contextlib.contextmanager
def planning_path(planner, truth, nats_url, spool):
    """The whole path before a planner."""
    with (
        Upstream(planner) as upstream,
        gateway_before(upstream, nats_url, spool) as port,
        consuming(truth, nats_url),
    ):
        yield PlanningPath(truth, nats_url, port)
