"""Erasures where PostgreSQL and NATS are servers of the user's: a call that still waits there is reached too."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

from regraft.domain.capture.exchange import Exchange
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.pool import connect
from support.regraft_command import clean_environment, regraft_command

SECRET = "Mirabelle 90210"


async def publish(url: str, exchanges: list[Exchange]) -> None:
    async with await CallStream.connect(url) as stream:
        await stream.ensure()
        await stream.publish_pack([encode_exchange(each) for each in exchanges])


async def waiting(url: str) -> int:
    async with await CallStream.connect(url) as stream:
        return await stream.waiting()


def regraft(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    own = {"REGRAFT_DATA_DIR": str(folder / "data"), "REGRAFT_START_SERVICES": "false", **settings}
    return regraft_command(*words, cwd=folder, environment=clean_environment(**own), timeout=200)


def files_with(content: bytes, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and content in path.read_bytes()]


def test_a_call_that_waits_in_the_stream_is_stored_and_erased(
    truth: str, nats_server: Any, calls: Any, tmp_path: Path
) -> None:
    kept = calls([{"role": "user", "content": "Which plum?"}], "A damson.", who={"session": "one"})
    said = calls([{"role": "user", "content": f"Is {SECRET} free?"}], f"{SECRET} is free.", who={"session": "two"})
    asyncio.run(publish(nats_server.url, [kept, said]))
    assert asyncio.run(waiting(nats_server.url)) == 1
    trace = encode_exchange(said)[-60:]  # of its compressed answer
    assert files_with(trace, tmp_path)
    servers = {"REGRAFT_POSTGRES__DSN": truth, "REGRAFT_NATS__URL": nats_server.url}
    done = regraft(tmp_path, "erase", "--matching", SECRET, "--yes", "--json", **servers)
    assert done.returncode == 0, done.stderr
    certificate = json.loads(done.stdout)
    assert certificate["remaining"] == []
    assert certificate["found"]["messages"] == 2
    assert "dagster" in certificate["left_over"]
    assert asyncio.run(waiting(nats_server.url)) == 0
    with connect(truth) as connection:
        bodies = " ".join(
            row["body"] for row in connection.execute("SELECT body::text AS body FROM message").fetchall()
        )
    assert "damson" in bodies
    assert SECRET not in bodies
    nats_server.stop()  # all it holds is on its disk
    assert not files_with(trace, tmp_path)
    assert not files_with(SECRET.encode(), tmp_path)


def test_a_server_that_is_away_is_said_and_nothing_is_changed(truth: str, tmp_path: Path) -> None:
    servers = {"REGRAFT_POSTGRES__DSN": truth, "REGRAFT_NATS__URL": "nats://127.0.0.1:1"}
    done = regraft(tmp_path, "erase", "--matching", SECRET, "--yes", "--json", **servers)
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr
    assert "127.0.0.1:1" in done.stderr
    with connect(truth) as connection:
        assert connection.execute("SELECT count(*) AS n FROM erasure").fetchone() == {"n": 0}
