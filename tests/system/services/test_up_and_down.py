"""`regraft up --detach` and `regraft down`, and commands of other terminals meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regraft.infra.embedded.leases import users_of
from regraft.infra.embedded.state import RunFolder
from regraft.infra.files.owner_token import OwnerTokenFile
from support.gateways import free_port

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
    services = {row["service"]: row for row in json.loads(regraft("status", "--json").stdout)["services"]}
    running = {name for name, row in services.items() if row["state"] == "running"}
    assert running >= {"postgres", "nats", "gateway", "ingest", "web"}
    assert [user.partition(" (")[0] for user in services["gateway"]["users"]] == ["regraft up"]
    again = regraft("up", "--detach")
    assert again.returncode != 0
    assert "runs already" in again.stderr
    assert regraft("sessions").returncode == 0
    down = regraft("down")
    assert (down.returncode, down.stdout) == (0, "Stopped.\n")
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
