"""Builds of models: counted with the runs, in the same transaction, from what pins each one."""

from __future__ import annotations

import json

import pytest

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.replay.models import listed
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect


def user(text):
    return {"role": "user", "content": text}


@pytest.fixture
def keep(truth):
    """Store calls and place them."""

    def store(*exchanges):
        with connect(truth, autocommit=True) as connection:
            ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
        lineage.build(truth)

    return store


def builds(dsn):
    with connect(dsn) as connection:
        return {row["model_snapshot_id"]: row for row in listed(connection)}


def answered(calls, text, pin="", **rest):
    """A call whose answer says of its build what ``rest`` says."""
    reply = {
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"to {text}"}}],
        **rest,
    }
    return calls([user(text)], response=json.dumps(reply).encode(), circumstances={"upstream_pin": pin})


def test_a_build_is_known_by_its_pin_then_its_fingerprint_then_its_version_then_its_name(truth, calls, keep):
    keep(
        answered(calls, "a", pin="sha", system_fingerprint="fp"),
        answered(calls, "b", system_fingerprint="fp", modelVersion="2"),
        answered(calls, "c", modelVersion="2"),
        answered(calls, "d"),
    )
    found = {name: row["pinned_by"] for name, row in builds(truth).items()}
    assert found == {"m@sha": "pin", "m@fp": "fingerprint", "m@version:2": "version", "m": "name"}


def test_a_build_counts_its_runs_and_remembers_when_it_was_seen_also_over_several_builds_of_the_graph(
    truth, calls, keep
):
    keep(answered(calls, "a", system_fingerprint="one"), answered(calls, "b", system_fingerprint="one"))
    first = builds(truth)["m@one"]
    keep(answered(calls, "c", system_fingerprint="one"))
    second = builds(truth)["m@one"]
    assert (first["runs"], second["runs"]) == (2, 3)
    assert second["first_seen"] == first["first_seen"]
    assert second["last_seen"] > first["last_seen"]


def test_a_later_build_replaces_an_earlier_one_and_a_failed_call_replaces_none(truth, calls, keep):
    keep(
        answered(calls, "a", system_fingerprint="one"),
        answered(calls, "b", system_fingerprint="two"),
        calls.failed([user("c")]),
    )
    states = {name: (row["state"], row["replaced_by"]) for name, row in builds(truth).items()}
    assert states == {"m@one": ("replaced", "m@two"), "m@two": ("current", None), "m": ("unknown", None)}


def test_a_graph_that_is_derived_again_has_the_same_builds(truth, calls, keep):
    keep(answered(calls, "a", system_fingerprint="one"), answered(calls, "b", pin="sha"))
    before = builds(truth)
    lineage.rebuild(truth)
    assert builds(truth) == before


def test_runs_that_are_taken_out_are_counted_no_longer(truth, calls, keep):
    keep(answered(calls, "a", system_fingerprint="one"), answered(calls, "b", system_fingerprint="two"))
    with connect(truth, autocommit=True) as connection:
        connection.execute("DELETE FROM execution_run_records WHERE model_snapshot_id = 'm@one'")
    assert set(builds(truth)) == {"m@two"}


def test_a_name_of_any_length_is_kept(truth, calls, keep):
    name = "".join(chr(0x4E00 + at * 7 % 20000) for at in range(20_000))
    keep(answered(calls, "a", system_fingerprint=name))
    assert set(builds(truth)) == {f"m@{name}"}
