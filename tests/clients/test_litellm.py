"""LiteLLM with a running gateway: its answers equal the stored ones, for both of its APIs.

It needs an older ``openai`` than we do, so it lives in a separate environment and is started as a program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.api_scripts import ARGUMENTS, TEXT, answer
from support.gateways import gateway_to, spooled, stored_turns

REPOSITORY = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("REGRAFT_CLIENTS_PYTHON") or REPOSITORY / ".venv-clients" / "bin" / "python")
if not PYTHON.exists() and os.environ.get("CI") != "true":
    pytest.skip("LiteLLM is not installed: run `make test-clients`", allow_module_level=True)


CASES = [
    f"{provider}-{what}-{how}"
    for provider in ("openai", "anthropic")
    for what in ("text", "tool")
    for how in ("plain", "stream")
] + [
    f"{provider}-{case}"
    for provider in ("openai", "anthropic")
    for case in ("busy-plain", "wrong-plain", "endless-stream")
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """What LiteLLM saw of each case, and what the gateway captured of it."""
    folder = tmp_path_factory.mktemp("litellm")
    with gateway_to(folder, answer) as (gateway, upstream):
        command = [str(PYTHON), str(Path(__file__).with_name("litellm_client.py"))]
        command += [f"http://127.0.0.1:{gateway.settings.port}", *CASES]
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        deadline = time.monotonic() + 10
        while upstream.server.dropped < 2:
            assert time.monotonic() < deadline, "the model server still writes a stream that nobody reads"
            time.sleep(0.02)
    saw = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    captured = sorted(spooled(folder / "spool"), key=lambda exchange: exchange.event_id)
    assert [each.request_body for each in captured] == [seen.body for seen in upstream.seen]
    assert {seen.header("x-regraft-session") for seen in upstream.seen} == {None}
    return dict(zip(CASES, zip(saw, captured, strict=True), strict=True))


@pytest.fixture
def ask(asked, truth):
    """What LiteLLM saw of a case, and the turn that was stored of it."""

    def one(case):
        saw, exchange = asked[case]
        (row,) = stored_turns(truth, [exchange])
        assert (row["external_id"], row["traceparent"][:5]) == ("litellm", "00-0a")
        return saw, row

    return one


def said_in(message):
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("how", ["plain", "stream"])
def test_a_text(ask, provider, how):
    saw, row = ask(f"{provider}-text-{how}")
    assert saw["text"] == said_in(row["answer"]) == TEXT
    assert saw["finish_reason"] == row["finish_reason"] == "stop"
    assert row["streamed"] is (how == "stream")
    if how == "plain":
        assert saw["turn"] == str(row["event_id"])


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("how", ["plain", "stream"])
def test_a_tool_call(ask, provider, how):
    saw, row = ask(f"{provider}-tool-{how}")
    ((identity, name, arguments),) = saw["calls"]
    (call,) = row["answer"]["tool_calls"]
    assert (identity, name) == (call["id"], call["function"]["name"])
    assert json.loads(arguments) == json.loads(call["function"]["arguments"]) == json.loads("".join(ARGUMENTS))
    assert saw["finish_reason"] == row["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("what", "status", "kind"), [("busy", 429, "RateLimitError"), ("wrong", 400, "BadRequestError")]
)
def test_an_error(ask, provider, what, status, kind):
    saw, row = ask(f"{provider}-{what}-plain")
    assert (saw["error"], saw["status"], row["http_status"]) == (kind, status, status)
    assert row["error"]["message"] in saw["message"]
    assert (row["answer"], row["node_status"]) == (None, "error")


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_cancelled_stream(ask, provider):
    saw, row = ask(f"{provider}-endless-stream")
    assert (row["cut"], row["node_status"]) == ("client", "interrupted")
    assert said_in(row["answer"]).startswith(saw["text"])
    assert saw["text"]
