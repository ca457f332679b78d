"""Traces by OTLP: spans of stored calls, made after the fact, at a real receiver, without content."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from regraft.flows.lineage.build import build
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.telemetry.span_exporter import TraceSettings
from regraft.infra.telemetry.tracer import exporter, exporting_spans
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.consumer import consuming
from support.gateways import CHAT, Gateway, Upstream, free_port
from support.orchestrator_crew import Crew, orchestrator
from support.otlp_receiver import OtlpReceiver
from support.scripted_upstream import chunked, plain
from support.waiting import until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
TRACE_PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "trace.md"
INTERNAL, CLIENT = 1, 3  # kinds of spans in the protocol


def asked(content="hello", **more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **more}).encode()


def answered(content="good", **more):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    return json.dumps({"id": "chatcmpl-1", "model": "m-2026", "choices": [choice], "usage": usage, **more}).encode()


def publish(url, exchange):
    async def main():
        async with await CallStream.connect(url) as stream:
            await stream.ensure()
            await stream.publish_pack([encode_exchange(exchange)])

    asyncio.run(main())


class Traced:
    """A gateway that traces, and ingest behind it that exports."""

    def __init__(self, gateway, upstream, receiver, truth):
        self.gateway, self.upstream, self.receiver, self.truth = gateway, upstream, receiver, truth

    def call(self, body, **headers):
        """The turn of a call."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.gateway.call(body=body, headers=named)[1]["x-regraft-turn"]

    def span(self, turn):
        """The span of a turn's call, when it has come."""
        until(lambda: turn in self.receiver.by_turn())
        return self.receiver.by_turn()[turn]

    def passed_on(self):
        """What the model server was told of the trace, call by call."""
        return [dict(seen.headers).get("traceparent") for seen in self.upstream.seen]


@contextlib.contextmanager
def tracing(tmp_path, truth, nats_server, answer=None, *, ratio=1.0, upstream=None, **options):
    more = {"retries": 1} if upstream is None else upstream
    with OtlpReceiver() as receiver, Upstream(answer or (lambda seen: plain(200, answered()))) as server:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=server.base_url, **more)},
            spool=tmp_path / "spool",
            nats_url=nats_server.url,
            port=free_port(),
            trace_ratio=ratio,
            **options,
        )
        traces = TraceSettings(url=f"{receiver.url}/v1/traces", ratio=ratio, headers={"x-tenant": "blue"})
        with (
            exporting_spans(traces, "regraft-ingest"),
            consuming(truth, nats_server.url),
            Gateway(settings) as gateway,
        ):
            yield Traced(gateway, server, receiver, truth)
        page = TRACE_PAGE.read_text("utf-8")
        assert not {name for span in receiver.spans for name in span.attributes if f"`{name}`" not in page}


def test_a_call_is_a_span_under_the_clients_and_the_model_server_is_told_its_own(tmp_path, truth, nats_server):
    with tracing(tmp_path, truth, nats_server) as traced:
        turn = traced.call(asked(temperature=0.5, max_tokens=64, seed=7), traceparent=TRACEPARENT)
        span = traced.span(turn)
        told = traced.passed_on()
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
    assert told == [f"00-{TRACE}-{span.span_id}-01"]
    assert (span.name, span.kind, span.failed, span.service) == ("chat m", CLIENT, False, "regraft-ingest")
    assert span.ended_ns > span.started_ns
    assert traced.receiver.headers[0]["x-tenant"] == "blue"
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "main",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.seed": 7,
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 8,
        "http.response.status_code": 200,
        "regraft.endpoint": CHAT,
        "regraft.purpose": "chat",
        "regraft.tenant": "default",
        "regraft.node.status": "ok",
    }
    assert wanted.items() <= span.attributes.items()
    assert span["regraft.session.id"] == span["gen_ai.conversation.id"]


