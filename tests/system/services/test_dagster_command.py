"""The command that runs Dagster: on an embedded PostgreSQL, refuses foreign pages, and leaves no process behind."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateways import free_port


def test_the_command_runs_dagster_on_an_embedded_postgresql_and_ends_all_of_it(
    servers_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGRAFT_POSTGRES__DSN", raising=False)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(servers_dir / "dagster"))
    port = free_port()
    monkeypatch.setenv("REGRAFT_DAGSTER__PORT", str(port))
    # As a shell starts a program in the background: Dagster would then be deaf to SIGTERM, too.
    program = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    argv = [sys.executable, "-c", program, sys.executable, "-m", "regraft", "dagster"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        reader = threading.Thread(target=process.stdout.read if process.stdout else print, daemon=True)
        reader.start()
        deadline = time.monotonic() + 200
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert_guarded(port)
        (dagster,) = children(process.pid, "regraft.presentation.dagster.dev dev")
        group = os.getpgid(dagster)
        assert len(members(group)) > 3
        process.terminate()
        assert process.wait(60) == 0
    assert members(group) == []
    assert not (servers_dir / "dagster" / "postgres" / "postmaster.pid").exists()


def assert_guarded(port: int) -> None:
    """A foreign page can change nothing, and reads nothing under its own name."""
    query, kind = '{"query":"mutation { reloadWorkspace { __typename } }"}', "application/json"
    own = f"http://127.0.0.1:{port}"
    for body, headers in (
        (query, {"Content-Type": "text/plain"}),
        (query, {"Content-Type": "text/plain; application/json"}),
        (query, {}),
        (query, {"Content-Type": kind, "Origin": "https://evil.example"}),
        (query, {"Content-Type": kind, "Host": f"evil.example:{port}"}),
        (query, {"Content-Type": kind, "Sec-Fetch-Site": "cross-site"}),
    ):
        assert asked(port, "POST", "/graphql", body, headers) == 403, headers
    assert asked(port, "GET", "/graphql?query=mutation%7B__typename%7D", None, {"Accept": kind}) == 403
    assert asked(port, "GET", "/server_info", None, {"Host": "evil.example"}) == 403
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "graphql-ws"}
    assert asked(port, "GET", "/graphql", None, {**upgrade, "Origin": "https://evil.example"}) == 403
    assert asked(port, "GET", "/graphql", None, {**upgrade, "Origin": own}) == 101
    assert asked(port, "GET", "/", None, {"Accept": "text/html", "Sec-Fetch-Site": "none"}) == 200
    read = '{"query":"{ version }"}'
    assert asked(port, "POST", "/graphql", read, {"Content-Type": kind, "Origin": own}) == 200


def asked(port: int, method: str, path: str, body: str | None, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def processes() -> Iterator[tuple[int, int, int, str]]:
    """Process, parent, group and command line of all that run; the dead that no one waited for are left out."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                status, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if status != "Z":
                    command = (entry / "cmdline").read_text("utf-8", "replace").replace("\0", " ")
                    yield int(entry.name), int(parent), int(group), command


def children(parent: int, command: str) -> list[int]:
    return [one for one, above, _, line in processes() if above == parent and command in line]


def members(group: int) -> list[int]:
    return [one for one, _, its, _ in processes() if its == group]
