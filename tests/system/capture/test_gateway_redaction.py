"""Redaction changes the record, and never the forwarded request."""

from __future__ import annotations

import gzip
import json

import pytest

from regraft.domain.capture.exchange import Identity
from regraft.infra.nats.codec import IDENTITY_FIELDS, identity_fields
from regraft.presentation.gateway.redaction import REDACTED, Redactor
from regraft.presentation.gateway.settings import GatewaySettings, RedactSettings, UpstreamSettings
from support.gateways import Gateway, Upstream, free_port, spooled
from support.scripted_upstream import chunked, plain

MAIL = r"[\w.]+@[\w.]+\w"
RULES = RedactSettings(
    identities=("session",),
    fields={"metadata.user_email": "[gone]", "messages.*.name": "", "user": "[user]"},
    texts=((MAIL, "[mail]"), (r"(\d{4})-\d{4}", r"\1-xxxx")),
)
ONLY_TEXTS = RedactSettings(texts=RULES.texts)


def deltas(*texts, index=0):
    return [
        b"data: " + json.dumps({"choices": [{"index": index, "delta": {"content": text}}]}).encode() + b"\n\n"
        for text in texts
    ]


def text_of(stream, index=0):
    events = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    choices = [each["choices"][0] for each in events]
    return "".join(each["delta"]["content"] for each in choices if each["index"] == index)


def test_a_call_is_kept_without_what_the_rules_take_out(tmp_path):
    body = (
        b'{"model":"m", "user":"u-1","metadata":{"user_email":{"a":"b"},"x":1.50},'
        b'"messages":[{"role":"user","name":"Ann","content":"I am ann@example.org, 1234-5678 \\u00e9"}]}'
    )
    answer = b'{"user":"u-1","choices":[{"message":{"content":"Hi ann@example.org"}}], "n":1e400}'
    with Upstream(lambda seen: plain(200, answer)) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            redact=RULES,
        )
        with Gateway(settings) as gateway:
            said = {"X-Regraft-Session": "s-1", "X-Regraft-Task": "mail ann@example.org"}
            assert gateway.call(body=body, headers=said)[2] == answer
            assert upstream.seen[0].body == body
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.request_body == (
        b'{"model":"m", "user":"[user]","metadata":{"user_email":"[gone]","x":1.50},'
        b'"messages":[{"role":"user","name":"","content":"I am [mail], 1234-xxxx \\u00e9"}]}'
    )
    assert exchange.response_body == b'{"user":"[user]","choices":[{"message":{"content":"Hi [mail]"}}], "n":1e400}'
    assert (exchange.identity.session, exchange.identity.task) == (None, "mail [mail]")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
    assert b"ann@" not in kept


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["mail a", "nn@exam", "ple.o", "rg now"], "mail [mail] now"),
        (["ann@example.org", " and bob@example.org"], "[mail] and [mail]"),
        (["a", "@", "b", ".", "c", " 1234", "-56", "78!"], "[mail] 1234-xxxx!"),
        (["nothing", " here"], "nothing here"),
        (["", "x@y.z", ""], "[mail]"),
    ],
)
def test_a_match_across_the_events_of_a_stream_is_found(texts, expected):
    stream = b"".join([*deltas(*texts), b": ping\n\n", b"data: [DONE]\n\n"])
    redacted, encoding = Redactor(RULES).body(stream, "text/event-stream; charset=utf-8")
    assert (text_of(redacted), encoding) == (expected, "")
    assert redacted.endswith(b": ping\n\ndata: [DONE]\n\n")
    if "nothing" in expected:
        assert redacted == stream


def test_texts_that_are_sent_side_by_side_are_not_mixed():
    one, two = deltas("ann@", "example.org"), deltas("2 bob", "@example.org", index=1)
    stream = b"".join([one[0], two[0], one[1], two[1]])
    redacted, _ = Redactor(RULES).body(stream, "text/event-stream")
    assert (text_of(redacted), text_of(redacted, 1)) == ("[mail]", "2 [mail]")


def test_what_cannot_be_read_is_not_kept():
    redactor = Redactor(RULES)
    assert redactor.body(b'{"user":"u-1') == (REDACTED, "")
    assert redactor.body(b"\x00\x01", "application/json", "compress") == (REDACTED, "")
    cut = b'data: {"user":1}\n\ndata: {"user":'
    assert redactor.body(cut, "text/event-stream") == (b'data: {"user":"[user]"}\n\ndata: ' + REDACTED, "")
    assert Redactor(ONLY_TEXTS).body(b"<p>ann@example.org\xff") == (b"<p>[mail]\xff", "")
    assert redactor.body(gzip.compress(b'{"user":"u"}'), "application/json", "gzip") == (b'{"user":"[user]"}', "")
    assert Redactor(RedactSettings(identities=("task",))).body(b"\x1f", "x", "gzip") == (b"\x1f", "gzip")


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_cut_stream_keeps_what_can_be_redacted(kind):
    stream = b"".join(deltas("ann@example.org"))
    if kind == "text/event-stream":
        cut, _ = Redactor(ONLY_TEXTS).body(stream + b'data: {"choices":[{"index":0,"delta":{"content":"x@y.z', kind)
        assert b"@" not in cut
        assert text_of(b"\n".join(cut.split(b"\n")[:2])) == "[mail]"


def test_a_stream_passes_while_its_record_is_redacted(tmp_path):
    pieces = [*deltas("ann@", "example.org"), b"data: [DONE]\n\n"]
    with Upstream(lambda seen: chunked(200, pieces)) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            redact=RULES,
        )
        with Gateway(settings) as gateway:
            assert gateway.call()[2] == b"".join(pieces)
    assert text_of(spooled(tmp_path / "spool")[0].response_body) == "[mail]"


def test_the_names_that_clients_give_are_redacted_like_ours():
    words = Identity(client_headers='{"x-session-id": "ann@example.org"}')
    kept = dict(zip(IDENTITY_FIELDS, Redactor(ONLY_TEXTS).identity(identity_fields(words)), strict=True))
    assert json.loads(kept["client_headers"]) == {"x-session-id": "[mail]"}
    assert not any(Redactor(RedactSettings(identities=("session",))).identity(identity_fields(words))[8:])


def test_a_call_that_another_thread_writes_is_kept_without_what_the_rules_take_out(tmp_path):
    words = "one two " * (5 << 17)
    body = json.dumps({"model": "m", "user": "u-1", "messages": [{"role": "user", "content": words}]}).encode()
    with Upstream(lambda seen: plain(200, b'{"user":"u-1"}')) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            redact=RULES,
        )
        with Gateway(settings) as gateway:
            gateway.call(body=body)
    (exchange,) = spooled(tmp_path / "spool")
    kept = json.loads(exchange.request_body)
    assert (kept["user"], kept["messages"][0]["content"] == words) == ("[user]", True)
    assert json.loads(exchange.response_body)["user"] == "[user]"
