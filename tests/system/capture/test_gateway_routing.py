"""Which model server a call goes to, and what happens when that one fails, is slow or has enough to do."""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from regraft.domain.errors import ConfigError
from regraft.infra.http.json_spans import replaced, spans, with_model
from regraft.presentation.gateway.app import server_of
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import BODY, CHAT, Gateway, Upstream, free_port, gateway_to, spooled
from support.scripted_upstream import Pause, Script, chunked, plain

FAILURE = plain(503, b'{"error":{"message":"overloaded"}}')


@contextlib.contextmanager
def gateway_before(tmp_path, answers, options, **settings):
    """A gateway before several scripted upstreams: name -> answer, name -> options."""
    with contextlib.ExitStack() as stack:
        upstreams = {name: stack.enter_context(Upstream(answer)) for name, answer in answers.items()}
        configured = {
            name: UpstreamSettings(base_url=each.base_url, **options.get(name, {})) for name, each in upstreams.items()
        }
        whole = GatewaySettings(
            upstreams=configured, spool=tmp_path / "spool", nats_url="nats://127.0.0.1:1", port=free_port(), **settings
        )
        yield stack.enter_context(Gateway(whole)), upstreams


def in_turn(*scripts):
    """Answers one after the other; the last again and again."""
    left = list(scripts)
    return lambda seen: left.pop(0) if len(left) > 1 else left[0]


# Aliases


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"fast"}', b'{"model":"smollm2"}'),
        (
            b'{ "messages" : [{"model":"fast","text":"\\"model\\": \\"fast\\""}],\n\t"model" :"fast" , "x":1.0e5}',
            b'{ "messages" : [{"model":"fast","text":"\\"model\\": \\"fast\\""}],\n\t"model" :"smollm2" , "x":1.0e5}',
        ),
        (b'{"model":"x","model":"fast"}', b'{"model":"smollm2","model":"smollm2"}'),
        (b'{"mod\\u0065l":"f\\u0061st","s":"\\ud800"}', b'{"mod\\u0065l":"smollm2","s":"\\ud800"}'),
        (b'{"model":"other","x":{"model":"fast"}}', b'{"model":"other","x":{"model":"fast"}}'),
    ],
)
def test_an_alias_changes_the_models_name_and_not_a_byte_more(tmp_path, body, sent):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}"), alias={"fast": "smollm2"}) as (gateway, upstream):
        assert gateway.call(body=body)[0] == 200
        assert upstream.seen[0].body == sent
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.request_body == sent
    assert exchange.asked_model == ("" if body == sent else "fast")


def test_an_alias_finds_its_upstream_and_is_listed(tmp_path):
    answers = {name: lambda seen: plain(200, b'{"data":[{"id":"m"}]}') for name in ("one", "two")}
    options = {"one": {"models": ("*",)}, "two": {"models": (), "alias": {"clever": "gpt-5"}}}
    with gateway_before(tmp_path, answers, options) as (gateway, upstreams):
        gateway.call(body=b'{"model":"clever"}')
        assert [seen.body for seen in upstreams["two"].seen] == [b'{"model":"gpt-5"}']
        listed = json.loads(gateway.call("GET", "/v1/models", None)[2])["data"]
        assert [each["id"] for each in listed] == ["clever", "m"]


def test_values_are_found_where_they_stand():
    text = b'{"a":[1,{"b":"x"},[]],"a\\n":null, "":{"c":tr'.replace(b"tr", b"true}}")
    assert [(path, text[start:end]) for path, start, end in spans(text)] == [
        (("a", 0), b"1"),
        (("a", 1, "b"), b'"x"'),
        (("a", 1), b'{"b":"x"}'),
        (("a", 2), b"[]"),
        (("a",), b'[1,{"b":"x"},[]]'),
        (("a\n",), b"null"),
        (("", "c"), b"true"),
        (("",), b'{"c":true}'),
        ((), text),
    ]
    assert replaced(text, lambda path, _: b"0" if path in (("a",), ("a", 0)) else None).startswith(b'{"a":0,"a\\n"')
    with pytest.raises(ValueError, match="Expecting"):
        with_model(b'{"model":', "x")


# Retries and fallbacks


