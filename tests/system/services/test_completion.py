"""What a shell completes, of a real log and of what is always known."""

from __future__ import annotations

import pytest

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage.build import build
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.cli import completion


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def test_sessions_and_models_of_the_log_are_completed(truth, calls, place, monkeypatch):
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    named = calls(
        [{"role": "user", "content": "a question\nof two lines"}], "yes", who={"session": "trip"}, model="tiny"
    )
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(named)], SeenIds())
    build(truth)
    (by_id, by_name) = completion.sessions("")
    assert by_name == ("trip", "a question of two lines")
    assert completion.sessions(by_id[0][:8]) == [by_id]
    assert completion.models("ti") == [("tiny", "")]
    assert completion.models("x") == []
    assert completion.snapshots("") == []


def test_where_no_database_runs_nothing_is_completed_and_nothing_is_made(place):
    assert completion.sessions("") == []
    assert completion.snapshots("") == []
    assert not (place / "data").exists()


def test_names_that_are_always_known_are_completed(place):
    (place / "mine.toml").write_text("")
    (place / "regraft.toml").write_text("")
    assert completion.targets("open") == [("openai", ""), ("open-unlearning", "")]
    assert ("demo-dpo", "built in") in completion.recipes("demo")
    assert completion.recipes("mi") == [("mine.toml", "")]
    assert ("chatgpt", "ChatGPT conversations.json") in completion.formats("chat")
