"""`regraft up --detach` and `regraft down`, and commands of other terminals meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regraft.infra.embedded.leases import users_of
from regraft.infra.embedded.state import RunFolder
from regraft.infra.files.owner_token import OwnerTokenFile
from support.gateways import free_port
from support.waiting import until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the account of an embedded PostgreSQL can reach."""
    with tempfile.TemporaryDirectory(prefix="regraft-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    ports = {f"REGRAFT_{name}__PORT": str(free_port()) for name in ("GATEWAY", "WEB", "DAGSTER")}
    return {**os.environ, **ports, "REGRAFT_DATA_DIR": str(place / "data")}


@pytest.fixture
def regraft(place: Path, environment: dict[str, str]) -> Iterator[Run]:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "regraft", *words]
        return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=200)

    yield run
    run("down")


def test_detached_services_run_until_down_and_status_names_who_uses_them(regraft: Run, place: Path) -> None:
    assert "does not run" in regraft("down").stdout
    up = regraft("up", "--detach", "--no-dagster", "--no-model")
    assert up.returncode == 0, up.stderr
    assert "`regraft down` stops everything" in up.stdout
    token = OwnerTokenFile(place / "data").current()
    assert token is not None
    opened = json.loads(regraft("open", "--json").stdout)
    assert opened["url"].endswith(f"/#key={token}")
    assert regraft("open", "--print").stdout == f"{opened['url']}\n"
    assert f"Page: {opened['url'].partition('/#')[0]} (`regraft open`" in up.stdout
    kept = [up.stdout, *(log.read_text("utf-8", "replace") for log in (place / "data/logs").glob("*.log"))]
    assert not any(token in text for text in kept)
    shown = json.loads(regraft("status", "--json").stdout)
    assert shown["up"]["ready"] is True
    services = {row["service"]: row for row in shown["services"]}
    running = {name for name, row in services.items() if row["state"] == "running"}
    assert running >= {"postgres", "nats", "gateway", "ingest", "web"}
    assert [user.partition(" (")[0] for user in services["gateway"]["users"]] == ["regraft up"]
    again = regraft("up", "--detach")
    assert again.returncode == 0, again.stderr
    assert f"All is up already (process {shown['up']['pid']})." in again.stdout
    in_front = regraft("up")
    assert in_front.returncode == 2
    assert "`regraft up` runs already" in in_front.stderr
    assert f"`regraft up` (process {shown['up']['pid']}) watches over them" in regraft("status").stdout
    assert regraft("sessions").returncode == 0
    down = regraft("down")
    assert (down.returncode, down.stdout) == (0, "Stopped.\n")
    assert json.loads(regraft("down", "--json").stdout) == {"stopped": None, "in_use": {}}
    assert json.loads(regraft("status", "--json").stdout)["up"] is None
    closed = regraft("open")
    assert (closed.returncode, closed.stdout) == (5, "")
    assert "`regraft up` starts it" in closed.stderr
    run = RunFolder.of(place / "data")
    assert [name for name in services if (state := run.read(name)) and state.alive()] == []


