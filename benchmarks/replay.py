"""Replays compared with the minimum: their overhead, and the speed with a real model.

First 1,000 jobs, 64 at once, against a model server that takes 50 ms. Least possible is jobs x latency / concurrency.
Then 12 jobs of at most 64 tokens by the local model: tokens a second, beside the same bodies sent to the bare model
server, in turns. Measured is all of it: the plan stored, calls captured through the gateway, the stream and ingest, and
every answer in the graph. Gateway and ingest are separate processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import uvloop
from _postgres import temporary_postgres
from _server import Answering, serve_forever
from gateway import ANSWER, RESULTS, free_port, running

from regraft.domain.replay.job import Variant
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.lineage import build as lineage
from regraft.flows.replay import plans as replay
from regraft.flows.replay.execution import spent_in
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.stack import Stack
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import GatewayClient
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import load_settings

JOBS, CONCURRENCY, LATENCY = 1000, 64, 0.05
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
TARGET = 1.2
TOKEN_JOBS, MAX_TOKENS, AT_ONCE = 12, 64, 2
TOKEN_TARGET = 0.9  # of the bare model server's tokens a second


class SlowServer(Answering):
    """Answers every POST after LATENCY, never twice the same."""

    answered = 0

    def asked(self, head, body):
        asyncio.get_running_loop().call_later(LATENCY, self.answer)

    def answer(self):
        SlowServer.answered += 1
        body = ANSWER.replace(b"The quick", b"The %d. quick" % SlowServer.answered, 1)
        self.say(body)


def slow_server(port):
    serve_forever(SlowServer, port)


def asked_once(port, text, **more):
    """A node to grow again."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        return UUID(response.headers["x-regraft-turn"])


def node_of(dsn, turn):
    wait_until_stored(dsn, [turn])
    lineage.build(dsn)
    with connect(dsn) as connection:
        row = connection.execute("SELECT node_id FROM session_turn WHERE turn_id = %s", (turn,)).fetchone()
    return row["node_id"]


async def bare(endpoint, jobs):
    """Tokens a second of the model server alone, asked the jobs' bodies directly."""
    waiting, tokens, began = list(reversed(jobs)), [], time.monotonic()
    url = endpoint.base_url.removesuffix("/v1")
    async with GatewayClient(GatewayEndpoint(url, endpoint.api_key)) as client, asyncio.TaskGroup() as group:

        async def work():
            while waiting:
                job = waiting.pop()
                reply = await client.post(job.endpoint, job.body, {})
                assert reply.status == 200, reply.body
                tokens.append(spent_in(reply, job.endpoint).completion)

        for _ in range(AT_ONCE):
            group.create_task(work())
    return sum(tokens) / (time.monotonic() - began)


def tokens_per_second():
    """Rounds of (replayed, bare), tokens a second; who is first changes from round to round."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        config = Path(folder) / "regraft.toml"
        config.write_text(f"data_dir = {json.dumps(folder + '/data')}\ngateway.port = {free_port()}\n")
        stack = Stack(load_settings(config), config)
        try:
            dsn, endpoint = stack.postgres(), stack.model()
            stack.nats()
            stack.ingest()
            gateway = stack.gateway_endpoint()
            story = "Tell a long story about a lighthouse, a storm and a letter that came too late."
            port = int(gateway.url.rpartition(":")[2])
            node = node_of(dsn, asked_once(port, story, model=endpoint.model, max_tokens=MAX_TOKENS, temperature=0.8))
            variants = [Variant(sampling={"max_tokens": MAX_TOKENS, "seed": 1})]

            def replayed():
                planned = replay.prepare(dsn, [node], variants, TOKEN_JOBS, again=True)
                counts = replay.run(dsn, gateway, planned, AT_ONCE)
                assert (counts.ran, counts.failures) == (TOKEN_JOBS, []), counts.failures[:1]
                return counts.tally.completed_tokens / counts.seconds

            jobs = replay.prepare(dsn, [node], variants, TOKEN_JOBS, again=True).todo
            rounds = []
            for number in range(-1, ROUNDS):  # the first warms up
                found = {}
                for name in ("bare", "replayed") if number % 2 else ("replayed", "bare"):
                    found[name] = replayed() if name == "replayed" else uvloop.run(bare(endpoint, jobs))
                if number >= 0:
                    rounds.append((found["replayed"], found["bare"]))
                    print(f"round {number}: {found['replayed']:.0f} of {found['bare']:.0f} tokens/s", flush=True)
            return rounds
        finally:
            stack.close()


def main():
    if sys.argv[1:2] == ["slow-server"]:
        slow_server(int(sys.argv[2]))
        return
    with temporary_postgres() as postgres, contextlib.ExitStack() as stack:
        folder, dsn = str(postgres.folder), postgres.database()
        nats = EmbeddedNats(postgres.folder / "data")
        nats_url = nats.start().url
        stack.callback(nats.stop)
        server_port, port = free_port(), free_port()
        stack.enter_context(running(sys.executable, __file__, "slow-server", str(server_port), port=server_port))
        gateway = (sys.executable, str(Path(__file__).with_name("gateway.py")), "gateway")
        stack.enter_context(running(*gateway, str(server_port), str(port), f"{folder}/spool", nats_url, port=port))
        environment = {
            **os.environ,
            "REGRAFT_DATA_DIR": folder,
            "REGRAFT_POSTGRES__DSN": dsn,
            "REGRAFT_NATS__URL": nats_url,
            "REGRAFT_UPSTREAMS": json.dumps({"m": {"base_url": f"http://127.0.0.1:{server_port}/v1"}}),
        }
        ingest = subprocess.Popen([sys.executable, "-m", "regraft", "ingest"], env=environment, cwd=folder)
        stack.callback(ingest.wait)
        stack.callback(ingest.terminate)
        ratios = []
        for number in range(ROUNDS):
            node = node_of(dsn, asked_once(port, f"round {number}"))
            planned = replay.prepare(dsn, [node], [Variant()], JOBS)
            counts = replay.run(dsn, f"http://127.0.0.1:{port}", planned, CONCURRENCY)
            assert (counts.ran, counts.failures) == (JOBS, []), counts.failures[:1]
            ratios.append(counts.seconds / (JOBS * LATENCY / CONCURRENCY))
            print(f"round {number}: {counts.seconds:.2f} s", flush=True)
    best = min(ratios)
    verdict = "met" if best <= TARGET else "MISSED"
    print(f"replay of {JOBS} jobs / least possible {best:.2f}   target <= {TARGET} {verdict}")
    rounds = tokens_per_second()
    share = statistics.median(ours / alone for ours, alone in rounds)
    verdict = "met" if share >= TOKEN_TARGET else "MISSED"
    print(f"tokens/s of a replay / of the bare model server {share:.2f}   target >= {TOKEN_TARGET} {verdict}")
    RESULTS.mkdir(exist_ok=True)
    result = {"jobs": JOBS, "concurrency": CONCURRENCY, "latency_s": LATENCY, "ratios": ratios, "cpus": os.cpu_count()}
    result["tokens"] = {
        "jobs": TOKEN_JOBS,
        "max_tokens": MAX_TOKENS,
        "concurrency": AT_ONCE,
        "rounds": [{"replayed": ours, "bare": alone} for ours, alone in rounds],
        "share": share,
    }
    (RESULTS / "replay.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
