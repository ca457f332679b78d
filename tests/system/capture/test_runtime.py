"""The runtime tables follow the log: every call once, tool calls with their results, who called whom, in what order."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from regraft.domain.capture.exchange import Exchange
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.capture.runtime import build_runtime
from regraft.infra.duckdb.capture.runtime import TABLES, RuntimeTables
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.regraft_command import regraft_command

USER = {"role": "user", "content": "Weather in Oslo?"}
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "Error: no such city"}
PLAN = "00000000-0000-4000-8000-000000000001:search"


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


def keep(dsn: str, *exchanges: Exchange) -> None:
    with connect(dsn, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())


def embedding(calls: Any) -> Exchange:
    reply = {"model": "e", "data": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    made: Exchange = calls(
        request=json.dumps({"model": "e", "input": "hi"}).encode(),
        response=json.dumps(reply).encode(),
        circumstances={"endpoint": "/v1/embeddings"},
    )
    return made


def conversation(calls: Any) -> list[Exchange]:
    who = {"session": "trip", "theme": "weather", "task": "oslo"}
    return [
        calls([USER], CALLING, who=who),
        calls([USER, CALLING, RESULT], "I could not find it.", who=who),
        calls([USER], "Snow.", model="large", who={**who, "purpose": "replay"}),
        calls([{"role": "user", "content": "part one"}], "done", who={"purpose": "worker", "plan": PLAN}),
        calls.failed([{"role": "user", "content": "Bergen?"}], status=503),
        embedding(calls),
    ]


def test_every_call_is_counted_once_with_its_tokens(truth: str, bench: Path, calls: Any) -> None:
    keep(truth, *conversation(calls))
    done = build_runtime(truth, bench)
    assert (done.calls, done.turns) == (6, 5)
    assert done.rows == RuntimeTables(bench).counts()
    found = {row["model"]: row for row in RuntimeTables(bench).rows("token_usage")}
    assert (found["e"]["prompt_tokens"], found["e"]["completion_tokens"], found["e"]["session_id"]) == (7, None, None)
    assert (found["large"]["purpose"], found["large"]["prompt_tokens"]) == ("replay", 5)
    assert sum(row["failed"] for row in RuntimeTables(bench).rows("token_usage")) == 1
    assert build_runtime(truth, bench).calls == 0


def test_a_turn_says_what_was_asked_and_answered(truth: str, bench: Path, calls: Any) -> None:
    keep(truth, *conversation(calls))
    build_runtime(truth, bench)
    found = {row["answer"]: row for row in RuntimeTables(bench).rows("llm_chat_turns")}
    told = found["I could not find it."]
    assert (told["asked_role"], told["asked"], told["messages"]) == ("tool", "Error: no such city", 3)
    assert (told["theme"], told["task_key"], told["seconds"]) == ("weather", "oslo", 0.005)
    assert found[None]["node_status"] == "error"


def test_a_tool_call_gets_its_result_when_the_next_call_comes(truth: str, bench: Path, calls: Any) -> None:
    first, second, *_ = conversation(calls)
    keep(truth, first)
    build_runtime(truth, bench)
    (waiting,) = RuntimeTables(bench).rows("llm_tool_calls")
    assert (waiting["name"], waiting["arguments"], waiting["result"]) == ("weather", '{"city":"Oslo"}', None)
    keep(truth, second)
    build_runtime(truth, bench)
    (paired,) = RuntimeTables(bench).rows("llm_tool_calls")
    assert (paired["result"], paired["result_length"], paired["is_error"]) == ("Error: no such city", 19, True)
    assert (paired["turn_id"], paired["result_turn_id"]) == (first.event_id, second.event_id)
    assert paired["seconds"] == pytest.approx(0.995)


def test_it_is_known_who_called_whom(truth: str, bench: Path, calls: Any) -> None:
    keep(truth, *conversation(calls))
    build_runtime(truth, bench)
    edges = {(row["caller"], row["callee"]): row for row in RuntimeTables(bench).rows("flow_edges")}
    assert {pair: (row["calls"], row["errors"]) for pair, row in edges.items()} == {
        ("client:default", "model:m"): (3, 1),
        ("client:default", "model:e"): (1, 0),
        ("replay:default", "model:large"): (1, 0),
        ("orchestrator:default", "worker:search"): (1, 0),
        ("worker:search", "model:m"): (1, 0),
        ("model:m", "tool:weather"): (1, 1),
    }
    assert edges["worker:search", "model:m"]["completion_tokens"] == 3
    nodes = {
        row["node"]: (row["kind"], row["name"], row["calls_made"]) for row in RuntimeTables(bench).rows("flow_nodes")
    }
    assert nodes["worker:search"] == ("worker", "search", 1)
    assert nodes["tool:weather"] == ("tool", "weather", 0)
    assert set(nodes) == {node for pair in edges for node in pair}


def test_a_timeline_tells_a_session_in_order(truth: str, bench: Path, calls: Any) -> None:
    keep(truth, *conversation(calls))
    build_runtime(truth, bench)
    with connect(truth) as connection:
        row = connection.execute("SELECT session_id FROM session WHERE external_id = 'trip'").fetchone()
    assert row
    found = RuntimeTables(bench).rows("session_timeline", session=row["session_id"])
    assert [(row["position"], row["kind"], row["callee"], row["failed"]) for row in found] == [
        (1, "turn", "model:m", False),
        (2, "tool_call", "tool:weather", True),
        (3, "turn", "model:m", False),
        (4, "turn", "model:large", False),
    ]
    assert [row["offset_seconds"] for row in found] == pytest.approx([0, 0.005, 1, 2])


def test_deleting_the_workbench_and_making_it_again_gives_equal_tables(truth: str, bench: Path, calls: Any) -> None:
    made = conversation(calls)
    for exchange in (made[1], made[5], made[0], made[4], made[2], made[3]):  # results before calls
        keep(truth, exchange)
        build_runtime(truth, bench)
    grown = RuntimeTables(bench).everything()
    assert {row["name"] for row in grown} == set(TABLES)
    bench.unlink()
    build_runtime(truth, bench)
    assert RuntimeTables(bench).everything() == grown


def test_a_truth_that_ends_before_the_tables_do_makes_them_anew(truth: str, bench: Path, calls: Any) -> None:
    keep(truth, *conversation(calls))
    build_runtime(truth, bench)
    whole = RuntimeTables(bench).everything()
    RuntimeTables(bench).set_watermark("runtime", 10**9)
    build_runtime(truth, bench)
    assert RuntimeTables(bench).everything() == whole


def test_a_call_that_is_committed_late_is_not_passed_over(truth: str, bench: Path, calls: Any) -> None:
    early, slow, fast = (calls([{"role": "user", "content": word}], word) for word in ("early", "slow", "fast"))
    keep(truth, early)  # with what the others share: no one waits for them
    done = []
    with connect(truth) as late:
        late.execute("SELECT 1")  # a transaction around the one of ingest
        ingest(late, [encode_exchange(slow)], SeenIds())
        keep(truth, fast)
        building = threading.Thread(target=lambda: done.append(build_runtime(truth, bench)))
        building.start()
        with connect(truth, autocommit=True) as other:
            waits = (
                "SELECT count(*) AS n FROM pg_locks WHERE relation = 'pipeline_event_inbox'::regclass AND NOT granted"
            )
            while building.is_alive() and other.execute(waits.encode()).fetchone() != {"n": 1}:
                pass
        assert done == []
        late.commit()
    building.join()
    assert done[0].calls == 3
    assert {row["answer"] for row in RuntimeTables(bench).rows("llm_chat_turns")} == {"early", "slow", "fast"}


def test_texts_that_no_table_can_hold_are_kept_readable(truth: str, bench: Path, calls: Any) -> None:
    function = {"name": "f\0", "arguments": "\ud800"}
    calling = {"role": "assistant", "content": "a\0b", "tool_calls": [{"id": "\0", "function": function}]}
    keep(truth, calls([{"role": "user", "content": "\ud800?"}], calling))
    build_runtime(truth, bench)
    (turn,) = RuntimeTables(bench).rows("llm_chat_turns")
    assert (turn["asked"], turn["answer"]) == ("\ufffd?", "a␀b")
    (call,) = RuntimeTables(bench).rows("llm_tool_calls")
    assert (call["name"], call["arguments"], call["call_id"]) == ("f␀", "\ufffd", "␀")


def test_nothing_captured_gives_empty_tables(truth: str, bench: Path) -> None:
    done = build_runtime(truth, bench)
    assert (done.calls, done.seq) == (0, 0)
    assert done.rows == dict.fromkeys(TABLES, 0)


def test_the_commands_build_and_show_every_table(truth: str, tmp_path: Path, calls: Any) -> None:
    keep(truth, *conversation(calls))
    environment = {**os.environ, "REGRAFT_DATA_DIR": str(tmp_path), "REGRAFT_POSTGRES__DSN": truth}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return regraft_command("runtime", *arguments, cwd=tmp_path, environment=environment)

    assert json.loads(run("build", "--json").stdout)["calls"] == 6
    assert "0 new calls" in run("build").stdout
    for table in TABLES:
        assert run("show", table).stdout.count("\n") > 1
        rows = json.loads(run("show", table, "--session", "trip", "--json").stdout)
        assert rows
        assert all(row.get("session_id", rows[0].get("session_id")) == rows[0].get("session_id") for row in rows)
    wrong = run("show", "everything")
    assert (wrong.returncode, len(wrong.stderr.strip().splitlines())) == (2, 1)
    assert "session_timeline" in wrong.stderr