def test_a_failing_server_is_tried_again_and_each_attempt_is_an_event_of_one_operation(tmp_path):
    with gateway_to(tmp_path, in_turn(FAILURE, FAILURE, plain(200, b'{"n":1}')), retries=3) as (gateway, upstream):
        began = time.monotonic()
        status, headers, body = gateway.call(headers={"X-Regraft-Session": "s"})
        assert (status, body) == (200, b'{"n":1}')
        assert time.monotonic() - began > 0.3
        assert len(upstream.seen) == 3
        assert gateway.metrics()['regraft_gateway_retries_total{upstream="main"}'] == 2
        assert gateway.metrics()[f'regraft_gateway_calls_total{{endpoint="{CHAT}",status="2xx",upstream="main"}}'] == 1
    found = spooled(tmp_path / "spool")
    assert [(each.attempt, each.status, each.final) for each in found] == [
        (1, 503, False),
        (2, 503, False),
        (3, 200, True),
    ]
    assert {each.operation_id for each in found} == {found[0].event_id}
    assert len({each.event_id for each in found}) == 3
    assert found[0].response_body == b'{"error":{"message":"overloaded"}}'
    assert UUID(headers["x-regraft-turn"]) == found[2].event_id
    assert all(each.identity.session == "s" and each.request_body == BODY for each in found)


def test_the_last_failure_is_the_clients_answer_untouched(tmp_path):
    with gateway_to(tmp_path, lambda seen: FAILURE, retries=1) as (gateway, upstream):
        assert gateway.call()[::2] == (503, b'{"error":{"message":"overloaded"}}')
        assert len(upstream.seen) == 2
    assert [each.final for each in spooled(tmp_path / "spool")] == [False, True]


@pytest.mark.parametrize("status", [400, 401, 404, 422, 200])
def test_what_another_try_would_not_mend_is_not_tried_again(tmp_path, status):
    with gateway_to(tmp_path, lambda seen: plain(status, b"{}"), retries=3) as (gateway, upstream):
        assert gateway.call()[0] == status
        assert len(upstream.seen) == 1
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.operation_id, exchange.attempt, exchange.final) == (None, 1, True)


def test_without_retries_every_failure_passes(tmp_path):
    with gateway_to(tmp_path, lambda seen: FAILURE) as (gateway, upstream):
        assert gateway.call()[0] == 503
        assert len(upstream.seen) == 1


def test_another_server_takes_over_with_its_own_name_for_the_model(tmp_path):
    answers = {"one": lambda seen: FAILURE, "two": lambda seen: plain(200, b'{"from":2}')}
    options = {
        "one": {"fallback": ("gone", "two"), "alias": {"fast": "small"}, "pin": "p1", "api_key": "k1"},
        "two": {"models": (), "alias": {"fast": "tiny"}, "pin": "p2", "api_key": "k2", "auth": "x-api-key"},
        "gone": {"models": ()},
    }
    with Upstream(lambda seen: plain(200, b"")) as gone:
        answers["gone"] = lambda seen: Script((), "reset")
    with gateway_before(tmp_path, answers, options) as (gateway, upstreams):
        assert gone.seen == []
        assert gateway.call(body=b'{"model":"fast"}', headers={"Authorization": "Bearer mine"})[2] == b'{"from":2}'
        (seen,) = upstreams["two"].seen
        assert (seen.body, seen.header("x-api-key"), seen.header("authorization")) == (b'{"model":"tiny"}', "k2", None)
        assert upstreams["one"].seen[0].header("authorization") == "Bearer k1"
    found = spooled(tmp_path / "spool")
    assert [(each.upstream, each.upstream_pin, each.attempt, each.status, each.final) for each in found] == [
        ("one", "p1", 1, 503, False),
        ("gone", "", 2, 0, False),
        ("two", "p2", 3, 200, True),
    ]
    assert "closed the connection before answering" in found[1].error
    assert [each.request_body for each in found] == [b'{"model":"small"}', b'{"model":"fast"}', b'{"model":"tiny"}']


def test_when_nobody_can_be_reached_the_last_attempt_says_so(tmp_path):
    port = free_port()
    settings = GatewaySettings(
        upstreams={
            "one": UpstreamSettings(base_url=f"http://127.0.0.1:{port}/v1", fallback=("two",)),
            "two": UpstreamSettings(base_url=f"http://127.0.0.1:{port}/v1"),
        },
        spool=tmp_path / "spool",
        nats_url="nats://127.0.0.1:1",
        port=free_port(),
    )
    with Gateway(settings) as gateway:
        assert gateway.call()[0] == 502
    found = spooled(tmp_path / "spool")
    assert [(each.upstream, each.status, each.final) for each in found] == [("one", 0, False), ("two", 502, True)]


