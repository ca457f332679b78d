"""``/metrics`` of processes that have no server of their own."""

from __future__ import annotations

import http.client
import socket

import pytest
from starlette.testclient import TestClient

from regraft.domain.errors import PortInUseError
from regraft.infra.telemetry.metrics import INGEST_CALLS
from regraft.infra.telemetry.page_server import MetricsServer
from regraft.infra.telemetry.process_metrics import ProcessMetrics
from regraft.presentation.web.app import make_app


def ask(port, path, method="GET", host="127.0.0.1", **headers):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"], answer.read().decode()
    finally:
        connection.close()


def test_it_serves_what_was_counted_and_nothing_else():
    metrics = ProcessMetrics("ingest")
    with MetricsServer("127.0.0.1", 0, metrics.render) as server:
        metrics.count(INGEST_CALLS, by=2)
        status, kind, page = ask(server.port, "/metrics?x=1")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert "regraft_ingest_calls_total 2.0" in page
        assert "process_cpu_seconds_total" in page
        assert "regraft_build_info{" in page
        assert ask(server.port, "/metrics", accept="application/openmetrics-text")[2].endswith("# EOF\n")
        assert ask(server.port, "/metrics", "HEAD")[2] == ""
        assert ask(server.port, "/healthz")[2] == "ok\n"
        assert ask(server.port, "/other")[0] == 404
        assert ask(server.port, "/metrics", "POST")[0] == 501
        sizes = [ask(server.port, f"/made-up-{number}")[0] for number in range(50)]
        assert set(sizes) == {404}
        assert "made-up" not in ask(server.port, "/metrics")[2]
    with pytest.raises(ConnectionRefusedError):
        ask(server.port, "/metrics")


def test_a_client_that_says_nothing_keeps_no_other_waiting():
    with MetricsServer("127.0.0.1", 0, ProcessMetrics("web").render) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
        assert ask(server.port, "/healthz")[0] == 200
        for each in silent:
            each.close()


def test_it_listens_where_it_is_told():
    with MetricsServer("::1", 0, ProcessMetrics("web").render) as server:
        assert ask(server.port, "/healthz", host="::1")[0] == 200
        with pytest.raises(ConnectionRefusedError):
            ask(server.port, "/healthz")


def test_a_taken_port_is_one_line_that_names_the_setting():
    render = ProcessMetrics("ingest").render
    with (
        MetricsServer("127.0.0.1", 0, render) as server,
        pytest.raises(PortInUseError, match=r"Address already in use; set ingest\.metrics_port"),
    ):
        MetricsServer("127.0.0.1", server.port, render, "ingest.metrics_port")


def test_a_thousand_invented_paths_and_methods_add_no_series_to_the_web_page(truth):
    def ask_all(client, name):
        client.get(f"/api/sessions/{name}")
        client.get(f"/api/{name}")
        client.get(f"/{name}", headers={"accept": "application/json"})
        client.request(name.upper(), "/api/sessions")

    def series(client):
        lines = client.get("/metrics").text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    with TestClient(make_app(truth), base_url="http://localhost") as client:
        ask_all(client, "invented")
        series(client)  # a request itself
        before = series(client)
        for number in range(1000):
            ask_all(client, f"invented-{number}")
        found = series(client)
    assert found == before
    assert not any("invented" in each.lower() for each in found)
    assert 'regraft_web_requests_total{route="none",status="404"}' in found