def test_without_a_trace_of_the_client_one_begins_here_and_a_stream_tells_its_first_chunk(tmp_path, truth, nats_server):
    events = [
        b'data: {"model":"m-2026","choices":[{"index":0,"delta":{"content":"go"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
    ]
    with tracing(tmp_path, truth, nats_server, lambda seen: chunked(200, events)) as traced:
        spans = [traced.span(traced.call(asked(str(number), stream=True))) for number in range(3)]
        told = traced.passed_on()
    assert told == [f"00-{each.trace_id}-{each.span_id}-01" for each in spans]
    assert len({each.trace_id for each in spans}) == 3
    assert {each.parent_id for each in spans} == {""}
    for each in spans:
        assert each["gen_ai.request.stream"] is True
        assert 0 < each["gen_ai.response.time_to_first_chunk"] <= (each.ended_ns - each.started_ns) / 1e9


@pytest.mark.parametrize("how", ["query", "packed", "http10"])
def test_calls_in_another_form_are_told_their_span_too(tmp_path, truth, nats_server, how):
    with tracing(tmp_path, truth, nats_server) as traced:
        headers = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
        if how == "http10":
            line = b"POST %b HTTP/1.0\r\ntraceparent: %b\r\ncontent-length: %d\r\n\r\n"
            with socket.create_connection(("127.0.0.1", traced.gateway.settings.port), 20) as sock:
                sock.sendall(line % (CHAT.encode(), TRACEPARENT.encode(), len(asked())) + asked())
                assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        elif how == "packed":
            packed = {**headers, "content-encoding": "gzip"}
            assert traced.gateway.call(body=gzip.compress(asked()), headers=packed)[0] == 200
        else:
            assert traced.gateway.call(path=f"{CHAT}?api-version=1", body=asked(), headers=headers)[0] == 200
        until(lambda: traced.receiver.spans)
        (span,) = traced.receiver.spans
        assert traced.passed_on() == [f"00-{TRACE}-{span.span_id}-01"]
        assert [name.lower() for name, _ in traced.upstream.seen[0].headers].count("traceparent") == 1


def test_what_is_not_sampled_is_not_exported_and_the_model_server_is_told_so(tmp_path, truth, nats_server):
    with tracing(tmp_path, truth, nats_server, ratio=0.0) as traced:
        traced.call(asked("none"))
        traced.call(asked("the client says no"), traceparent=f"00-{TRACE}-{SPAN}-00")
        broken = traced.call(asked("no valid trace"), traceparent=f"00-{'0' * 32}-{SPAN}-01")
        kept = traced.span(traced.call(asked("the client says yes"), traceparent=TRACEPARENT))
        told = traced.passed_on()
    assert [each.rpartition("-")[2] for each in told] == ["00", "00", "00", "01"]
    assert told[2].split("-")[1] != "0" * 32
    assert broken not in traced.receiver.by_turn()
    assert [each.span_id for each in traced.receiver.spans] == [kept.span_id]


def test_each_attempt_of_a_call_is_a_span_of_one_trace(tmp_path, truth, nats_server):
    answers = [plain(503, b'{"error":{"message":"busy"}}'), plain(200, answered())]
    with tracing(tmp_path, truth, nats_server, lambda seen: answers.pop(0)) as traced:
        last = traced.span(traced.call(asked()))
        until(lambda: len(traced.receiver.spans) == 2)
        told = traced.passed_on()
    first = next(each for each in traced.receiver.spans if each is not last)
    assert first.trace_id == last.trace_id
    assert told == [f"00-{each.trace_id}-{each.span_id}-01" for each in (first, last)]
    assert (first.failed, first["error.type"], last.failed) == (True, "503", False)
    assert (first["regraft.attempt"], last["regraft.attempt"]) == (1, 2)
    assert first["regraft.operation.id"] == last["regraft.operation.id"] == first["regraft.turn.id"]


