"""A scripted model server that plays every part of an orchestrated call, and a gateway before it."""

from __future__ import annotations

import contextlib
import json

import openai

from regraft.domain.orchestration.orchestration import Orchestrator
from regraft.domain.orchestration.taskification import read_plan_header
from regraft.infra.files.rules import rule_of
from regraft.infra.settings import Settings
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import Gateway, Upstream, free_port, spooled
from support.scripted_upstream import chunked, plain

RULE = rule_of(Settings(), "default")
QUESTION = [{"role": "user", "content": "Compare the two."}]


def step(name, *inputs, instruction=None, worker="w"):
    return {
        "id": name,
        "instruction": instruction or f"do {name}",
        "inputs": list(inputs) or ["prompt"],
        "dependencies": [],
        "worker": worker,
        "acceptance": "it is good",
    }


PLAN = [step("s1"), step("s2"), step("s3", "prompt", "s1", "s2")]


class Crew:
    """A scripted model server that knows from a request which part of an orchestrated call it is."""

    def __init__(self, *plans):
        self.plans = list(plans) or [PLAN]
        self.asked: list[tuple[str, dict]] = []
        self.worker = lambda asked: None  # a Script instead of the usual answer
        self.pieces = ["Both ", "are ", "good."]
        self.pause = 0.0

    def of(self, part):
        return [asked for kind, asked in self.asked if kind == part]

    def __call__(self, seen):
        asked = json.loads(seen.body) if seen.body else {}
        if seen.path.endswith("/models"):
            return plain(200, b'{"object":"list","data":[{"id":"small","object":"model"}]}')
        if "response_format" in asked:
            self.asked.append(("taskify", asked))
            made = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
            return whole(made if isinstance(made, str) else json.dumps({"subtasks": made}))
        system = asked["messages"][0]["content"]
        if isinstance(system, str) and system.startswith("You carry out"):
            self.asked.append(("worker", asked))
            said = asked["messages"][1]["content"].rpartition("[the step]\n")[2]
            return self.worker(asked) or whole(f"result of <{said}>")
        self.asked.append(("synthesis", asked))
        if not asked.get("stream"):
            return whole("".join(self.pieces))
        chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in self.pieces]
        chunks.insert(0, {"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
        events = [b"data: %b\n\n" % json.dumps({"model": "big", **chunk}).encode() for chunk in chunks]
        return chunked(200, [*events, b"data: [DONE]\n\n"], pause=self.pause)


def whole(message, **more):
    message = message if isinstance(message, dict) else {"role": "assistant", "content": message}
    reply = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "big",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
    return plain(200, json.dumps({**reply, **more}).encode())


def orchestrator(**changed):
    given = {"name": "team", "model": "big", "rule": RULE, "workers": {"w": "small"}, "retries": 0, "timeout": 20.0}
    return Orchestrator(**{**given, **changed})


@contextlib.contextmanager
def running(tmp_path, crew, tool_servers=None, keys=None, **changed):
    """A gateway with one orchestrator before the crew, and the official client for it."""
    with Upstream(crew) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            orchestrators={"team": orchestrator(**changed)},
            tool_servers=tool_servers or {},
            keys=keys.path if keys else None,
        )
        url = f"http://127.0.0.1:{settings.port}/v1"
        with Gateway(settings) as gateway, openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
            yield client, gateway


def ask(client, **more):
    return client.chat.completions.create(model="orchestrator/team", messages=QUESTION, **more)


def captured(tmp_path):
    """What the stopped gateway kept, by step of the plan."""
    found = {}
    for exchange in spooled(tmp_path / "spool"):
        _, name = read_plan_header(exchange.identity.plan)
        found.setdefault(name, []).append(exchange)
    return found
