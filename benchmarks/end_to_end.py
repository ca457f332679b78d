"""From the client to a committed row, in messages a second: Regraft compared with MLflow tracing and Arize Phoenix.

Regraft: clients call a model server through the gateway, records go by a NATS server that fsyncs what it acknowledges
to ingest, which commits them in PostgreSQL. The peers have the calls already and only log them: MLflow with spans of
its own and asynchronous logging, Phoenix with OpenTelemetry spans as its OpenAI instrumentation writes them, in batches
to its own server. Both write to the SQLite database that is their default. The calls are of growing conversations, made
the same way for all (fewer for the peers), and a call counts with all its messages. The clock runs from the first call
to the last row that a reader can see.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import uvloop
from _peers import AbsentError, process, venv_with
from _postgres import temporary_postgres
from _server import Answering, serve_forever
from gateway import free_port, running

from regraft.infra.llm.upstream import UpstreamPool

RESULTS = Path(__file__).parent / "results"
CONVERSATIONS = int(os.environ.get("BENCH_CONVERSATIONS", "1000"))
TURNS = 8
CLIENTS = 32
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PEER_CONVERSATIONS = int(os.environ.get("BENCH_PEER_CONVERSATIONS", "60"))  # peers take their time
PATIENCE = 300.0  # seconds until everything must be there
WORDS = [f"{word}{number}" for word in ("the", "quick", "brown", "fox", "lazy", "dog") for number in range(150)]

INGEST = """
import asyncio, signal, sys
from regraft.flows.capture.consume import consume
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await consume(sys.argv[1], sys.argv[2], stop)
asyncio.run(main())
"""
MLFLOW = """
import json, os, sys, time
os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "true"
import mlflow
calls = [json.loads(line) for line in open(sys.argv[1])]
mlflow.set_tracking_uri("sqlite:///" + sys.argv[2])
mlflow.set_experiment("bench")
with mlflow.start_span("warm"):
    pass
mlflow.flush_trace_async_logging()
print(time.time(), flush=True)
for messages, answer in calls:
    with mlflow.start_span("Completions", span_type="CHAT_MODEL") as span:
        span.set_inputs({"model": "m", "messages": messages})
        span.set_outputs({"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": answer}]})
mlflow.flush_trace_async_logging()
print(time.time(), flush=True)
"""
PHOENIX = """
import json, sys, time
from phoenix.otel import register
calls = [json.loads(line) for line in open(sys.argv[1])]
provider = register(endpoint=sys.argv[2], batch=True, verbose=False, set_global_tracer_provider=False)
tracer = provider.get_tracer("bench")
print(time.time(), flush=True)
for number, (messages, answer) in enumerate(calls):
    with tracer.start_as_current_span("ChatCompletion") as span:
        span.set_attribute("openinference.span.kind", "LLM")
        span.set_attribute("llm.model_name", "m")
        span.set_attribute("input.value", json.dumps({"model": "m", "messages": messages}))
        span.set_attribute("input.mime_type", "application/json")
        for place, message in enumerate(messages):
            span.set_attribute(f"llm.input_messages.{place}.message.role", message["role"])
            span.set_attribute(f"llm.input_messages.{place}.message.content", message["content"])
        span.set_attribute("output.value", json.dumps({"choices": [{"index": 0, "message": answer}]}))
        span.set_attribute("output.mime_type", "application/json")
        span.set_attribute("llm.output_messages.0.message.role", answer["role"])
        span.set_attribute("llm.output_messages.0.message.content", answer["content"])
    if number % 256 == 255:
        provider.force_flush()  # a full queue drops spans
provider.force_flush()
print(time.time(), flush=True)
"""


def said(rng):
    return " ".join(rng.choices(WORDS, k=rng.randrange(20, 60)))


def conversations(count, seed):
    """For each conversation its calls: the messages so far, and the answer."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        messages, calls = [{"role": "system", "content": said(rng)}], []
        for _ in range(TURNS):
            messages = [*messages, {"role": "user", "content": said(rng)}]
            answer = {"role": "assistant", "content": said(rng)}
            calls.append((messages, answer))
            messages = [*messages, answer]
        found.append(calls)
    return found


def messages_of(found):
    return sum(len(messages) + 1 for calls in found for messages, _ in calls)


class ModelServer(Answering):
    """Answers with what the request's header says."""

    def asked(self, head, body):
        answer = json.loads(head.partition(b"x-answer: ")[2].partition(b"\r\n")[0])
        choice = {"index": 0, "finish_reason": "stop", "message": answer}
        said = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()
        self.say(said)


def model_server(port):
    serve_forever(ModelServer, port)


async def talk(port, found):
    """Have all conversations through the gateway, CLIENTS at a time, each turn after the answer before it."""
    pool = UpstreamPool(f"http://127.0.0.1:{port}", max_idle=1024)
    left = iter([[(json.dumps({"model": "m", "messages": m}).encode(), json.dumps(a).encode()) for m, a in calls]
                 for calls in found])  # fmt: skip

    async def client():
        for calls in left:
            for body, answer in calls:
                headers = [(b"content-type", b"application/json"), (b"x-answer", answer)]
                response = await pool.send("POST", "/v1/chat/completions", headers, body)
                await response.read()
                assert response.status == 200

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await pool.aclose()


def until(what, reached):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise AbsentError(f"{what} was not there after {PATIENCE:.0f} s")
        time.sleep(0.05)