def test_no_span_holds_what_was_said_a_header_or_a_key(tmp_path, truth, nats_server):
    secrets = [f"secret{number:02}" for number in range(21)]
    mark = iter(secrets)
    tool = {"type": "function", "function": {"name": next(mark), "description": next(mark), "parameters": {}}}
    messages = [
        {"role": "system", "content": next(mark)},
        {"role": "user", "content": next(mark)},
        {"role": "assistant", "tool_calls": [{"id": next(mark), "type": "function", "function": {"name": next(mark)}}]},
        {"role": "tool", "tool_call_id": "c", "content": next(mark)},
    ]
    body = json.dumps(
        {"model": "m", "messages": messages, "tools": [tool], "stop": [next(mark)], "user": next(mark)}
        | {"metadata": {"note": next(mark)}}
    ).encode()
    reply = answered(next(mark), system_fingerprint=next(mark))
    failed = json.dumps({"error": {"message": next(mark)}}).encode()
    odd = answered().replace(b'"finish_reason": "stop"', b'"finish_reason": "Said %b"' % next(mark).encode())
    answers = [plain(200, reply), plain(400, failed), plain(200, odd)]
    headers = {"authorization": f"Bearer {next(mark)}", "x_regraft_session": next(mark), "x_regraft_task": next(mark)}
    headers |= {"x_regraft_theme": next(mark), "x_regraft_variant": json.dumps({"system": next(mark)})}
    headers |= {"x_custom": next(mark), "tracestate": f"vendor={next(mark)}"}
    with tracing(tmp_path, truth, nats_server, lambda seen: answers.pop(0)) as traced:
        spans = [traced.span(traced.call(body, **headers)) for _ in range(3)]
        build(truth)
        until(lambda: any(each.name.startswith("place ") for each in traced.receiver.spans))
    assert list(mark) == [], "every mark was said somewhere"
    assert not [secret for secret in secrets if secret.encode() in traced.receiver.raw]
    assert spans[1]["error.type"] == "400"
    assert spans[2]["gen_ai.response.finish_reasons"] == ["other"]


def test_steps_of_an_orchestrated_call_are_its_children_and_their_calls_are_theirs(tmp_path, truth, nats_server):
    one = {"team": orchestrator()}
    with tracing(tmp_path, truth, nats_server, Crew(), orchestrators=one) as traced:
        for stream in (False, True):
            question = json.dumps(
                {"model": "orchestrator/team", "messages": [{"role": "user", "content": "Compare."}], "stream": stream}
            ).encode()
            call = traced.span(traced.call(question, traceparent=TRACEPARENT))
            until(lambda: len(traced.receiver.by_turn()) == (12 if stream else 6))  # noqa: B023
            assert (call.name, call.kind, call.parent_id) == ("invoke_agent team", INTERNAL, SPAN)
            assert (call["gen_ai.agent.name"], call["gen_ai.provider.name"]) == ("team", "regraft")
            steps = [each for each in traced.receiver.spans if each.parent_id == call.span_id]
            assert [each.name for each in sorted(steps, key=lambda each: each["regraft.step.index"])] == [
                "plan",
                *["invoke_agent w"] * 3,
                "answer",
            ]
            for each in steps:
                assert call.started_ns <= each.started_ns <= each.ended_ns <= call.ended_ns + 1_000_000
                (inner,) = [span for span in traced.receiver.spans if span.parent_id == each.span_id]
                assert inner.trace_id == TRACE
                assert inner["regraft.plan.id"] == each["regraft.plan.id"]
                assert inner["regraft.session.id"] == call["regraft.session.id"]
                assert each.started_ns <= inner.started_ns + 2_000_000
                assert inner.ended_ns <= each.ended_ns + 2_000_000
            worked = [each for each in steps if each["regraft.step.kind"] == "work"]
            assert {each["regraft.step.status"] for each in worked} == {"done"}


def test_a_replay_is_linked_to_the_call_whose_node_it_regrows_and_its_branch_is_told(tmp_path, truth, nats_server):
    answers = iter(["one", "two"])
    with tracing(tmp_path, truth, nats_server, lambda seen: plain(200, answered(next(answers)))) as traced:
        first = traced.span(traced.call(asked()))
        build(truth)
        again = traced.span(
            traced.call(
                asked(),
                x_regraft_replay_node=first["regraft.node.id"],
                x_regraft_purpose="replay",
                traceparent=TRACEPARENT,
            )
        )
        build(truth)

        def placed():
            return {each["regraft.turn.id"]: each for each in traced.receiver.spans if each.name.startswith("place")}

        until(lambda: len(placed()) == 2)
        before, after = placed()[first["regraft.turn.id"]], placed()[again["regraft.turn.id"]]
    assert again.links == [(first.trace_id, first.span_id, {"regraft.link": "replays"})]
    assert again["regraft.replay.node.id"] == first["regraft.node.id"]
    assert (after.trace_id, after.parent_id) == (TRACE, again.span_id)
    assert (before.trace_id, before.parent_id) == (first.trace_id, first.span_id)
    assert after["regraft.session.id"] == before["regraft.session.id"]
    assert after["regraft.parent.node.id"] == before["regraft.parent.node.id"]
    assert after["regraft.branch.kind"] != before["regraft.branch.kind"]
    assert after.name == f"place {after['regraft.branch.kind']}"


