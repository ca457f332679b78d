"""The gateway's metrics: names invented by clients add no series, and gauges show the real state."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import time
from contextlib import ExitStack

import pytest

from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from regraft.presentation.gateway.worker_numbers import WorkerNumbers
from support.gateways import CHAT, gateway_to, spooled
from support.scripted_upstream import Pause, Script, plain

INVENTED = 1000
STATUSES = ("2xx", "4xx", "5xx", "cut")
OPENMETRICS = "application/openmetrics-text"


def test_a_thousand_invented_models_paths_and_methods_add_no_series(tmp_path):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, _):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.settings.port, timeout=20)

        def send(method, path, body=None):
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            connection.getresponse().read()

        def send_all(name):
            send("POST", CHAT, json.dumps({"model": name}))
            send("POST", f"/v1/files/{name}", "{}")
            send("GET", f"/{name}")
            send("MKCOL", f"/v1/models/{name}")  # a method that the parser knows, and the API does not
            with socket.create_connection(("127.0.0.1", gateway.settings.port), 20) as sock:
                sock.sendall(b"%b /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n" % name.upper().encode())
                assert sock.recv(12) == b"HTTP/1.1 400"

        send_all("invented")
        before = gateway.metrics()
        for number in range(INVENTED):
            send_all(f"invented-{number}")
        connection.close()
        counted = gateway.metrics()
        assert counted.keys() == before.keys()
        assert not any("invented" in each.lower() for each in counted)
        assert counted[f'regraft_gateway_calls_total{{endpoint="{CHAT}",status="2xx",upstream="main"}}'] == INVENTED + 1
        assert counted['regraft_gateway_calls_total{endpoint="other",status="2xx",upstream="main"}'] == INVENTED + 1
        for reason in ("unknown_url", "method_not_allowed", "http_400"):
            assert counted[f'regraft_gateway_refusals_total{{reason="{reason}"}}'] == INVENTED + 1


def test_failures_are_series_before_the_first_of_them(tmp_path):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, _):
        assert gateway.metrics()['regraft_gateway_retries_total{upstream="main"}'] == 0
        assert gateway.call()[0] == 200
        shown = gateway.metrics()
    name = 'regraft_gateway_calls_total{endpoint="%s",status="%s",upstream="main"}'
    assert [shown[name % (CHAT, status)] for status in STATUSES] == [1, 0, 0, 0]


def test_calls_in_flight_and_in_the_queue_are_shown_while_they_are_there(tmp_path):
    slow = Script((Pause(1.5), *plain(200, b"{}").steps))
    with gateway_to(tmp_path, lambda seen: slow, max_concurrency=1, queue=5) as (gateway, _), ExitStack() as stack:
        idle = gateway.metrics()
        assert idle["regraft_gateway_calls_in_flight"] == 0
        assert idle['regraft_gateway_upstream_calls_limit{upstream="main"}'] == 1
        asked = [stack.enter_context(gateway.raw()) for _ in range(3)]
        until = time.monotonic() + 10
        while (shown := gateway.metrics())["regraft_gateway_calls_in_flight"] < 3:
            assert time.monotonic() < until, "three calls are under way"
        assert shown['regraft_gateway_calls_waiting{limit="upstream",upstream="main"}'] == 2
        assert shown["regraft_gateway_connections"] >= 4
        for each in asked:
            each.close()
        while gateway.metrics()["regraft_gateway_calls_in_flight"]:
            assert time.monotonic() < until, "they are over when their clients have left"


def test_the_times_of_the_model_server_and_of_the_gateway_are_apart(tmp_path):
    slow = Script((Pause(0.1), *plain(200, b"{}").steps))
    with gateway_to(tmp_path, lambda seen: slow) as (gateway, _):
        for _ in range(3):
            assert gateway.call()[0] == 200
        shown = gateway.metrics()
        name = "regraft_gateway_upstream_seconds"
        assert shown[f'{name}_count{{upstream="main"}}'] == shown["regraft_gateway_overhead_seconds_count"] == 3
        assert shown[f'{name}_bucket{{le="0.08",upstream="main"}}'] == 0
        assert shown[f'{name}_sum{{upstream="main"}}'] >= 0.3
        assert shown["regraft_gateway_overhead_seconds_sum"] < 0.3
        assert gateway.call("GET", "/v1/models", None)[0] == 200
        assert gateway.metrics()["regraft_gateway_overhead_seconds_count"] == 4, "it was forwarded too"


def test_the_page_tells_the_spool_the_version_and_the_process(tmp_path):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, _):
        assert gateway.call()[0] == 200
        shown = gateway.metrics()
        assert shown["regraft_gateway_spool_segments"] == 1
        assert 0 < shown["regraft_gateway_spool_bytes"] < shown["regraft_gateway_spool_limit_bytes"] == 8 << 30
        assert shown["regraft_gateway_body_memory_limit_bytes"] == 256 << 20
        assert shown["regraft_gateway_drainer_restarts_total"] == 0
        assert shown["process_resident_memory_bytes"] > 1 << 20
        assert 0 < shown["process_open_fds"] < shown["process_max_fds"]
        assert any(re.fullmatch(r'regraft_build_info\{version="[^"]+"\}', each) for each in shown)
    assert len(spooled(tmp_path / "spool")) == 1


@pytest.mark.parametrize(
    ("accept", "kind"), [("", "text/plain"), ("?", "text/plain"), (f"{OPENMETRICS};version=1.0.0", OPENMETRICS)]
)
def test_a_scraper_gets_the_format_that_it_asks_for(tmp_path, accept, kind):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, _):
        status, headers, page = gateway.call("GET", "/metrics", None, {"Accept": accept})
        assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
        assert (b"# EOF" in page) == (kind != "text/plain")


@pytest.mark.parametrize("killed", [False, True])
def test_a_gateway_process_goes_on_from_what_its_predecessor_had_counted(tmp_path, killed):
    one = UpstreamSettings(base_url="http://127.0.0.1:1")
    settings = GatewaySettings(upstreams={"main": one}, spool=tmp_path / "spool", workers=2)

    async def live(number, captured, end):
        metrics = Metrics()
        metrics.captured, metrics.stream_up = captured, 1
        numbers = WorkerNumbers(settings, number, metrics)
        numbers.begin()
        page = metrics.render(numbers.others()).body.decode()
        if end:
            numbers.end()
        return page

    asyncio.run(live(0, 5, end=not killed))
    asyncio.run(live(1, 7, end=not killed))
    page = asyncio.run(live(0, 2, end=True))
    assert "regraft_gateway_captured_total 14.0" in page
    page = asyncio.run(live(1, 1, end=True))
    assert "regraft_gateway_captured_total 15.0" in page
