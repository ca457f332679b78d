"""The whole path on the real local model, as a newcomer runs it, killed half-way and run again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from regraft.infra.embedded.postgres import EmbeddedPostgres
from support.gateways import free_port
from support.waiting import until

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty working folder that the account of an embedded PostgreSQL can reach."""
    folder = Path(tempfile.mkdtemp(prefix="regraft-demo-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
    return {**clean, "REGRAFT_DATA_DIR": str(place / "data"), "REGRAFT_GATEWAY__PORT": str(free_port())}


def regraft(*arguments: str, place: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "regraft", *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_a_demo_whose_ingest_and_then_itself_are_killed_goes_on_where_it_stopped_and_a_third_run_adds_nothing(
    place: Path, environment: dict[str, str]
) -> None:
    state = place / "data" / "run" / "ingest.json"
    first = subprocess.Popen(
        [sys.executable, "-m", "regraft", "demo", "--json"], cwd=place, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: state.exists() and _captured(place) >= 3, 120)
        ingest = json.loads(state.read_text())["pid"]
        os.kill(ingest, signal.SIGKILL)
        until(lambda: _ended(ingest), 120)
    finally:
        first.kill()
        first.wait()

    second = regraft("demo", "--json", place=place, environment=environment)
    assert second.returncode == 0, second.stderr
    told = json.loads(second.stdout)
    assert told["turns"]["captured_before"] >= 3
    assert told["turns"]["asked"] + told["turns"]["captured_before"] == 21
    assert told["replays"]["ran"] == 12
    assert all(snapshot["verified"] for snapshot in told["snapshots"])
    assert {snapshot["kind"] for snapshot in told["snapshots"]} == {"sft", "dpo"}

    server = EmbeddedPostgres(place / "data")
    try:
        with psycopg.connect(server.start().dsn, autocommit=True) as truth:
            one = lambda sql: truth.execute(sql).fetchone()  # noqa: E731
            answered = "FROM session_turn WHERE purpose = 'chat' AND node_status = 'ok'"
            assert one(f"SELECT count(*), count(DISTINCT (session_id, context_projection)) {answered}") == (21, 21)
            assert one("SELECT count(*) FROM quarantine") == (0,)
            lacking = "model IS NULL OR backend IS NULL OR usage IS NULL OR answer_id IS NULL OR duration_ms IS NULL"
            assert one(f"SELECT count(*) FROM execution_run_records WHERE run_status = 'ok' AND ({lacking})") == (0,)
            assert one(
                "SELECT count(*) FROM conversation_branch_nodes WHERE branch_kind <> 'root' AND parent_node_id IS NULL"
            ) == (0,)
            anchors = truth.execute(
                "SELECT array_agg(branch_index ORDER BY branch_index) FROM response_branch_records "
                "GROUP BY context_anchor_turn_id HAVING bool_or(is_replay)"
            ).fetchall()
            assert len(anchors) == 2
            assert all(indexes == list(range(len(indexes))) and len(indexes) >= 7 for (indexes,) in anchors)
    finally:
        server.stop()

    third = regraft("demo", "--json", place=place, environment=environment)
    assert third.returncode == 0, third.stderr
    told = json.loads(third.stdout)
    assert (told["turns"]["asked"], told["replays"]["ran"]) == (0, 0)
    assert [snapshot["created"] for snapshot in told["snapshots"]] == [False, False]


def _captured(place: Path) -> int:
    """Batches that ingest says it has stored."""
    log = place / "data" / "logs" / "ingest.log"
    return log.read_text("utf-8").count(": stored ") if log.exists() else 0
