"""Embedded servers that several processes use: the last one stops them, and none is interrupted."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from regraft.infra.embedded.leases import users_of
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import EmbeddedPostgres
from regraft.infra.embedded.process import port_open
from regraft.infra.embedded.state import RunFolder, wait_until
from support.embedded_servers import Server, state_of, stopped_after

SERVERS = [pytest.param(EmbeddedPostgres, "postgres", id="postgres"), pytest.param(EmbeddedNats, "nats", id="nats")]


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    return open_folder


@pytest.mark.parametrize(("kind", "name"), SERVERS)
def test_a_server_outlives_who_started_it_until_nobody_uses_it(data_dir: Path, kind: type[Server], name: str) -> None:
    first, second, third = kind(data_dir), kind(data_dir), kind(data_dir)
    with stopped_after(first, second, third):
        started = first.start()
        second.start()
        first.stop()
        assert third.start().port == started.port
        second.stop()
        assert port_open("127.0.0.1", started.port)
        third.stop()
        assert not port_open("127.0.0.1", started.port)


@pytest.mark.parametrize(("kind", "name"), SERVERS)
def test_a_server_ends_when_all_its_users_are_killed(data_dir: Path, kind: type[Server], name: str) -> None:
    code = f"""
        import pathlib, sys, time
        from {kind.__module__} import {kind.__name__}
        {kind.__name__}(pathlib.Path(sys.argv[1])).start()
        print("started", flush=True)
        time.sleep(600)
    """
    users = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(data_dir)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for user in users:
        assert user.stdout is not None
        with user.stdout:
            assert user.stdout.readline() == "started\n"
    state = state_of(data_dir, name)
    assert len(users_of(RunFolder.of(data_dir).users(name))) == 2
    users[0].kill()
    users[0].wait()
    time.sleep(0.5)
    assert state.alive()
    users[1].kill()
    users[1].wait()
    assert wait_until(lambda: not state.alive(), 20)


def test_servers_that_start_and_stop_at_once_cut_nobody_off(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with stopped_after(server):
        server.start()

    def use(turn: int) -> str:
        mine = EmbeddedPostgres(data_dir)
        with stopped_after(mine), psycopg.connect(mine.start().dsn) as connection:
            connection.execute("SELECT pg_sleep(%s)", [0.05 * (turn % 4)])
            row = connection.execute("SELECT %s::text", [str(turn)]).fetchone()
            assert row is not None
            return str(row[0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(16))) == [str(turn) for turn in range(16)]
