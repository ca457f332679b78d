"""Taskification and orchestration by the real local model, from the command line. It is too small to plan well: its
plan may fail, but then that is what is told and stored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regraft.infra.embedded.model import MODEL
from support.gateways import free_port

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]
CONFIG = f"""
[orchestrators.tiny]
model = "{MODEL}"
workers = {{ helper = "{MODEL}" }}
max_steps = 2
concurrency = 1
max_tokens = 32
timeout = 240
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty working folder that the account of an embedded PostgreSQL can reach."""
    folder = Path(tempfile.mkdtemp(prefix="regraft-orchestrate-"))
    folder.chmod(0o755)
    (folder / "regraft.toml").write_text(CONFIG)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def regraft(place: Path, port: int, *arguments: str) -> tuple[int, Any]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
    environment = {**clean, "REGRAFT_DATA_DIR": str(place / "data"), "REGRAFT_GATEWAY__PORT": str(port)}
    command = [sys.executable, "-m", "regraft", *arguments, "--json"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_local_model_plans_works_and_answers_and_every_call_of_it_is_stored_with_its_step(place: Path) -> None:
    port = free_port()
    code, said = regraft(place, port, "orchestrate", "Name two colours of the rainbow.", "--with", "tiny")
    assert code == 0
    assert said["answer"].strip()
    assert said["usage"]["completion_tokens"] > 0
    told = said["regraft"]
    assert told["plan"]["status"] in ("planned", "repaired", "failed")
    assert all(step["status"] == "done" for step in told["steps"])

    code, plan = regraft(place, port, "taskifications", told["taskification_id"])
    assert code == 0
    assert plan["status"] == told["plan"]["status"]
    assert plan["turn_ids"] == told["plan"]["turn_ids"]
    assert plan["prompt"] == "Name two colours of the rainbow."
    assert plan["model_snapshot_id"].startswith(f"{MODEL}@gguf-blake2b:")
    assert (plan["plan"] is None) == (plan["status"] == "failed") == (not told["steps"])
    runs = {run["step"]: run for run in plan["runs"]}
    asked = {"plan"} | ({"repair"} if plan["status"] != "planned" else set())
    assert set(runs) == {*asked, *(step["id"] for step in told["steps"]), "synthesis", "answer"}
    assert {run["run_status"] for run in runs.values()} == {"ok"}
    inner = sum(run["completion_tokens"] for run in runs.values() if run["backend"] != "orchestrator")
    assert inner == said["usage"]["completion_tokens"]

    code, again = regraft(
        place, port, "taskify", "--prompt", "Name a colour.", "--max-steps", "1", "--worker", "helper"
    )
    assert again["made"]
    assert code == (1 if again["status"] == "failed" else 0)
    assert regraft(place, port, "taskify", "--prompt", "Name a colour.")[1]["made"] is False
