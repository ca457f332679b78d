"""A model server, a gateway or an ingest process that dies during replays: it is reported, and nothing is lost or
doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from regraft.domain.ids import parse_json
from regraft.domain.replay.job import Variant
from regraft.flows.lineage import build as lineage
from regraft.infra.postgres.pool import connect
from support.consumer import consuming
from support.gateways import free_port
from support.messages import assistant, user
from support.waiting import until
from support.whole_path import Model, WholePath, gateway_before


def test_a_dead_model_server_gives_failures_and_error_nodes(truth, stream_url, tmp_path):
    with Model() as model, gateway_before(model, stream_url, tmp_path / "spool") as port, consuming(truth, stream_url):
        path = WholePath(truth, stream_url, port)
        original, _, _ = path.call([user("hi")])
        node = path.node(original)
        model.die()
        counts = path.replay([node], [Variant(), Variant(model="large")])
        assert (counts.ran, len(counts.failures), len(counts.turns)) == (2, 2, 2)
        group = path.group(original)
        assert [row["branch_index"] for row in group] == [0, 1, 2]
        assert [row["run_status"] for row in group] == ["ok", "error", "error"]
        statuses = path.ask("SELECT node_status FROM conversation_branch_nodes WHERE depth = 1 ORDER BY node_status")
        assert [row["node_status"] for row in statuses] == ["error", "ok"]


def test_a_dead_gateway_gives_failures_and_no_exception(path):
    original, _, _ = path.call([user("hi")])
    counts = path.replay([path.node(original)], [Variant()], samples=2, gateway=f"http://127.0.0.1:{free_port()}")
    assert (counts.ran, counts.turns, len(counts.failures)) == (2, [], 2)
    assert len(path.group(original)) == 1


def test_an_ingest_process_killed_in_the_middle_of_traffic_loses_and_doubles_nothing(
    truth, stream_url, model, tmp_path
):
    # The environment of a deployment: every server is named, none is started here.
    environment = {
        **os.environ,
        "REGRAFT_DATA_DIR": str(tmp_path / "data"),
        "REGRAFT_POSTGRES__DSN": truth,
        "REGRAFT_NATS__URL": stream_url,
        "REGRAFT_UPSTREAMS": json.dumps({"main": {"base_url": model.base_url}}),
    }
    log = (tmp_path / "ingest.log").open("wb")

    def start():
        command = [sys.executable, "-m", "regraft", "ingest"]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)

    def stored():
        with connect(truth) as connection:
            return connection.execute("SELECT count(*) AS n FROM pipeline_event_inbox").fetchone()["n"]

    def at_least(wanted):
        assert process.poll() is None, (tmp_path / "ingest.log").read_text()  # it says why it ended
        return stored() >= wanted

    total = 800
    histories = [[user(f"{n % 40}"), assistant("a"), user(f"{n}")] for n in range(total)]
    with gateway_before(model, stream_url, tmp_path / "spool") as port, ThreadPoolExecutor(4) as clients:
        path = WholePath(truth, stream_url, port)
        process = start()
        try:
            traffic = [clients.submit(path.call, each) for each in histories[:20]]
            until(lambda: at_least(20))  # it is at work
            traffic += [clients.submit(path.call, each) for each in histories[20:]]
            until(lambda: at_least(40))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert stored() < total  # it died in the middle
            turns = [call.result(60) for call in traffic]
            process = start()
            until(lambda: at_least(total))  # what it held comes again when the stream has waited for it in vain
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            log.close()
    assert {row["event_id"] for row in path.ask("SELECT event_id FROM pipeline_event_inbox")} == {
        t for t, _, _ in turns
    }
    assert path.ask("SELECT count(*) AS n FROM session_turn") == [{"n": total}]
    assert path.ask("SELECT count(*) AS n FROM quarantine") == [{"n": 0}]
    assert lineage.build(truth).turns == total
    assert path.ask("SELECT sum(runs) AS n FROM conversation_branch_nodes") == [{"n": total}]
    rows = path.ask("SELECT context_messages(context_id)::text AS messages FROM pipeline_event_inbox")
    assert {parse_json(row["messages"])[2]["content"] for row in rows} == {str(number) for number in range(total)}
