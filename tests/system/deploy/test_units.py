"""The units of systemd: systemd-analyze finds no mistake in them, and little that they are exposed to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regraft.infra.settings import load_settings
from regraft.presentation.cli.main import INTERRUPTED
from support.composition import DEPLOY

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SERVICES = ("gateway", "ingest", "web", "dagster", "metrics")
MOST_EXPOSED = 15  # tenths, of 100: systemd-analyze calls up to 20 fine


@pytest.fixture(scope="module")
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        message = "systemd-analyze is not here (Debian: apt-get install systemd)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return program


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units with a program that is there, and an instance of the template."""
    placed = []
    for unit in UNITS:
        name = unit.name.replace("@", "@gateway")
        text = unit.read_text().replace("/opt/regraft/bin/regraft", sys.executable)
        (tmp_path / unit.name).write_text(text)
        (tmp_path / name).write_text(text)
        placed.append(tmp_path / name)
    return placed


def test_systemd_finds_no_mistake(analyze: str, units: list[Path]) -> None:
    done = subprocess.run([analyze, "verify", "--man=no", *map(str, units)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_mistake_would_be_found(analyze: str, units: list[Path]) -> None:
    units[0].write_text(units[0].read_text().replace("ProtectSystem=strict", "ProtectSystem=quite"))
    done = subprocess.run([analyze, "verify", "--man=no", str(units[0])], capture_output=True, text=True)
    assert "protect system value" in done.stderr


def test_services_are_exposed_to_little(analyze: str, units: list[Path]) -> None:
    for unit in units:
        command = [analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_variables_are_settings_and_there_is_time_to_finish_calls(
    unit: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("REGRAFT_")]:
        monkeypatch.delenv(name)
    for name in ("postgres_password", "nats_token"):
        (tmp_path / name).write_text("secret")
    (tmp_path / "regraft.toml").write_text('postgres.dsn = "postgresql://regraft@127.0.0.1/regraft"')
    service = read(unit)["Service"]
    assert service["User"][0] == "regraft"
    for line in service["Environment"]:
        name, _, value = line.partition("=")
        if name.startswith("REGRAFT_"):
            monkeypatch.setenv(name, value.replace("%d", str(tmp_path)).replace("/etc/regraft", str(tmp_path)))
    settings = load_settings()
    assert settings.start_services is (unit.name == "regraft.service")
    assert ("password=secret" in settings.postgres.dsn.get_secret_value()) is (unit.name != "regraft.service")
    patience = settings.gateway.drain_notice + settings.gateway.drain_seconds + 15
    assert unit.name == "regraft-migrate.service" or float(service["TimeoutStopSec"][0]) > patience


def test_being_told_to_stop_is_no_failure_of_the_unit_that_runs_everything() -> None:
    assert read(DEPLOY / "systemd" / "regraft.service")["Service"]["SuccessExitStatus"] == [str(INTERRUPTED)]


@pytest.mark.parametrize("service", SERVICES)
def test_the_template_runs_every_service(service: str) -> None:
    (start,) = read(DEPLOY / "systemd" / "regraft@.service")["Service"]["ExecStart"]
    command = start.replace("/opt/regraft/bin/regraft", "-m regraft").replace("%i", service).split()
    done = subprocess.run([sys.executable, *command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def read(unit: Path) -> dict[str, dict[str, list[str]]]:
    """The sections of a unit; a key may be given several times."""
    sections: dict[str, dict[str, list[str]]] = {}
    keys: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            keys = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            keys.setdefault(key, []).append(value)
    return sections
