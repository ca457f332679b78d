"""Official clients with a running gateway: their answers equal the stored ones, whether complete, cut or refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from uuid import UUID

import anthropic
import httpx
import openai
import pytest

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.api_scripts import ARGUMENTS, TEXT, TOOL, answer
from support.gateways import CHAT, gateway_to, spooled, stored_turns
from support.scripted_upstream import plain
from support.waiting import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FUNCTION = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CHAT_TOOLS = [{"type": "function", "function": FUNCTION}]
RESPONSES_TOOLS = [{"type": "function", "strict": False, **FUNCTION}]
MESSAGES_TOOLS = [{"name": "weather", "input_schema": FUNCTION["parameters"]}]


@pytest.fixture
def running(tmp_path):
    with gateway_to(tmp_path, answer) as (gateway, upstream):
        gateway.upstream = upstream
        yield gateway


@pytest.fixture
def openai_client(running):
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{running.settings.port}/v1",
        api_key="k",
        max_retries=0,
        default_headers={"X-Regraft-Session": "s", "traceparent": TRACE},
    ) as client:
        yield client


@pytest.fixture
def anthropic_client(running):
    with anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{running.settings.port}",
        api_key="k",
        max_retries=0,
        default_headers={"X-Regraft-Session": "s", "traceparent": TRACE},
    ) as client:
        yield client


def messages(text):
    return [{"role": "user", "content": text}]


def turns_of(running, tmp_path, truth):
    """The stored turns, in the order of their calls; bytes were compared with what the server saw and sent."""
    running.__exit__(None, None, None)
    exchanges = spooled(tmp_path / "spool")
    assert [each.request_body for each in exchanges] == [seen.body for seen in running.upstream.seen]
    for exchange, seen in zip(exchanges, running.upstream.seen, strict=True):
        sent = b"".join(step for step in answer(seen).steps if isinstance(step, bytes))
        body = sent.partition(b"\r\n\r\n")[2]
        if b"Transfer-Encoding: chunked" in sent:
            body = unchunked(body)
        if exchange.cut:
            assert body.startswith(exchange.response_body)
        else:
            assert exchange.response_body == body
    return stored_turns(truth, exchanges)


def unchunked(data):
    body = b""
    while data and not data.startswith(b"0\r\n"):
        size, _, data = data.partition(b"\r\n")
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return body


def until_dropped(running):
    """Wait until the model server has seen the connection close."""
    until(lambda: running.upstream.server.dropped)


def function_of(row):
    (call,) = row["answer"]["tool_calls"]
    return call["id"], call["function"]["name"], call["function"]["arguments"]


# openai: chat completions


def test_openai_chat(running, openai_client, tmp_path, truth):
    create = openai_client.chat.completions.with_raw_response.create
    raw = create(model="m", messages=messages("text"), metadata={"case": "1"})
    said = raw.parse().choices[0]
    called = create(model="m", messages=messages("tool"), tools=CHAT_TOOLS)
    (call,) = called.parse().choices[0].message.tool_calls
    text, tool = turns_of(running, tmp_path, truth)
    assert text["answer"] == {"role": "assistant", "content": said.message.content}
    assert (said.message.content, text["finish_reason"]) == (TEXT, said.finish_reason)
    assert text["usage"] == raw.parse().usage.model_dump(exclude_none=True)
    assert text["history"] == messages("text")
    assert text["other"]["metadata"] == {"case": "1"}
    assert (text["traceparent"], text["external_id"]) == (TRACE, "s")
    assert [row["event_id"] for row in (text, tool)] == [UUID(each.headers["x-regraft-turn"]) for each in (raw, called)]
    assert function_of(tool) == (call.id, call.function.name, call.function.arguments)
    assert tool["tools"] == {"tools": CHAT_TOOLS}
    assert tool["finish_reason"] == "tool_calls"


def test_openai_chat_streams(running, openai_client, tmp_path, truth):
    create = openai_client.chat.completions.create
    with create(model="m", messages=messages("text"), stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    with create(model="m", messages=messages("tool"), stream=True, tools=CHAT_TOOLS) as stream:
        deltas = [chunk.choices[0].delta.tool_calls for chunk in stream if chunk.choices]
    pieces = [delta[0].function.arguments for delta in deltas if delta]
    text, tool = turns_of(running, tmp_path, truth)
    assert content == text["answer"]["content"] == TEXT
    assert text["usage"] == chunks[-1].usage.model_dump(exclude_none=True)
    assert "".join(pieces) == "".join(ARGUMENTS)
    assert function_of(tool) == ("call_1", "weather", "".join(pieces))
    assert {row["streamed"] for row in (text, tool)} == {True}
    assert {row["cut"] for row in (text, tool)} == {""}


def test_openai_chat_errors_and_a_cancelled_stream(running, openai_client, tmp_path, truth):
    create = openai_client.chat.completions.create
    with pytest.raises(openai.RateLimitError) as busy:
        create(model="m", messages=messages("busy"))
    with pytest.raises(openai.BadRequestError) as wrong:
        create(model="m", messages=messages("wrong"), stream=True)
    assert (busy.value.response.headers["retry-after"], busy.value.request_id) == ("7", "req_1")
    with create(model="m", messages=messages("endless"), stream=True) as stream:
        heard = [next(stream).choices[0].delta.content for _ in range(3)]
    until_dropped(running)
    first, second, third = turns_of(running, tmp_path, truth)
    for row, raised in ((first, busy), (second, wrong)):
        assert (row["http_status"], row["answer"], row["node_status"]) == (raised.value.status_code, None, "error")
        assert row["error"] == raised.value.body
    assert (third["cut"], third["node_status"]) == ("client", "interrupted")
    assert third["answer"]["content"].startswith("".join(heard))


# openai: responses


def test_openai_responses_go_on_from_one_another(running, openai_client, tmp_path, truth):
    create = openai_client.responses.with_raw_response.create
    first = create(model="m", input="text", metadata={"case": "2"}, instructions="be brief")
    one = first.parse()
    second = create(model="m", input="tool", tools=RESPONSES_TOOLS, previous_response_id=one.id)
    two = second.parse()
    assert (one.metadata, two.previous_response_id) == ({"case": "2"}, one.id)
    text, tool = turns_of(running, tmp_path, truth)
    assert [row["event_id"] for row in (text, tool)] == [
        UUID(each.headers["x-regraft-turn"]) for each in (first, second)
    ]
    assert one.output_text == TEXT == said_in(text["answer"])
    assert text["other"]["metadata"] == {"case": "2"}
    assert function_of(tool) == ("call_1", two.output[0].name, two.output[0].arguments)
    # Instructions hold for one response; what was said holds on.
    assert [said_in(message) for message in text["history"]] == ["be brief", "text"]
    assert [said_in(message) for message in tool["history"]] == ["text", TEXT, "tool"]
    lineage.build(truth)
    with connect(truth) as connection:
        row = connection.execute(
            "SELECT p.turn_id FROM conversation_branch_nodes c JOIN conversation_branch_nodes p"
            " ON p.node_id = c.parent_node_id WHERE c.turn_id = %s",
            (tool["turn_id"],),
        ).fetchone()
    assert row == {"turn_id": text["turn_id"]}


def said_in(message):
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())


def test_openai_responses_stream(running, openai_client, tmp_path, truth):
    with openai_client.responses.create(model="m", input="text", stream=True) as stream:
        events = list(stream)
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    with openai_client.responses.stream(model="m", input="tool", tools=RESPONSES_TOOLS) as stream:
        done = stream.get_final_response()
    text, tool = turns_of(running, tmp_path, truth)
    assert deltas == events[-1].response.output_text == said_in(text["answer"]) == TEXT
    assert function_of(tool) == (done.output[0].call_id, done.output[0].name, done.output[0].arguments)
    assert text["usage"]["output_tokens"] == events[-1].response.usage.output_tokens


def test_openai_responses_errors_and_a_cancelled_stream(running, openai_client, tmp_path, truth):
    with pytest.raises(openai.RateLimitError) as busy:
        openai_client.responses.create(model="m", input="busy")
    with openai_client.responses.create(model="m", input="endless", stream=True) as stream:
        heard = [next(stream) for _ in range(6)]
    until_dropped(running)
    first, second = turns_of(running, tmp_path, truth)
    assert (first["http_status"], first["error"], first["answer"]) == (429, busy.value.body, None)
    deltas = "".join(event.delta for event in heard if event.type == "response.output_text.delta")
    assert (second["cut"], second["node_status"]) == ("client", "interrupted")
    assert said_in(second["answer"]).startswith(deltas)
    assert deltas


# anthropic


def test_anthropic_messages(running, anthropic_client, tmp_path, truth):
    create = anthropic_client.messages.with_raw_response.create
    about = {"model": "m", "max_tokens": 64, "system": "be brief"}
    raw = create(**about, messages=messages("text"), metadata={"user_id": "u-1"})
    said = raw.parse()
    called = create(**about, messages=messages("tool"), tools=MESSAGES_TOOLS)
    (block,) = called.parse().content
    text, tool = turns_of(running, tmp_path, truth)
    assert said_in(text["answer"]) == said.content[0].text == TEXT
    assert [said_in(message) for message in text["history"]] == ["be brief", "text"]
    assert {name: text["usage"][name] for name in ("input_tokens", "output_tokens")} == {
        "input_tokens": said.usage.input_tokens,
        "output_tokens": said.usage.output_tokens,
    }
    assert text["other"]["metadata"] == {"user_id": "u-1"}
    assert (text["traceparent"], text["external_id"]) == (TRACE, "s")
    assert [row["event_id"] for row in (text, tool)] == [UUID(each.headers["x-regraft-turn"]) for each in (raw, called)]
    identity, name, arguments = function_of(tool)
    assert (identity, name, json.loads(arguments)) == (block.id, block.name, block.input)
    assert running.upstream.seen[0].header("authorization") == "Bearer k"


def test_anthropic_messages_stream(running, anthropic_client, tmp_path, truth):
    about = {"model": "m", "max_tokens": 64}
    with anthropic_client.messages.stream(**about, messages=messages("text")) as stream:
        words = "".join(stream.text_stream)
        final = stream.get_final_message()
    with anthropic_client.messages.stream(**about, messages=messages("tool"), tools=MESSAGES_TOOLS) as stream:
        (block,) = stream.get_final_message().content
    text, tool = turns_of(running, tmp_path, truth)
    assert words == said_in(text["answer"]) == TEXT
    assert text["usage"]["output_tokens"] == final.usage.output_tokens == 7
    identity, name, arguments = function_of(tool)
    assert (identity, name, json.loads(arguments)) == (block.id, block.name, block.input)


def test_anthropic_errors_and_a_cancelled_stream(running, anthropic_client, tmp_path, truth):
    about = {"model": "m", "max_tokens": 64}
    with pytest.raises(anthropic.RateLimitError) as busy:
        anthropic_client.messages.create(**about, messages=messages("busy"))
    with pytest.raises(anthropic.BadRequestError) as wrong:
        anthropic_client.messages.create(**about, messages=messages("wrong"), stream=True)
    with anthropic_client.messages.create(**about, messages=messages("endless"), stream=True) as stream:
        heard = [next(stream) for _ in range(4)]
    until_dropped(running)
    first, second, third = turns_of(running, tmp_path, truth)
    for row, raised in ((first, busy), (second, wrong)):
        assert (row["http_status"], row["answer"]) == (raised.value.status_code, None)
        assert row["error"]["message"] == raised.value.body["error"]["message"]
    words = "".join(event.delta.text for event in heard if event.type == "content_block_delta")
    assert (third["cut"], third["node_status"]) == ("client", "interrupted")
    assert said_in(third["answer"]).startswith(words)
    assert words


# Feedback through a client that knows nothing of it


def test_feedback_is_sent_by_the_official_client_and_finds_its_turn(running, openai_client, tmp_path, truth):
    raw = openai_client.chat.completions.with_raw_response.create(model="m", messages=messages("text"))
    said = {"turn_id": raw.headers["x-regraft-turn"], "reward": 0.75, "comment": "good"}
    reply = openai_client.post("/feedback", cast_to=httpx.Response, body=said)
    assert reply.status_code == 202
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.post("/feedback", cast_to=httpx.Response, body={"reward": 1})
    assert refused.value.code == "invalid_feedback"
    running.__exit__(None, None, None)
    exchanges = spooled(tmp_path / "spool")
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
        found = connection.execute("SELECT turn_id, reward, comment FROM turn_outcome").fetchall()
    assert found == [{"turn_id": UUID(said["turn_id"]), "reward": 0.75, "comment": "good"}]


def test_a_client_that_opts_out_leaves_only_a_count(running, openai_client, tmp_path):
    create = openai_client.chat.completions.with_raw_response.create
    for more in ({"store": False}, {"extra_headers": {"X-Regraft-Capture": "off"}}):
        raw = create(model="m", messages=messages("text"), **more)
        assert raw.parse().choices[0].message.content == TEXT
        assert "x-regraft-turn" not in raw.headers
    responses = openai_client.responses.with_raw_response.create(model="m", input="text", store=False)
    assert "x-regraft-turn" not in responses.headers
    assert running.metrics()["regraft_gateway_opted_out_total"] == 3
    running.__exit__(None, None, None)
    assert spooled(tmp_path / "spool") == []


def test_what_the_client_asks_elsewhere_passes_uncaptured_and_counted(tmp_path):
    listed = b'{"object":"list","data":[{"id":"file-1","object":"file"}],"has_more":false}'
    with gateway_to(tmp_path, lambda seen: plain(200, listed)) as (gateway, upstream):
        with openai.OpenAI(base_url=f"http://127.0.0.1:{gateway.settings.port}/v1", api_key="k") as client:
            assert [each.id for each in client.files.list(purpose="batch")] == ["file-1"]
        assert upstream.seen[0].path == "/v1/files?purpose=batch"
        assert upstream.seen[0].header("authorization") == "Bearer k"
        counted = gateway.metrics()
        assert counted['regraft_gateway_calls_total{endpoint="other",status="2xx",upstream="main"}'] == 1
    assert spooled(tmp_path / "spool") == []


# curl


@pytest.fixture
def curl(running):
    program = shutil.which("curl")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("curl is not installed")
        pytest.skip("curl is not installed")

    def run(body, *options, path=CHAT):
        """Exit code, status line and headers, body."""
        url = f"http://127.0.0.1:{running.settings.port}{path}"
        command = [program, "-sS", "-N", "-i", "--max-time", "20", url, "-H", "Content-Type: application/json"]
        command += ["-H", f"traceparent: {TRACE}", "-H", "X-Regraft-Session: s", *options, "--data-binary", "@-"]
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        done = subprocess.run(
            command, input=json.dumps(body).encode(), capture_output=True, check=False, env=environment
        )
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        return done.returncode, head.decode().lower(), rest

    return run


def test_curl(running, curl, tmp_path, truth):
    asked = {"model": "m", "messages": messages("text")}
    code, head, body = curl(asked)
    assert (code, head.split("\r\n")[0]) == (0, "http/1.1 200 scripted")
    turn = UUID(dict(line.split(": ", 1) for line in head.split("\r\n")[1:])["x-regraft-turn"])
    streamed = curl({**asked, "stream": True})[2]
    called = curl({**asked, "messages": messages("tool"), "tools": CHAT_TOOLS, "stream": True})[2]
    busy = curl({**asked, "messages": messages("busy")})
    assert busy[1].startswith("http/1.1 429 ")
    assert "retry-after: 7" in busy[1]
    text, again, tool, failed = turns_of(running, tmp_path, truth)
    assert text["event_id"] == turn
    assert (
        text["answer"]["content"] == again["answer"]["content"] == json.loads(body)["choices"][0]["message"]["content"]
    )
    assert streamed.endswith(b"data: [DONE]\n\n")
    lines = [json.loads(line[6:]) for line in called.decode().split("\n") if line.startswith("data: {")]
    deltas = [choice["delta"].get("tool_calls") for line in lines for choice in line["choices"]]
    assert function_of(tool)[2] == "".join(delta[0]["function"]["arguments"] for delta in deltas if delta)
    assert function_of(tool)[1] == TOOL["name"]
    assert (failed["http_status"], failed["error"]) == (429, json.loads(busy[2])["error"])
    assert {row["traceparent"] for row in (text, again, tool, failed)} == {TRACE}
    assert {row["external_id"] for row in (text, again, tool, failed)} == {"s"}


def test_curl_that_ends_in_the_middle_of_a_stream(running, curl, tmp_path, truth):
    code, _, body = curl({"model": "m", "messages": messages("endless"), "stream": True}, "--max-time", "0.7")
    assert code == 28
    until_dropped(running)
    (row,) = turns_of(running, tmp_path, truth)
    assert (row["cut"], row["node_status"]) == ("client", "interrupted")
    said = [json.loads(line[6:]) for line in body.decode(errors="ignore").split("\n") if line.endswith("}")]
    heard = "".join(each["choices"][0]["delta"]["content"] for each in said)
    assert row["answer"]["content"].startswith(heard)
    assert heard.startswith("Hel")


def test_curl_sends_feedback(running, curl, tmp_path):
    curl({"model": "m", "messages": messages("text")})
    code, head, body = curl({"session": "s", "rating": 5}, path="/v1/feedback")
    assert (code, head.split("\r\n")[0].split()[1]) == (0, "202")
    running.__exit__(None, None, None)
    assert str(spooled(tmp_path / "spool")[1].event_id) == json.loads(body)["id"]
