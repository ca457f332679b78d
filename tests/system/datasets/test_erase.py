"""Erasures: afterwards no byte of the content is in any file of the data folder, and the tree keeps its shape."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest
import zstandard

from regraft.domain.evaluation.review_queue import QueueFilter
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.evaluation.desk import desk_at
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.queue import QueueSize, fill_queue
from regraft.flows.evaluation.review import rate_unit, record_preference
from regraft.flows.lineage import build as lineage
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.embedded.stack import GATEWAY, Stack
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import load_settings
from support.gateways import Upstream, free_port
from support.regraft_command import regraft_command
from support.scripted_upstream import Script, Seen, plain
from support.waiting import until

MARK = "Kirsche4711Quitte"
TEXT = f'the "{MARK}" of Zürich\n🍒'
SECRET = re.compile(MARK.encode())
SAID = "SELECT context_messages(context_id)::text AS said FROM session_turn WHERE turn_id = %(t)s"
SFT = 'name = "good"\nkind = "sft"\n[select]\nper_context = 0\n'


def model(seen: Seen) -> Script:
    """Answers with what it was asked last; says the marker in every place of an answer where it was asked for."""
    try:
        asked = json.loads(seen.body)
    except ValueError:
        return plain(400, json.dumps({"error": {"message": f"unreadable: {TEXT}"}}).encode())
    said = json.dumps(asked["messages"][-1]["content"])
    if "fail" in said:
        return plain(400, json.dumps({"error": {"message": f"refused: {TEXT}", "code": "bad"}}).encode())
    message: dict[str, Any] = {"role": "assistant", "content": f"You asked: {said}"}
    if MARK in said and "tool" in said:
        function = {"name": "look", "arguments": json.dumps({"query": TEXT})}
        message = {
            "role": "assistant",
            "content": None,
            "reasoning_content": f"I think of {TEXT}",
            "tool_calls": [{"id": f"call_{MARK}", "type": "function", "function": function}],
        }
    reason = "tool_calls" if "tool_calls" in message else "stop"
    reply = {
        "id": "chatcmpl-1",
        "model": asked["model"],
        "system_fingerprint": "fp",
        "service_note": TEXT if MARK in said else "",
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }
    return plain(200, json.dumps(reply).encode())


class Home:
    """A data folder of its own with all its servers."""

    def __init__(self, folder: Path, stack: Stack, port: int) -> None:
        self.folder, self.stack, self.port = folder, stack, port
        self.data = folder / "data"
        self.dsn = stack.postgres()

    def regraft(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = regraft_command(*arguments, cwd=self.folder, timeout=300)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def told(self, *arguments: str) -> Any:
        done = self.regraft(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def call(self, body: Any, path: str = "/v1/chat/completions", **headers: str) -> UUID:
        """A call through the gateway; the id of its turn."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", path, sent, {"Content-Type": "application/json", **given})
            response = connection.getresponse()
            response.read()
        return UUID(response.headers["x-regraft-turn"])

    def feedback(self, body: dict[str, Any]) -> None:
        """A judgement, stored."""
        before = self.ask("SELECT count(*) AS n FROM feedback")[0]["n"]
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", "/v1/feedback", json.dumps(body), {"Content-Type": "application/json"})
            assert connection.getresponse().status == 202
        until(lambda: self.ask("SELECT count(*) AS n FROM feedback")[0]["n"] > before)

    def settle(self, *turns: UUID) -> None:
        wait_until_stored(self.dsn, list(turns))
        lineage.build(self.dsn)

    def ask(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with connect(self.dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()


@contextlib.contextmanager
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="regraft-erase-"))
    folder.chmod(0o755)
    port = free_port()
    try:
        with Upstream(model) as upstream:
            (folder / "regraft.toml").write_text(
                f"data_dir = {json.dumps(str(folder / 'data'))}\ngateway.port = {port}\n"
                f"[upstreams.main]\nbase_url = {json.dumps(upstream.base_url)}\n"
            )
            stack = Stack(load_settings(folder / "regraft.toml"), folder / "regraft.toml")
            try:
                stack.postgres()
                stack.run(GATEWAY, port=port, port_setting="gateway.port", health=f"{stack.gateway_url()}/healthz")
                stack.ingest()
                yield Home(folder, stack, port)
            finally:
                stack.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def files_with_the_marker(folder: Path) -> list[str]:
    """Every file in which the marker stands: as it is, or in what is compressed in it."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if SECRET.search(data) or any(SECRET.search(each) for each in unpacked(path, data)):
                found.append(str(path.relative_to(folder)))
    return found


def unpacked(path: Path, data: bytes) -> Iterator[bytes]:
    if path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False).encode()
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as bench:
            for (table,) in bench.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                yield repr(bench.execute(f'SELECT * FROM "{table}"').fetchall()).encode()
    at = data.find(b"\x28\xb5\x2f\xfd")
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError, MemoryError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at : at + (4 << 20)])
        at = data.find(b"\x28\xb5\x2f\xfd", at + 4)
    if data[:2] == b"\x1f\x8b":
        with contextlib.suppress(OSError, zlib.error, EOFError):
            yield gzip.decompress(data)
    if path.suffix == ".avro":
        for block in data.split(data[-16:])[1:-1]:
            start = 0
            for _ in range(2):  # two numbers of variable length: objects, and bytes
                while block[start] & 0x80:
                    start += 1
                start += 1
            with contextlib.suppress(zlib.error):
                yield zlib.decompress(block[start:], -15)


def rows_with_the_marker(dsn: str) -> list[str]:
    """Every column of every table in which the marker stands, as PostgreSQL reads it."""
    found = []
    with psycopg.connect(dsn) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns c JOIN information_schema.tables t"
            " USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        for table, column in columns:
            query = f'SELECT count(*) FROM "{table}" WHERE strpos("{column}"::text, \'{MARK}\') > 0'
            row = connection.execute(query.encode()).fetchone()
            if row and row[0]:
                found.append(f"{table}.{column}")
    return found


def talk_of_it(home: Home) -> tuple[UUID, UUID]:
    """A conversation with the marker in every place, and one without; their sessions."""
    tools = [{"type": "function", "function": {"name": "look", "description": TEXT, "parameters": {"type": "object"}}}]
    who = {
        "X_Regraft_Session": f"of-{MARK}",
        "X_Regraft_Theme": f"theme {MARK}",
        "X_Regraft_Task": f"task {MARK}",
        "X_Regraft_Variant": json.dumps({"note": MARK}),
    }
    history = [
        {"role": "system", "content": f"You know of {TEXT}."},
        {"role": "user", "content": [{"type": "text", "text": f"Use a tool for {TEXT}."}], "name": "ann"},
    ]
    settings = {"model": "small", "temperature": 0.5, "stop": [MARK], "metadata": {"note": TEXT}, "user": MARK}
    first = home.call({**settings, "messages": history, "tools": tools}, **who)
    home.settle(first)
    (row,) = home.ask("SELECT m.body::text AS body FROM session_turn t JOIN message m ON m.message_id = t.answer_id")
    answer = json.loads(row["body"])
    assert answer["reasoning_content"]
    history += [answer, {"role": "tool", "tool_call_id": f"call_{MARK}", "content": f"found {TEXT}" + " x" * 4000}]
    second = home.call({**settings, "messages": history, "tools": tools}, **who)
    again = home.call({**settings, "messages": history, "tools": tools, "temperature": 0.9}, **who)
    failed = home.call({**settings, "messages": [*history, {"role": "user", "content": "fail"}]}, **who)
    broken = home.call(b'{"model": "small", "messages": "' + MARK.encode(), **who)
    other = home.call({"model": "small", "messages": [{"role": "user", "content": "What is a plum?"}]})
    home.settle(second, again, failed, other)
    home.feedback({"turn_id": str(second), "reward": 1.0, "comment": f"because of {TEXT}", "source": MARK})
    wait_until_stored(home.dsn, [broken])
    (session,) = {
        row["session_id"] for row in home.ask("SELECT session_id FROM session_turn WHERE turn_id = %(t)s", t=second)
    }
    (kept,) = {
        row["session_id"] for row in home.ask("SELECT session_id FROM session_turn WHERE turn_id = %(t)s", t=other)
    }
    return session, kept


def judge_it(home: Home, session: UUID) -> None:
    bench = home.data / "workbench.duckdb"
    propose_pairs(home.dsn, bench)
    for unit in Workbench(bench).units():
        rate_unit(home.dsn, unit["unit_id"], 5, "ann", note=f"as {TEXT}")
    for pair in Workbench(bench).pairs():
        if pair["session_id"] == session:
            record_preference(home.dsn, bench, pair["pair_id"], "a", "ann", note=f"for {TEXT}")
    fill_queue(home.dsn, bench, QueueSize(reviewers=3))
    desk = desk_at(home.dsn, "bob")
    held = desk.claim(QueueFilter(session_id=session), limit=2)
    desk.renew(held[0].lease_id, {"note": f"perhaps {TEXT}"})
    desk.flag(held[1].lease_id, f"see {TEXT}")
    desk.skip(held[1].lease_id, "other", f"no {TEXT}")
    (node,) = home.ask(
        "SELECT node_id FROM conversation_branch_nodes WHERE session_id = %(s)s AND depth = 2 ORDER BY 1 LIMIT 1",
        s=session,
    )
    done = home.regraft("replay", str(node["node_id"]), "--system", f"Say {TEXT}")
    assert done.returncode == 0, done.stderr
    lineage.build(home.dsn)


@pytest.mark.timeout(600)
def test_nothing_of_an_erased_session_is_in_any_file(tmp_path: Path) -> None:
    with home() as here:
        session, kept = talk_of_it(here)
        judge_it(here, session)
        (here.folder / "good.toml").write_text(SFT)
        frozen = here.told("dataset", "freeze", str(here.folder / "good.toml"))
        here.told("runtime", "build")
        with connect(here.dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")  # until then rows are in memory and in the log alone
        held = files_with_the_marker(here.data)
        for place in ("/pg_wal/", "/base/", "spool/", "workbench.duckdb", "warehouse/"):
            assert any(place in f"/{path}" for path in held), (place, held)
        before = here.ask(
            "SELECT node_id, parent_node_id, branch_kind, node_status, runs FROM conversation_branch_nodes ORDER BY 1"
        )
        forget = tmp_path / "forget"
        told = here.told("erase", "--dry-run", "--session", str(session))
        assert told["found"]["messages"] > 3
        assert "message.body" in rows_with_the_marker(here.dsn)
        told = here.told("erase", "--yes", "--session", str(session), "--forget", str(forget))
        assert told["remaining"] == []
        assert told["left_over"] == {}, told["left_over"]
        assert rows_with_the_marker(here.dsn) == []
        after = here.ask(
            "SELECT node_id, parent_node_id, branch_kind, node_status, runs FROM conversation_branch_nodes ORDER BY 1"
        )
        assert after == before
        assert "[erased]" in here.regraft("tree", str(session)).stdout
        assert "plum" in here.regraft("tree", str(kept)).stdout
        for row in after:
            assert here.regraft("show", str(row["node_id"])).returncode == 0
        (snapshot,) = told["snapshots"]
        assert snapshot["snapshot_id"] == frozen["snapshot_id"]
        assert snapshot["successor"]
        assert MARK in (forget / "forget.jsonl").read_text()
        assert "plum" in (forget / "retain.jsonl").read_text()
        assert here.regraft("dataset", "verify", frozen["snapshot_id"]).returncode == 1
        assert here.regraft("dataset", "verify", snapshot["successor"]).returncode == 0
        here.stack.close()
        left = files_with_the_marker(here.data)
        assert left == []


@pytest.mark.timeout(600)
def test_nothing_of_an_erased_text_is_in_any_file_and_it_does_not_come_back() -> None:
    with home() as here:
        session, _ = talk_of_it(here)
        judge_it(here, session)
        (here.folder / "good.toml").write_text(SFT)
        frozen = here.told("dataset", "freeze", str(here.folder / "good.toml"))
        told = here.told("erase", "--yes", "--matching", MARK)
        assert told["remaining"] == []
        assert told["left_over"] == {}, told["left_over"]
        assert told["target"] is None
        assert rows_with_the_marker(here.dsn) == []
        assert [one["snapshot_id"] for one in told["snapshots"]] == [frozen["snapshot_id"]]
        assert here.told("erase", "--list")["finished_at"]
        system = {"role": "system", "content": f"You know of {TEXT}."}
        again = here.call(
            {
                "model": "small",
                "messages": [
                    system,
                    {"role": "user", "content": "Do you?"},
                ],
            }
        )
        here.settle(again)
        assert rows_with_the_marker(here.dsn) == []
        (row,) = here.ask(SAID, t=again)
        assert "[erased]" in row["said"]
        assert "Do you?" in row["said"]
        here.told("lineage", "rebuild")
        assert here.regraft("dataset", "verify", told["snapshots"][0]["successor"]).returncode == 0
        here.told("erase", "--yes", "--matching", MARK)
        here.stack.close()
        assert files_with_the_marker(here.data) == []