def test_after_the_first_byte_nothing_is_tried_again(tmp_path):
    cut = Script((*chunked(200, [b"data: 1\n\n"], end=False).steps, Pause(0.05)), "close")
    with gateway_to(tmp_path, lambda seen: cut, retries=3) as (gateway, upstream):
        sock = gateway.raw()
        while sock.recv(65536):
            pass
        sock.close()
        assert len(upstream.seen) == 1
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.cut, exchange.attempt, exchange.final) == ("upstream", 1, True)


def test_a_server_says_how_long_to_wait_and_is_passed_over_when_it_is_too_long(tmp_path):
    soon = plain(429, b"{}", headers=(("Retry-After", "1"),))
    with gateway_to(tmp_path, in_turn(soon, plain(200, b"{}")), retries=1) as (gateway, _):
        began = time.monotonic()
        assert gateway.call()[0] == 200
        assert time.monotonic() - began >= 1.0
    late = plain(429, b"late", headers=(("retry-after", "3600"),))
    answers = {"one": lambda seen: late, "two": lambda seen: plain(200, b"two")}
    options = {"one": {"retries": 3, "fallback": ("two",)}}
    with gateway_before(tmp_path, answers, options) as (gateway, upstreams):
        assert gateway.call()[::2] == (200, b"two")
        assert len(upstreams["one"].seen) == 1
    with gateway_to(tmp_path, lambda seen: late, retries=3) as (gateway, upstream):
        assert gateway.call()[::2] == (429, b"late")
        assert len(upstream.seen) == 1


def test_a_failure_whose_body_never_ends_does_not_hold_the_next_attempt(tmp_path):
    endless = Script((b"HTTP/1.1 500 No\r\ncontent-length: 99\r\n\r\npart", Pause(30)))
    with gateway_to(tmp_path, in_turn(endless, plain(200, b"{}")), retries=1) as (gateway, _):
        assert gateway.call()[0] == 200
    first, _ = spooled(tmp_path / "spool")
    assert (first.status, first.response_body, first.final) == (500, b"part", False)


def test_a_client_that_leaves_between_attempts_ends_the_operation(tmp_path):
    wait = plain(429, b"{}", headers=(("Retry-After", "5"),))
    with gateway_to(tmp_path, lambda seen: wait, retries=1) as (gateway, upstream):
        sock = gateway.raw()
        while not upstream.seen:
            time.sleep(0.01)
        time.sleep(0.1)
        sock.close()
        time.sleep(0.2)
    assert len(upstream.seen) == 1
    assert [(each.status, each.final) for each in spooled(tmp_path / "spool")] == [(429, False)]


def test_a_fallback_that_is_not_there_is_a_configuration_error(tmp_path):
    one = UpstreamSettings(base_url="http://127.0.0.1:9/v1", fallback=("two",))
    with pytest.raises(ConfigError, match="'two'"):
        server_of(GatewaySettings(upstreams={"one": one}, spool=tmp_path))


# Limits


def test_a_server_gets_no_more_calls_at_once_than_it_can_take(tmp_path):
    under_way = []

    def answer(seen):
        under_way.append(len(upstream.seen) - upstream.server.written)
        return Script((Pause(0.1), *plain(200, b"{}").steps))

    with gateway_to(tmp_path, answer, max_concurrency=2, queue=50) as (gateway, upstream):
        with ThreadPoolExecutor(10) as threads:
            assert [each[0] for each in threads.map(lambda _: gateway.call(), range(10))] == [200] * 10
        assert max(under_way) == 2
    assert len(spooled(tmp_path / "spool")) == 10


def test_limits_hold_in_each_gateway_for_itself(tmp_path):
    slow = Script((Pause(30), *plain(200, b"{}").steps))
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream(lambda seen: slow))
        one = UpstreamSettings(base_url=upstream.base_url, max_concurrency=1, queue=0)
        gateways = [
            stack.enter_context(
                Gateway(
                    GatewaySettings(
                        upstreams={"main": one},
                        spool=tmp_path / "spool",
                        nats_url="nats://127.0.0.1:1",
                        port=free_port(),
                    )
                )
            )
            for _ in range(2)
        ]
        socks = [gateway.raw() for gateway in gateways]
        while len(upstream.seen) < 2:  # both are with the server at once
            time.sleep(0.01)
        assert [gateway.call()[0] for gateway in gateways] == [429, 429]
        for sock in socks:
            sock.close()


