"""A stored replay plan run by Dagster: once, with a check on its failures, and noted as a batch."""

from __future__ import annotations

import json

from dagster import DagsterInstance, RunConfig, materialize

from regraft.domain.replay.job import Variant
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.replay import plans as replay
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.dagster.replay import StoredPlan, replay_batch
from regraft.presentation.dagster.resources import Servers
from support.gateways import Upstream, free_port
from support.scripted_upstream import plain


def test_a_stored_plan_is_a_batch_that_is_run_once(truth, nats_url, calls, tmp_path, monkeypatch):
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(calls())], SeenIds())
        lineage.build(truth)
        (row,) = connection.execute("SELECT node_id FROM session_turn").fetchall()
    plan_id = replay.save(truth, replay.prepare(truth, [row["node_id"]], [Variant()], 2))
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}
    with Upstream(lambda seen: plain(200, json.dumps({"model": "m", "choices": [choice]}).encode())) as upstream:
        monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
        monkeypatch.setenv("REGRAFT_NATS__URL", nats_url)
        monkeypatch.setenv("REGRAFT_GATEWAY__PORT", str(free_port()))
        monkeypatch.setenv("REGRAFT_UPSTREAMS", json.dumps({"main": {"base_url": upstream.base_url}}))
        with DagsterInstance.ephemeral() as instance:
            for ran in (2, 0):
                result = materialize(
                    [replay_batch],
                    instance=instance,
                    resources={"servers": Servers()},
                    run_config=RunConfig({"replay_batch": StoredPlan(plan=str(plan_id))}),
                )
                assert result.success
                (made,) = result.asset_materializations_for_node("replay_batch")
                assert made.metadata["ran"].value == ran
                assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
        assert len(upstream.seen) == 2
    with connect(truth) as connection:
        batches = connection.execute("SELECT pipeline, partitions FROM pipeline_batch").fetchall()
    assert batches == [{"pipeline": "replays", "partitions": [str(plan_id)]}] * 2