def test_a_graph_that_is_built_again_from_old_calls_is_not_traced_again(tmp_path, truth, nats_server):
    with tracing(tmp_path, truth, nats_server) as traced:
        traced.span(traced.call(asked()))
        with psycopg.connect(truth, autocommit=True) as connection:
            connection.execute("UPDATE pipeline_event_inbox SET started_at = started_at - interval '2 hours'")
        build(truth)
        traced.span(traced.call(asked("later")))
        build(truth)
        until(lambda: any(each.name.startswith("place") for each in traced.receiver.spans))
    assert len([each for each in traced.receiver.spans if each.name.startswith("place")]) == 1


@pytest.mark.parametrize("how", ["away", "failing", "silent"])
def test_calls_are_answered_and_stored_while_the_receiver_takes_no_spans(tmp_path, truth, nats_server, how):
    with tracing(tmp_path, truth, nats_server) as traced:
        spans = exporter()
        if how == "away":
            traced.receiver.server.socket.close()
        elif how == "failing":
            traced.receiver.answer = 400
        else:
            traced.receiver.hold.clear()
        turns = {traced.call(asked(str(number))) for number in range(300)}
        with psycopg.connect(truth, autocommit=True) as connection:

            def stored():
                return {str(row[0]) for row in connection.execute("SELECT event_id FROM pipeline_event_inbox")}

            until(lambda: turns <= stored())
        if how == "failing":
            until(lambda: spans.dropped == 300)
        assert (spans.exported, traced.receiver.spans) == (0, [])


def test_nothing_is_loaded_and_the_clients_trace_is_passed_on_as_it_came_where_nothing_is_traced(tmp_path, nats_server):
    with Upstream(lambda seen: plain(200, answered())) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url=nats_server.url,
            port=free_port(),
        )
        with Gateway(settings) as gateway:
            gateway.call(body=asked(), headers={"traceparent": TRACEPARENT, "tracestate": "a=b"})
            gateway.call(body=asked())
        seen = [dict(each.headers) for each in upstream.seen]
    assert seen[0]["traceparent"] == TRACEPARENT
    assert seen[0]["tracestate"] == "a=b"
    assert "traceparent" not in seen[1]
    code = (
        "import sys, regraft.presentation.gateway.app, regraft.flows.capture.consume, regraft.flows.lineage.build\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_a_call_that_is_too_large_to_be_read_beside_others_is_traced_by_the_process_that_reads_it(
    tmp_path, truth, nats_server, calls
):
    large = calls([{"role": "user", "content": "x" * (17 << 20)}], circumstances={"traceparent": TRACEPARENT})
    with tracing(tmp_path, truth, nats_server) as traced:
        publish(nats_server.url, large)
        span = traced.span(str(large.event_id))
        assert exporter().exported == 0, "another process did"
    assert (span.trace_id, span.parent_id, span.service) == (TRACE, SPAN, "regraft-ingest")


def test_an_uncaptured_call_passes_the_clients_trace_on(tmp_path, truth, nats_server):
    with tracing(tmp_path, truth, nats_server) as traced:
        traced.gateway.call(body=asked(), headers={"traceparent": TRACEPARENT, "X-Regraft-Capture": "off"})
        traced.gateway.call("GET", "/v1/models", None, {"traceparent": TRACEPARENT})
        assert traced.passed_on() == [TRACEPARENT, TRACEPARENT]
