"""Ctrl-C at any moment: no traceback, the exit code of an interrupt, and a log that continues."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MOMENTS = (0.1, 0.7, 1.5, 3.0)  # seconds after the start: while it loads, connects, works, and ends
ENDS = {0, 130, -signal.SIGINT}  # it was done before; it was interrupted; it was not loaded yet


@pytest.fixture
def environment(tmp_path: Path, truth: str, nats_url: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
    return {
        **clean,
        "REGRAFT_DATA_DIR": str(tmp_path / "data"),
        "REGRAFT_POSTGRES__DSN": truth,
        "REGRAFT_NATS__URL": nats_url,
    }


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    with path.open("w") as file:
        for number in range(2_000):
            said = [
                {"role": "user", "content": f"question {number}"},
                {"role": "assistant", "content": f"answer {number} " * 20},
            ]
            file.write(json.dumps({"messages": said}) + "\n")
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("import", "talks.jsonl"),
        ("sessions", "--json"),
        ("evaluate", "units", "-n", "1"),
        ("dataset", "freeze", "demo-sft"),
    ],
    ids=lambda words: words[0],
)
def test_an_interrupted_command_ends_without_a_traceback_and_runs_again(
    environment: dict[str, str], talks: Path, words: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "regraft", *words]
    for moment in MOMENTS:
        with subprocess.Popen(
            command, cwd=talks.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as run:
            time.sleep(moment)
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        assert "Traceback" not in errors, (moment, errors)
        assert run.returncode in ENDS | {1, 3}, (moment, run.returncode, errors)  # there are no rows, or no log yet
    again = subprocess.run(
        [sys.executable, "-m", "regraft", "import", "talks.jsonl"],
        cwd=talks.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "regraft", "status", "--json"],
        cwd=talks.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    counts = json.loads(shown.stdout)["counts"]
    assert (counts["turns"], counts["quarantine"]) == (2_000, 0)
