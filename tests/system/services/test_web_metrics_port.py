"""A Prometheus without a token reads the metrics of a web process whose every request needs one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from support.gateways import free_port
from support.web_process import WebProcess


def page(port: int, path: str = "/metrics") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


@pytest.fixture
def web(truth, tmp_path):
    ports = free_port(), free_port()
    tokens = json.dumps(str(tmp_path / "tokens.json"))
    (tmp_path / "regraft.toml").write_text(
        f"data_dir = {json.dumps(str(tmp_path / 'data'))}\npostgres.dsn = {json.dumps(truth)}\n"
        f"[web]\nport = {ports[0]}\nmetrics_port = {ports[1]}\ntokens_file = {tokens}\n"
    )
    process = WebProcess(tmp_path, ports[0])
    process.start()
    yield ports
    process.stop()


def test_metrics_have_a_port_of_their_own_that_needs_no_token_and_shows_nothing_else(web):
    own, metrics = web
    assert page(own)[0] == 401
    assert page(own, "/api/sessions")[0] == 401
    status, text = page(metrics)
    assert status == 200
    assert "regraft_web_requests_in_flight 0.0" in text
    assert page(metrics, "/api/sessions")[0] == 404
    assert page(metrics, "/")[0] == 404