def test_down_does_not_cut_off_a_command_that_uses_the_servers(
    regraft: Run, place: Path, environment: dict[str, str]
) -> None:
    assert regraft("up", "--detach", "--no-dagster", "--no-model").returncode == 0
    command = [sys.executable, "-m", "regraft", "db", "psql"]
    with subprocess.Popen(
        command, cwd=place, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write("SELECT 'before';\n")
        psql.stdin.flush()
        assert any("before" in line for line in psql.stdout)
        down = regraft("down")
        assert "postgres is used by" in down.stdout
        psql.stdin.write("SELECT 'after';\n")
        psql.stdin.flush()
        assert any("after" in line for line in psql.stdout)
        psql.stdin.close()
        assert psql.wait(60) == 0
    run = RunFolder.of(place / "data")
    state = run.read("postgres")
    assert state is not None
    assert not state.alive()
    assert users_of(run.users("postgres")) == []


def test_detaching_from_two_terminals_at_once_starts_one_stack_and_both_wait_until_it_is_up(
    regraft: Run, place: Path
) -> None:
    with ThreadPoolExecutor(2) as terminals:
        done = list(terminals.map(lambda _: regraft("up", "--detach", "--no-dagster", "--no-model"), range(2)))
    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    shown = json.loads(regraft("status", "--json").stdout)
    assert shown["up"]["ready"] is True
    assert {row["state"] for row in shown["services"] if row["service"] in ("gateway", "ingest", "web")} == {"running"}
    os.kill(shown["up"]["pid"], signal.SIGKILL)  # its services end with it, and it is started again
    again = regraft("up", "--detach", "--no-dagster", "--no-model")
    assert again.returncode == 0, again.stderr
    assert json.loads(regraft("status", "--json").stdout)["up"]["pid"] != shown["up"]["pid"]


def test_services_in_the_foreground_of_several_terminals_share_servers_and_are_used_by_commands(
    regraft: Run, place: Path, environment: dict[str, str]
) -> None:
    upstream = {"REGRAFT_UPSTREAMS__MAIN__BASE_URL": "http://127.0.0.1:9/v1"}  # no local model: none is asked
    terminals = {
        name: subprocess.Popen(
            [sys.executable, "-m", "regraft", name],
            cwd=place,
            env={**environment, **upstream},
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("gateway", "ingest")
    }
    try:
        until(lambda: running(place, "gateway") and running(place, "ingest"), 60)
        shown = {row["service"]: row for row in json.loads(regraft("status", "--json").stdout)["services"]}
        assert {shown[name]["process"] for name in terminals} == {each.pid for each in terminals.values()}
        second = regraft("gateway")
        assert second.returncode == 1
        assert f"`regraft gateway` runs already for {place / 'data'}" in second.stderr
        up = regraft("up", "--detach", "--no-dagster", "--no-model")
        assert up.returncode == 0, (up.stdout, up.stderr)
        shown = {row["service"]: row for row in json.loads(regraft("status", "--json").stdout)["services"]}
        assert shown["gateway"]["process"] == terminals["gateway"].pid
        assert {user.partition(" (")[0] for user in shown["nats"]["users"]} >= {"regraft up", "regraft gateway"}
        assert regraft("down").returncode == 0
        assert [each.poll() for each in terminals.values()] == [None, None]
    finally:
        for each in terminals.values():
            each.send_signal(signal.SIGINT)
        errors = {name: each.communicate(timeout=60)[1] for name, each in terminals.items()}
    assert "Traceback" not in "".join(errors.values())
    assert not running(place, "nats")
    assert not running(place, "postgres")


def test_ctrl_c_before_all_is_up_leaves_nothing_behind(regraft: Run, place: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "regraft", "up", "--detach", "--no-dagster", "--no-model"]
    with subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True) as terminal:
        assert terminal.stdout is not None
        assert any("NATS" in line for line in terminal.stdout)  # some of it runs
        terminal.send_signal(signal.SIGINT)
        assert terminal.wait(60) == 130
    names = ("up", "postgres", "nats", "gateway", "ingest", "web")
    until(lambda: not any(running(place, name) for name in names), 90)
    assert "does not run" in regraft("down").stdout


def running(place: Path, service: str) -> bool:
    state = RunFolder.of(place / "data").read(service)
    return state is not None and state.alive()


@pytest.mark.parametrize(
    "words",
    [
        ("sessions",),
        ("tree", "0123"),
        ("find", "words"),
        ("dataset", "list"),
        ("dataset", "freeze", "demo-sft"),
        ("evaluate", "units"),
        ("replay", "0123", "--dry-run"),
        ("quarantine", "list"),
        ("web",),
        ("db", "url"),
        ("label",),
    ],
)
def test_a_command_that_reads_makes_no_log_and_names_where_it_looked(
    regraft: Run, place: Path, words: tuple[str, ...]
) -> None:
    done = regraft(*words)
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert f"There is no log in {place / 'data'}, which REGRAFT_DATA_DIR names." in done.stderr
    assert "`regraft import FILE`" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (place / "data").exists()


@pytest.mark.parametrize("words", [("status",), ("doctor",), ("down",), ("keys", "list")])
def test_a_command_about_the_place_itself_makes_nothing(regraft: Run, place: Path, words: tuple[str, ...]) -> None:
    done = regraft(*words)
    assert "Traceback" not in done.stderr
    assert not (place / "data").exists()
