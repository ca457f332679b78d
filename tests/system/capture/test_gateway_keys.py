"""Access to the gateway: virtual keys, their models and paths, and feedback with them."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time

import pytest

from regraft.domain.errors import NotFoundError
from regraft.infra.config.gateway import GatewaySection
from regraft.infra.files.keys import KeyStore
from regraft.infra.settings import WebSection
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import BODY, Gateway, Upstream, free_port, gateway_to, spooled
from support.scripted_upstream import Pause, Script, plain
from support.waiting import until

TURN = "018f2d5c-0000-7000-8000-000000000001"


@pytest.fixture
def store(tmp_path):
    return KeyStore(tmp_path / "keys.json")


@pytest.fixture
def locked(tmp_path, store):
    """A gateway that wants keys."""
    with Upstream(lambda seen: plain(200, b'{"data":[]}')) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url, api_key="upstream-key")},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            keys=store.path,
        )
        with Gateway(settings) as gateway:
            gateway.upstream = upstream
            yield gateway


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def refusal(answer):
    status, _, body = answer
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return status, error["code"]


def test_without_a_valid_key_nothing_passes(locked, store):
    secret = store.create("a")[1]
    for headers in (
        {},
        bearer("rgk_wrong"),
        bearer("sk-1"),
        bearer(secret + "x"),
        {"Authorization": f"Basic {secret}"},
    ):
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/v1/files")):
            assert refusal(locked.call(method, path, headers=headers)) == (401, "invalid_api_key")
    assert locked.upstream.seen == []
    assert locked.call("GET", "/healthz", None)[0] == 200
    assert locked.metrics()['regraft_gateway_refusals_total{reason="invalid_api_key"}'] == 15


def test_a_key_lets_in_names_the_tenant_and_is_shown_to_nobody(tmp_path, locked, store, caplog):
    key, secret = store.create("a", scope="tenant-7")
    assert locked.call(headers=bearer(secret))[0] == 200
    assert locked.call(headers={"x-api-key": secret})[0] == 200
    for seen in locked.upstream.seen:
        assert seen.header("authorization") == "Bearer upstream-key"
        assert seen.header("x-api-key") is None
        assert secret not in str(seen.headers)
    locked.__exit__(None, None, None)
    assert {each.scope for each in spooled(tmp_path / "spool")} == {"tenant-7"}
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in kept
    assert secret not in caplog.text
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert key.digest.encode() in kept


def test_without_a_key_of_its_own_a_server_never_sees_the_virtual_one(tmp_path, store):
    secret = store.create("a")[1]
    with Upstream(lambda seen: plain(200, b"{}")) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            keys=store.path,
        )
        with Gateway(settings) as gateway:
            assert gateway.call(headers=bearer(secret))[0] == 200
            assert upstream.seen[0].header("authorization") is None


def test_a_revoked_key_ends_within_seconds_and_a_new_one_begins(locked, store):
    key, secret = store.create("a")
    assert locked.call(headers=bearer(secret))[0] == 200
    KeyStore(store.path).revoke(key.key_id[:6])
    until(lambda: locked.call(headers=bearer(secret))[0] != 200, 5)
    assert refusal(locked.call(headers=bearer(secret))) == (401, "invalid_api_key")
    fresh = store.create("b")[1]
    until(lambda: locked.call(headers=bearer(fresh))[0] == 200, 5)
    assert [each.revoked is None for each in store.all()] == [False, True]
    with pytest.raises(NotFoundError, match="No key begins with 'zzz'"):
        store.revoke("zzz")
    with pytest.raises(NotFoundError, match="No key begins with ''"):
        store.revoke("")


def test_a_key_asks_only_for_its_models(locked, store):
    secret = store.create("a", models=("gpt-*", "small"))[1]
    for body, status in ((b'{"model":"gpt-5"}', 200), (b'{"model":"small"}', 200), (b'{"model":"large"}', 403)):
        assert locked.call(body=body, headers=bearer(secret))[0] == status
    assert refusal(locked.call(body=b"{}", headers=bearer(secret))) == (403, "model_not_allowed")
    assert locked.call("POST", "/v1/audio/speech", b'{"model":"large"}', bearer(secret))[0] == 403


def test_a_key_has_a_rate(locked, store):
    one, other = store.create("a", per_minute=3)[1], store.create("b")[1]
    assert [locked.call(headers=bearer(one))[0] for _ in range(4)] == [200, 200, 200, 429]
    status, headers, body = locked.call(headers=bearer(one))
    assert refusal((status, headers, body)) == (429, "rate_limit_exceeded")
    assert 1 <= int(headers["retry-after"]) <= 21
    assert locked.call(headers=bearer(other))[0] == 200


def test_a_key_has_so_many_calls_at_once(tmp_path, store):
    secret = store.create("a", max_concurrency=1)[1]
    with Upstream(lambda seen: Script((Pause(0.2), *plain(200, b"{}").steps))) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            keys=store.path,
        )
        with Gateway(settings) as gateway:
            line = f"authorization: Bearer {secret}\r\n".encode()
            socks = [gateway.raw(headers=line) for _ in range(3)]
            began = time.monotonic()
            assert all(sock.recv(65536).startswith(b"HTTP/1.1 200 ") for sock in socks)
            assert time.monotonic() - began > 0.4
            for sock in socks:
                sock.close()


def test_a_file_that_cannot_be_read_lets_nobody_in(locked, store):
    store.path.write_text("{")
    assert refusal(locked.call(headers=bearer("rgk_x"))) == (503, "keys_unavailable")


@pytest.mark.parametrize(
    ("host", "needed"), [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True)]
)
def test_beyond_this_machine_keys_are_needed(host, needed):
    names = ["llm.example.com"]
    assert GatewaySection(host=host, hosts=names).needs_keys is needed
    assert GatewaySection(host=host, hosts=names, require_keys=not needed).needs_keys is not needed


@pytest.mark.parametrize(("section", "more"), [(GatewaySection, {}), (WebSection, {"token": "0123456789abcdef"})])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_who_listens_on_every_address_says_which_names_are_meant(section, more, host):
    with pytest.raises(ValueError, match="hosts must list its names"):
        section(host=host, **more)
    assert section(host=host, hosts=["*"], **more).hosts == ["*"]


# Feedback


@pytest.mark.parametrize(
    "said",
    [
        {"turn_id": TURN, "reward": 0.5},
        {"session": "s-1", "rating": -1, "comment": "no", "name": "taste"},
        {"turn_id": TURN, "value": True, "name": "solved"},
    ],
)
def test_feedback_goes_the_way_of_the_calls(tmp_path, said):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, upstream):
        body = json.dumps(said).encode()
        status, _, answer = gateway.call(path="/v1/feedback", body=body)
        assert status == 202
        assert upstream.seen == []
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.endpoint, exchange.request_body, exchange.status) == ("/v1/feedback", body, 202)
    assert json.loads(answer) == {"id": str(exchange.event_id), "object": "feedback", "target": "unchecked"}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", BODY, b'{"turn_id":"x","reward":1}', b'{"session":"s"}', b'{"session":"s","reward":1e999}',
     b'{"session":"s","reward":"1"}', b'{"session":"","rating":1}', b'{"reward":1}'],
)  # fmt: skip
def test_feedback_that_says_nothing_is_refused(tmp_path, body):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, _):
        assert refusal(gateway.call(path="/v1/feedback", body=body)) == (400, "invalid_feedback")
        assert refusal(gateway.call("GET", "/v1/feedback", None)) == (405, "method_not_allowed")
    assert spooled(tmp_path / "spool") == []


def test_a_secret_goes_into_a_new_file_of_its_owner_and_no_key_is_made_without_one(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    command = [sys.executable, "-m", "regraft", "keys", "create", "own", "--file"]
    place = tmp_path / "own-key"
    done = subprocess.run([*command, str(place)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    secret = place.read_text().strip()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert secret not in done.stdout
    keys = KeyStore(tmp_path / "data" / "keys.json")
    assert keys.find(secret).name == "own"
    for other, said in ((place, "exists already"), (tmp_path / "missing" / "key", "No such file")):
        refused = subprocess.run([*command, str(other)], capture_output=True, text=True)
        assert refused.returncode != 0
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    assert len(keys.all()) == 1
    assert place.read_text().strip() == secret
