"""Captured calls are visible: reading commands build the graph for waiting turns, and services follow the log."""

from __future__ import annotations

import sys

import pytest
from starlette.testclient import TestClient

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage.build import catch_up, waiting_turns
from regraft.infra.embedded.state import wait_until
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.pool import connect, transaction
from regraft.presentation.cli.main import main
from regraft.presentation.web.app import make_app


@pytest.fixture
def captured(truth, calls):
    """Store calls in the log without placing them; ``captured(n)``."""

    def call(count=1):
        with connect(truth, autocommit=True) as connection:
            for _ in range(count):
                made = calls([{"role": "user", "content": "a question that waits"}], "an answer")
                ingest(connection, [encode_exchange(made)], SeenIds())

    return call


def test_a_reader_places_the_turns_that_wait(truth, captured):
    assert catch_up(truth) == 0
    captured(3)
    assert waiting_turns(truth) == 3
    assert catch_up(truth) == 0


def test_a_reader_does_not_wait_for_another_builder_and_says_how_many_wait(truth, captured):
    captured(2)
    with transaction(truth) as connection:
        store.lock(connection)
        assert catch_up(truth) == 2
    assert catch_up(truth) == 0


def command(monkeypatch, truth, tmp_path, *words):
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["regraft", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0


def test_a_command_lists_a_conversation_that_was_captured_a_moment_ago(truth, captured, monkeypatch, tmp_path, capsys):
    captured()
    command(monkeypatch, truth, tmp_path, "sessions")
    assert "a question that waits" in capsys.readouterr().out
    captured()
    with transaction(truth) as connection:
        store.lock(connection)
        command(monkeypatch, truth, tmp_path, "sessions", "--json")
    assert "1 captured turn waits for the graph: run `regraft lineage build`." in capsys.readouterr().err


def test_the_api_shows_a_conversation_soon_after_it_was_captured(truth, captured):
    with TestClient(make_app(truth, following=True)) as client:
        captured()

        def shown():
            return [each["opening"] for each in client.get("/api/sessions").json()["sessions"]]

        assert wait_until(lambda: shown() == ["a question that waits"], 20)
