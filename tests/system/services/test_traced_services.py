"""The settings of traces reach every process that has to know them: the gateway, ingest, the web process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from pathlib import Path

import pytest

from regraft.infra.embedded.postgres import PostgresEndpoint
from support.deployments import deployed, fails
from support.gateways import free_port
from support.otlp_receiver import OtlpReceiver
from support.waiting import until
from support.web_process import WebProcess

VARIABLE = "TEST_OTLP_HEADERS"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def ask(port: int) -> str:
    """The turn of a call of a client that traces itself."""
    body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "hello"}]})
    headers = {"Content-Type": "application/json", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", body, headers)
        return str(connection.getresponse().headers["x-regraft-turn"])


def test_services_of_a_data_folder_export_with_the_headers_of_a_variable(
    tmp_path: Path, postgres: PostgresEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "authorization=Bearer%20of-the-receiver")
    web = free_port()
    with OtlpReceiver() as receiver:
        config = f"""
web.port = {web}
[otel]
endpoint = "{receiver.url}"
headers_env = "{VARIABLE}"
sample_ratio = 0.0
"""
        with deployed(tmp_path, postgres, config) as place:
            process = WebProcess(tmp_path, web)
            process.start()
            try:
                turn = ask(place.port)
                until(lambda: {each.service for each in receiver.spans} == {"regraft-ingest", "regraft-web"})
            finally:
                process.stop()
    call = receiver.by_turn()[turn]
    (placed,) = [each for each in receiver.spans if each.service == "regraft-web"]
    assert (call.service, call.trace_id, call.parent_id) == ("regraft-ingest", TRACE, SPAN)
    assert (placed.trace_id, placed.parent_id) == (TRACE, call.span_id)
    assert placed.name == f"place {placed['regraft.branch.kind']}"
    assert {each["authorization"] for each in receiver.headers} == {"Bearer of-the-receiver"}
    assert b"of-the-receiver" not in receiver.raw


def test_ingest_says_what_is_wrong_with_the_settings_before_it_takes_a_call(
    tmp_path: Path, postgres: PostgresEndpoint
) -> None:
    with deployed(tmp_path, postgres) as place:
        named = {"REGRAFT_OTEL__ENDPOINT": "http://127.0.0.1:4318", "REGRAFT_OTEL__HEADERS_ENV": VARIABLE}
        assert VARIABLE not in os.environ
        fails(place.regraft("ingest", **named), 2, VARIABLE, "is not set")
        fails(place.regraft("ingest", REGRAFT_OTEL__ENDPOINT="localhost:4318"), 2, "otel.endpoint", "http://host:4318")
