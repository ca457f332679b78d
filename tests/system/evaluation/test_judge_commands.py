"""The commands of judges, from files to figures, with servers and the local model of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.regraft_command import regraft_command


@pytest.fixture
def regraft(tmp_path: Path, servers_dir: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a separate folder, where two answers to each of three questions were imported."""
    home = servers_dir / tmp_path.name
    home.mkdir()
    home.chmod(0o755)
    lines = []
    for number in range(3):
        votes = {f"annotator{place}": 1 for place in (1, 2, 3)}
        answers = {"response1": f"It is {number}.", "response2": "Who knows? " * 9}
        lines.append({"idx": number, "instruction": f"What is {number}?", "input": "", **answers, **votes})
    (home / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "REGRAFT_DATA_DIR": str(home / "data")}
        done = regraft_command(*arguments, cwd=home, environment=environment, timeout=280)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    assert run("import", "pairs.jsonl").returncode == 0
    return run


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_judges_are_listed_with_what_is_known_of_them(regraft: Callable[..., Any]) -> None:
    found = told(regraft("judges", "list", "--json"))
    assert {(one["judge"], one["status"]) for one in found} == {
        *((name, "uncalibrated: never run") for name in ("categories", "preferences", "ratings")),
        ("people", "people among themselves"),
    }
    assert "uncalibrated: never run" in regraft("judges", "list").stdout
    assert told(regraft("judges", "calibrate", "--json")) == {
        "judges": 0,
        "items": 0,
        "figures": 2,
        "stale": 0,
    }  # of all, and of the tenant
    assert told(regraft("judges", "init", "strict", "--task", "rating", "--model", "big", "--json"))["task"] == "rating"
    assert regraft("judges", "init", "strict").returncode == 2
    assert "strict" in {one["judge"] for one in told(regraft("judges", "list", "--json"))}
    unknown = regraft("judges", "show", "nobody")
    assert (unknown.returncode, "There is no judge nobody" in unknown.stderr) == (3, True)


@pytest.mark.model
def test_the_local_model_judges_in_the_form_that_is_asked_for_and_is_shown_as_uncalibrated(
    regraft: Callable[..., Any],
) -> None:
    done = told(regraft("judges", "run", "preferences", "-n", "1", "--json"))
    assert (done["asked"], done["unparseable"], done["failed"], done["preferences"]) == (2, 0, 0, 1)
    assert done["status"] == {"": "uncalibrated: 1 of 50 items"}
    assert "uncalibrated: 1 of 50 items" in regraft("judges", "show", "preferences").stdout
    (one,) = [each for each in told(regraft("judges", "list", "--json")) if each["judge"] == "preferences"]
    assert (one["votes"], one["status"]) == (2, "uncalibrated: 1 of 50 items")
