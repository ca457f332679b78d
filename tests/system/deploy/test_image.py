"""The Dockerfile: linted, and what it copies is what `.dockerignore` lets through. No image is built here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from support.composition import DEPLOY, REPOSITORY, image_variables

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
LAST = DOCKERFILE.rpartition("\nFROM ")[2]


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(program), str(REPOSITORY / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_last_stage_runs_without_rights_and_builds_nothing() -> None:
    assert re.search(r"^USER 10001:10001$", LAST, re.MULTILINE)
    runs = re.findall(r"^RUN (.*)$", LAST, re.MULTILINE)
    assert len(runs) == 1
    assert not re.search(r"\bpip install|apt-get|npm|curl|wget", runs[0])
    assert image_variables()["REGRAFT_START_SERVICES"] == "false"
    (base,) = re.findall(r"^ARG PYTHON=(.+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"3\.11\.\d+-slim-\w+", base)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:${PYTHON}"}


def test_packages_come_from_the_locks_by_their_digests() -> None:
    installs = re.findall(r"pip install ([^&\n]*)", DOCKERFILE)
    assert all("--require-hashes" in each or "--no-deps --no-build-isolation ." in each for each in installs)


def test_everything_that_is_copied_is_there_and_let_through() -> None:
    ignored = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignored[0] == "*"
    through = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    }
    assert copied == through
    assert all((REPOSITORY / each).exists() for each in copied)


def test_the_image_has_one_name_everywhere() -> None:
    (named,) = re.findall(r"docker build --tag (\S+)", DOCKERFILE)
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    assert {each["image"] for each in services if each["image"].startswith("regraft")} == {named}
