"""Prometheus as Debian packages it: its checker, and a real server that a test asks by its API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.gateways import free_port
from support.waiting import until


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``. Skips the test where the machine has none, and fails it in CI."""
    found = shutil.which(name)
    if found is None:
        message = f"{name} is not installed: apt-get install prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@dataclass(slots=True)
class PrometheusServer:
    """A server for one test. ``folder`` holds ``prometheus.yml`` and gets its data."""

    folder: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        self.port = free_port()
        log = (self.folder / "prometheus.log").open("wb")
        options = [f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'tsdb'}"]
        address = f"--web.listen-address=127.0.0.1:{self.port}"
        self._process = subprocess.Popen([program("prometheus"), *options, address], stdout=log, stderr=log)
        log.close()
        until(self._is_ready)

    def stop(self) -> None:
        """Return when it has ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "prometheus.log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def api(self, path: str, **parameters: str | float) -> Any:
        """The data of an answer of the API; a refusal fails the test with what it says."""
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now: ``{"metric": labels, "value": [time, text]}``."""
        found: list[dict[str, Any]] = self.api("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The value of an expression that gives one series, or None where it gives none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        """The names of alerts that fire."""
        return {each["labels"]["alertname"] for each in self.api("alerts")["alerts"] if each["state"] == "firing"}