def test_beyond_the_queue_the_answer_is_429_in_the_apis_shape(tmp_path):
    slow = Script((Pause(0.5), *plain(200, b"{}").steps))
    options = {"max_concurrency": 1, "queue": 1, "queue_seconds": 0.2}
    with gateway_to(tmp_path, lambda seen: slow, **options) as (gateway, upstream):
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: gateway.call(), range(4)))
        assert sorted(status for status, _, _ in answers) == [200, 429, 429, 429]
        error = json.loads(next(body for status, _, body in answers if status == 429))["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "too_many_concurrent_calls")
        assert gateway.metrics()['regraft_gateway_refusals_total{reason="concurrency"}'] == 3
        assert len(upstream.seen) == 1
        assert gateway.call()[0] == 200
    assert len(spooled(tmp_path / "spool")) == 2


def test_who_leaves_the_queue_frees_the_place(tmp_path):
    slow = Script((Pause(0.4), *plain(200, b"{}").steps))
    with gateway_to(tmp_path, lambda seen: slow, max_concurrency=1, queue=1) as (gateway, upstream):
        first = gateway.raw()
        while not upstream.seen:
            time.sleep(0.01)
        gateway.raw().close()
        time.sleep(0.05)
        assert gateway.call()[0] == 200
        first.close()
    assert len(upstream.seen) == 2


# What a client may say of its capture


def test_who_asks_not_to_be_captured_is_only_counted(tmp_path):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, upstream):
        kept = gateway.call(body=b'{"model":"m","store":true}')
        for body, headers in (
            (b'{"model":"m", "store" : false}', {}),
            (BODY, {"X-Regraft-Capture": "off"}),
            (b'{"model":"\\ud800","store":false}', {}),
        ):
            assert "x-regraft-turn" not in gateway.call(body=body, headers=headers)[1]
        assert upstream.seen[1].body == b'{"model":"m", "store" : false}'
        assert upstream.seen[2].header("x-regraft-capture") is None
        assert gateway.metrics()["regraft_gateway_opted_out_total"] == 3
        assert gateway.metrics()[f'regraft_gateway_calls_total{{endpoint="{CHAT}",status="2xx",upstream="main"}}'] == 4
    assert [str(each.event_id) for each in spooled(tmp_path / "spool")] == [kept[1]["x-regraft-turn"]]


def test_the_trace_of_a_call_is_kept_and_passed_on(tmp_path):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, upstream):
        gateway.call(headers={"traceparent": trace})
        assert upstream.seen[0].header("traceparent") == trace
    assert spooled(tmp_path / "spool")[0].traceparent == trace


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"])
def test_every_call_to_a_model_is_captured_under_its_path(tmp_path, path):
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    with gateway_to(tmp_path, lambda seen: plain(200, b'{"a":1}')) as (gateway, upstream):
        gateway.call(path=path + "?beta=true", headers=headers)
        (seen,) = upstream.seen
        assert seen.path == path + "?beta=true"
        assert {name: seen.header(name) for name in headers} == headers
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.endpoint, exchange.request_body, exchange.response_body) == (path, BODY, b'{"a":1}')


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/v1/messages", b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
        ("/v1/responses", b'event: response.completed\ndata: {"type":"response.completed"}\n\n'),
    ],
)
def test_a_stream_of_another_dialect_is_in_the_spool_before_its_last_event_leaves(tmp_path, path, last):
    before = b'event: content_block_delta\ndata: {"text":"event: message_stop [DONE] response.completed"}\n\n'
    pieces = [before, last[:13], last[13:]]
    with gateway_to(tmp_path, lambda seen: chunked(200, pieces, pause=0.1)) as (gateway, _):
        sock = gateway.raw(path=path)
        got = b""
        while last[13:] not in got:
            got += sock.recv(65536)
        kept = b"".join(file.read_bytes() for file in (tmp_path / "spool").rglob("*.seg"))
        assert b"".join(pieces) in kept
        sock.close()
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.endpoint, exchange.response_body, exchange.cut) == (path, b"".join(pieces), "")