@contextlib.contextmanager
def regraft(folder):
    """Everything running; gives what measures a round."""
    nats_port, server_port, gateway_port = free_port(), free_port(), free_port()
    nats_url = f"nats://127.0.0.1:{nats_port}"
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{nats_port}"\nmax_payload: 8MB\n'
        f'jetstream {{ store_dir: "{folder}/jetstream", sync_interval: always }}\n'
    )
    here = Path(__file__).parent
    with temporary_postgres() as postgres, contextlib.ExitStack() as stack:
        dsn = postgres.database()
        nats_server = str(Path(sys.executable).parent / "nats-server")
        stack.enter_context(running(nats_server, "-c", str(config), port=nats_port))
        myself = (sys.executable, str(here / "end_to_end.py"), "model-server", str(server_port))
        stack.enter_context(running(*myself, port=server_port))
        own = (sys.executable, str(here / "gateway.py"), "gateway", str(server_port), str(gateway_port))
        stack.enter_context(running(*own, str(folder / "spool"), nats_url, port=gateway_port))
        stack.enter_context(process(sys.executable, "-c", INGEST, dsn, nats_url))

        def stored():
            with psycopg.connect(dsn) as reading:
                return reading.execute("SELECT count(*) FROM session_turn").fetchone()[0]

        def measure(found):
            before, calls = stored(), sum(map(len, found))
            began = time.time()
            uvloop.run(talk(gateway_port, found))
            answered = time.time()
            until("the last turn", lambda: stored() >= before + calls)
            ended = time.time()
            assert stored() == before + calls
            return messages_of(found) / (ended - began), messages_of(found) / (answered - began)

        measure(conversations(20, -1))
        yield measure


def rows(database, table):
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as reading:
        return reading.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def logged(python, script, *arguments, env=None):
    """When the script's logging began and ended."""
    done = subprocess.run(
        [str(python), "-c", script, *arguments], capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    times = [float(line) for line in done.stdout.splitlines() if line.replace(".", "").isdigit()]
    if done.returncode or len(times) != 2:
        raise AbsentError(f"its client failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return times


def written(folder, found):
    path = folder / "calls.jsonl"
    path.write_text("".join(json.dumps(call) + "\n" for calls in found for call in calls))
    return str(path)


@contextlib.contextmanager
def mlflow(folder):
    python = venv_with("mlflow", "mlflow==3.17.2")
    database = folder / "mlflow.db"

    def measure(found):
        before = rows(database, "trace_info") if database.exists() else 0
        quiet = {"GIT_PYTHON_REFRESH": "quiet"}
        began, ended = logged(python, MLFLOW, written(folder, found), str(database), env=quiet)
        assert rows(database, "trace_info") >= before + sum(map(len, found))
        return messages_of(found) / (ended - began)

    yield measure


@contextlib.contextmanager
def phoenix(folder):
    python = venv_with("phoenix", "arize-phoenix==20.26.1", "arize-phoenix-otel==0.17.2")
    port, database = free_port(), folder / "phoenix.db"
    env = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with process(str(python.parent / "phoenix"), "serve", env=env) as child:
        assert child.stdout is not None
        threading.Thread(target=child.stdout.read, daemon=True).start()  # a full pipe would stop it

        def up():
            if child.poll() is not None:
                raise AbsentError("its server ended")
            with contextlib.suppress(OSError, sqlite3.Error):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return rows(database, "spans") >= 0
            return False

        until("its server", up)

        def measure(found):
            before, calls = rows(database, "spans"), sum(map(len, found))
            began, _ = logged(python, PHOENIX, written(folder, found), f"http://127.0.0.1:{port}/v1/traces")
            until("the last span", lambda: rows(database, "spans") >= before + calls)
            return messages_of(found) / (time.time() - began)

        yield measure


def main():
    if sys.argv[1:2] == ["model-server"]:
        model_server(int(sys.argv[2]))
        return
    result = {"turns": TURNS, "clients": CLIENTS, "messages_per_second": {}, "ratios": {}}
    result["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    rates = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o755)
        systems = {}
        for name, system in (("Regraft", regraft), ("MLflow", mlflow), ("Phoenix", phoenix)):
            home = Path(folder) / name
            home.mkdir(mode=0o755)
            try:
                systems[name] = stack.enter_context(system(home))
            except AbsentError as absent:
                print(f"{name} is left out: {absent}", flush=True)
        for number in range(ROUNDS):
            for name, measure in list(systems.items()):
                count = CONVERSATIONS if name == "Regraft" else PEER_CONVERSATIONS
                try:
                    rate = measure(conversations(count, number))
                except AbsentError as absent:
                    print(f"{name} is left out: {absent}", flush=True)
                    del systems[name]
                    continue
                if isinstance(rate, tuple):
                    rate, taken = rate
                    rates.setdefault("Regraft, taken by the gateway", []).append(taken)
                rates.setdefault(name, []).append(rate)
                print(f"{name}: {rate:.0f} messages/s", flush=True)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    result["messages_per_second"] = {name: round(rate) for name, rate in medians.items()}
    print(f"{'':<32}{'messages/s':>12}")
    for name, rate in medians.items():
        print(f"{name:<32}{rate:>12.0f}")
    for name, times in (("MLflow", 25), ("Phoenix", 100)):
        if name in medians:
            ratio = medians["Regraft"] / medians[name]
            result["ratios"][name] = round(ratio, 2)
            print(f"Regraft / {name:<22}{ratio:>12.1f}   target >= {times:<4} {'met' if ratio >= times else 'MISSED'}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "end_to_end.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
